"""The file of a training's live scalars by step, thinned, so that curves can be drawn from the store alone."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

from adapt.atomic import write_atomically
from orchestrator.stages.stage import OnStep, StageContext

NAME = "curve.json"
SCHEMA_VERSION = 1
MOST_POINTS = 200  # of a scalar, ours: what a chart can show; a training of 40,000 iterations reports 800 times
_REPORTS = "curve.jsonl"  # of the scratch folder: every report so far, also of attempts before this one

Curves = dict[str, list[tuple[int, float]]]
"""Scalar -> (step, value), in the order of steps."""


def keep_curve(context: StageContext, on_step: OnStep) -> OnStep:
    """Return an `on_step` that keeps what it hears in the scratch folder, for `write_curve`.

    Args:
        context: of the task.
        on_step: hears it too.
    """
    file = context.scratch / _REPORTS

    def listen(step: int, values: Mapping[str, float]) -> None:
        known = {name: value for name, value in values.items() if math.isfinite(value)}
        with file.open("a", encoding="utf-8") as reports:
            reports.write(json.dumps([step, known]) + "\n")
        on_step(step, values)

    return listen


def write_curve(context: StageContext) -> None:
    """Write the file into the task's folder; nothing where nothing was reported."""
    curves = thin_curves(_read_reports(context.scratch / _REPORTS))
    if curves:
        content = {"schema_version": SCHEMA_VERSION, "scalars": curves}
        write_atomically(context.folder / NAME, json.dumps(content, separators=(",", ":")))


def read_curve(file: Path) -> Curves:
    """Read the file of a finished task; nothing where it is none, or of another version."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads(file.read_text(encoding="utf-8"))
        if content["schema_version"] == SCHEMA_VERSION:
            return {
                str(name): [(int(step), float(value)) for step, value in points]
                for name, points in content["scalars"].items()
            }
    return {}


def thin_curves(curves: Mapping[str, Mapping[int, float]]) -> Curves:
    """Leave at most `MOST_POINTS` of each scalar, evenly chosen, the first and the last among them.

    Args:
        curves: scalar -> step -> value.
    """
    thinned: Curves = {}
    for name, points in curves.items():
        steps = sorted(points)
        if len(steps) > MOST_POINTS:
            last = len(steps) - 1
            steps = [steps[round(place * last / (MOST_POINTS - 1))] for place in range(MOST_POINTS)]
        thinned[name] = [(step, points[step]) for step in steps]
    return thinned


def _read_reports(file: Path) -> dict[str, dict[int, float]]:
    """Return scalar -> step -> value; what an attempt made again after an interruption counts as it was made last."""
    curves: dict[str, dict[int, float]] = {}
    for step, values in _read_lines(file):
        for name, value in values.items():
            curves.setdefault(name, {})[step] = value
    return curves


def _read_lines(file: Path) -> Iterator[tuple[int, dict[str, float]]]:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):  # cut off where the process was killed
            step, values = json.loads(line)
            yield step, values
