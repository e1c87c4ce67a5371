"""The page of a comparison: differences, class by condition, curves over severity, and pictures side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.compare.comparison import Comparison, Curve, Pair
from orchestrator.compare.measure import SCORES
from orchestrator.compare.side import Side
from orchestrator.compare.terminal import (
    group_differences,
    list_notes,
    mark,
    show_interval,
    show_points,
    show_value,
)
from orchestrator.leaderboard.page.pictures import read_colours, read_picture
from orchestrator.leaderboard.page.render import render_page

MOST_FRAMES = 12  # ours: of pictures side by side, which keeps a page of three sides below 3 MB
SHARED_PANELS = ("image", "label")  # what all sides saw; the others are their own
OWN_PANELS = ("prediction", "error")


@dataclass(frozen=True)
class Panel:
    """A picture with what it shows, embedded."""

    caption: str
    source: str


@dataclass(frozen=True)
class Frame:
    """A fixed frame under one condition, as all sides saw it."""

    name: str
    condition: str
    panels: tuple[Panel, ...]


def to_html(comparisons: Sequence[Comparison], matches: Sequence[Sequence[Side]], command: str) -> str:
    """Return comparisons as one self-contained page.

    Args:
        comparisons: one for each protocol.
        matches: the sides of each, in the same order, whose pictures are shown.
        command: that makes the page again.
    """
    sections = [
        _describe(comparison, list_frames(sides), list_colours(sides, sides[0].records[0].classes))
        for comparison, sides in zip(comparisons, matches, strict=True)
    ]
    sides = comparisons[0].sides
    return render_page(
        "compare.html.j2",
        package="orchestrator.compare",
        styles=("compare.css",),
        baseline=sides[0],
        others=sides[1:],
        sections=sections,
        command=command,
    )


def _describe(comparison: Comparison, frames: Sequence[Frame], colours: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return {
        "title": comparison.title,
        "comparison": comparison,
        "tasks": comparison.keys,
        "pairs": [_describe_pair(pair) for pair in comparison.pairs],
        "curves": draw_curves(comparison.curves, comparison.sides),
        "frames": frames,
        "colours": colours,
        "notes": list_notes(comparison),
    }


def _describe_pair(pair: Pair) -> dict[str, Any]:
    groups = group_differences(pair)
    rows = [
        {
            "group": group,
            "name": one.name,
            "first": show_value(one.first),
            "second": show_value(one.second),
            "difference": show_points(one.difference.mean),
            "interval": show_interval(one.difference),
            "p": "" if one.p is None else f"{one.p:.2g}",
            "mark": mark(one),
        }
        for group, found in groups.items()
        for one in found
    ]
    charts = [
        {
            "kind": "differences",
            "title": _name_group(group),
            "names": [one.name for one in found],
            "values": [one.difference.mean for one in found],
            "low": [one.difference.low for one in found],
            "high": [one.difference.high for one in found],
        }
        for group, found in groups.items()
    ]
    return {"pair": pair, "headline": _tell_main(pair), "charts": charts, "rows": rows, "heatmap": _draw_grid(pair)}


def _tell_main(pair: Pair) -> str:
    """Say in a sentence what the score that ranks differs by."""
    main = pair.differences[0]
    interval = f" {show_interval(main.difference)}" if main.difference.low is not None else ""
    said = f"{main.name} {show_value(main.second)} against {show_value(main.first)}: {show_points(main.difference.mean)} points"
    return f"{said}{interval}{'' if main.excludes_zero or not interval else ', which may be chance'}."


def _name_group(group: str) -> str:
    return "Scores" if group == SCORES else group[0].upper() + group[1:]


def _draw_grid(pair: Pair) -> dict[str, Any] | None:
    """Return the heat map of class by condition; None where there is one condition, which the bars show."""
    grid = pair.grid
    if len(grid.conditions) < 2:
        return None
    return {
        "kind": "heatmap",
        "title": "IoU of each class under each condition, in points",
        "rows": grid.classes,
        "columns": grid.conditions,
        "values": grid.values,
        "scale": "diverging",
    }


def draw_curves(curves: Sequence[Curve], sides: Sequence[str]) -> list[dict[str, Any]]:
    """Return the charts of mIoU over severity: of the mean over corruptions first, then of each."""
    by_corruption: dict[str, dict[str, Curve]] = {}
    for curve in curves:
        by_corruption.setdefault(curve.corruption, {})[curve.side] = curve
    return [
        _draw_curve(corruption, [found[side] for side in sides])
        for corruption, found in by_corruption.items()
        if len(next(iter(found.values())).severities) > 1
    ]


def _draw_curve(corruption: str, curves: Sequence[Curve]) -> dict[str, Any]:
    def list_series(curve: Curve) -> dict[str, Any]:
        bounds: dict[str, Any] = {}
        if any(score.low is not None for score in curve.scores):
            bounds = {"low": [s.low for s in curve.scores], "high": [s.high for s in curve.scores]}
        return {"name": curve.side, "values": [score.mean for score in curve.scores], **bounds}

    return {
        "kind": "lines",
        "title": f"mIoU over severity: {corruption or 'mean over the corruptions'}",
        "x": ["clean" if severity == 0 else str(severity) for severity in curves[0].severities],
        "xLabel": "severity",
        "yLabel": "mIoU (%)",
        "series": [list_series(curve) for curve in curves],
    }


def list_frames(sides: Sequence[Side], most: int = MOST_FRAMES) -> list[Frame]:
    """Return the fixed frames that all sides have pictures of, side by side; so many at most."""
    by_place = [{(picture.frame, picture.condition): picture for picture in side.pictures} for side in sides]
    frames: list[Frame] = []
    for place in by_place[0]:
        if len(frames) < most and all(place in found for found in by_place):
            files = [
                {
                    panel: side.find_file(found[place].key, name)
                    for panel, name in found[place].files.items()
                    if panel in (*SHARED_PANELS, *OWN_PANELS)
                }
                for side, found in zip(sides, by_place, strict=True)
            ]
            frames.append(Frame(*place, panels=tuple(_list_panels([side.name for side in sides], files))))
    return [frame for frame in frames if frame.panels]


def list_colours(sides: Sequence[Side], classes: Sequence[str]) -> list[tuple[str, str]]:
    """Return each class with its colour in the pictures of the sides; nothing where no picture tells."""
    for side in sides:
        for picture in side.pictures:
            files: dict[str, Path | None] = {
                panel: side.find_file(picture.key, picture.files[panel])
                for panel in ("label", "prediction")
                if panel in picture.files
            }
            if colours := read_colours(files, classes):
                return list(zip(classes, colours, strict=True))
    return []


def _list_panels(names: Sequence[str], files: Sequence[Mapping[str, Path | None]]) -> list[Panel]:
    """Return what all sides saw, once, and then what each made of it."""
    wanted = [(panel, files[0].get(panel)) for panel in SHARED_PANELS]
    wanted += [
        (f"{panel}: {name}", found.get(panel)) for panel in OWN_PANELS for name, found in zip(names, files, strict=True)
    ]
    found = ((caption, read_picture(file)) for caption, file in wanted if file is not None)
    return [Panel(caption, read[1]) for caption, read in found if read is not None]
