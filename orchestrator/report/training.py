"""How trainings and searches went: charts of what they reported step by step, and the trials of each search."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.search import TRIALS_FILE
from experiments.search_space import describe_point
from orchestrator.record import Record
from orchestrator.report.survey import TaskView
from orchestrator.stages.curve_file import NAME as CURVE_FILE
from orchestrator.stages.curve_file import Curves, read_curve

FindFile = Callable[[str, str], Path | None]

MOST_SERIES = 6  # ours: lines of one chart that a reader tells apart
SHARES = ("miou", "iou", "share", "precision", "recall", "quality")  # what a scalar's name says of its unit


@dataclass(frozen=True)
class StageCurves:
    """The charts of a stage's trainings; `note` says what is left out."""

    stage: str
    main: tuple[dict[str, Any], ...]
    others: tuple[dict[str, Any], ...]
    note: str


@dataclass(frozen=True)
class Trials:
    """The trials of one search: a chart where they reported on their way, and a row each."""

    name: str
    chart: dict[str, Any] | None
    rows: tuple[tuple[str, str, str, str, str], ...]
    summary: str


def draw_trainings(views: Iterable[TaskView], find_file: FindFile) -> list[StageCurves]:
    """Draw what the finished trainings of each stage reported.

    Args:
        views: of all tasks.
        find_file: finds the curves beside a record.
    """
    stages: dict[str, dict[str, Curves]] = {}
    lacking: dict[str, int] = {}
    for view in views:
        if view.kind not in ("train", "uda") or view.record is None or view.state != "done":
            continue
        file = find_file(view.key, CURVE_FILE) if CURVE_FILE in view.record.files else None
        curves = read_curve(file) if file is not None else {}
        stages.setdefault(view.stage, {})
        if curves:
            stages[view.stage][view.name] = curves
        else:
            lacking[view.stage] = lacking.get(view.stage, 0) + 1
    return [_draw_stage(stage, tasks, lacking.get(stage, 0)) for stage, tasks in stages.items()]


def _draw_stage(stage: str, tasks: Mapping[str, Curves], lacking: int) -> StageCurves:
    names = list(tasks)
    shown = {name: tasks[name] for name in names[:MOST_SERIES]}
    scalars = list(dict.fromkeys(scalar for curves in shown.values() for scalar in curves))
    charts = {scalar: draw_scalar(scalar, shown) for scalar in scalars}
    main = [scalar for scalar in scalars if _is_main(scalar)]
    notes = []
    if len(names) > MOST_SERIES:
        notes.append(f"The first {MOST_SERIES} of {len(names)} trainings are drawn.")
    if lacking:
        notes.append(f"{lacking} {'was' if lacking == 1 else 'were'} trained before curves were kept.")
    return StageCurves(
        stage,
        tuple(charts[scalar] for scalar in main),
        tuple(charts[scalar] for scalar in scalars if scalar not in main),
        " ".join(notes),
    )


def _is_main(scalar: str) -> bool:
    return "loss" in scalar or scalar in ("lr", "validation_miou")


def draw_scalar(scalar: str, tasks: Mapping[str, Curves]) -> dict[str, Any]:
    """Return the chart of one scalar, a line for each task that reported it."""
    found = {name: dict(curves[scalar]) for name, curves in tasks.items() if scalar in curves}
    steps = sorted({step for points in found.values() for step in points})
    return {
        "kind": "lines",
        "title": scalar,
        "x": [str(step) for step in steps],
        "xLabel": "iteration",
        "yLabel": f"{scalar} (%)" if is_share(scalar) else scalar,
        "unit": "share" if is_share(scalar) else "number",
        "series": [{"name": name, "values": [points.get(step) for step in steps]} for name, points in found.items()],
    }


def is_share(scalar: str) -> bool:
    """Say whether a scalar's name tells of a share in [0, 1]."""
    words = scalar.lower().replace("/", "_").split("_")
    return any(word in SHARES for word in words)


def list_searches(views: Iterable[TaskView], find_file: FindFile) -> list[Trials]:
    """Return the trials of every finished search that kept its list."""
    found = []
    for view in views:
        if view.record is not None and view.state == "done" and TRIALS_FILE in view.record.files:
            file = find_file(view.key, TRIALS_FILE)
            trials = _read_trials(file) if file is not None else []
            if trials:
                found.append(_describe_search(view, trials))
    return found


def _read_trials(file: Path) -> list[dict[str, Any]]:
    try:
        trials = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [trial for trial in trials if isinstance(trial, dict)] if isinstance(trials, list) else []


def _describe_search(view: TaskView, trials: Sequence[Mapping[str, Any]]) -> Trials:
    from orchestrator.progress import show_duration

    rows = [
        (
            describe_point(trial.get("point") or {}),
            str(trial.get("status", "")) + (" (chosen)" if _is_chosen(trial, view.record) else ""),
            show_score(trial.get("score")),
            show_duration(float(trial.get("seconds") or 0.0)),
            str(trial.get("reason") or ""),
        )
        for trial in trials
    ]
    counts: dict[str, int] = {}
    for trial in trials:
        counts[str(trial.get("status"))] = counts.get(str(trial.get("status")), 0) + 1
    listed = ", ".join(f"{count} {status}" for status, count in counts.items())
    return Trials(view.name, _draw_trials(view, trials), tuple(rows), f"{len(trials)} trials: {listed}.")


def _is_chosen(trial: Mapping[str, Any], record: Record | None) -> bool:
    """Say whether a search went on with the settings of a trial."""
    method = (record.method if record is not None else None) or {}
    point = trial.get("point")
    if not point or trial.get("status") != "done":
        return False
    if "point" in method:
        return bool(point == method["point"])
    return all(_look_up(method.get("settings"), path) == value for path, value in point.items())


def _look_up(settings: Any, path: str) -> Any:
    for name in path.split("."):
        settings = settings.get(name) if isinstance(settings, Mapping) else None
    return settings


def show_score(score: float | None) -> str:
    """Print the score of a trial, which may be any scalar."""
    return "–" if score is None else f"{score:.4g}"


def _draw_trials(view: TaskView, trials: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the chart of what trials reported on their way; None where none did more than once."""
    curves = {
        describe_point(trial.get("point") or {}): {int(step): float(value) for step, value in trial.get("curve") or ()}
        for trial in trials
    }
    search = (view.record.settings if view.record is not None else {}).get("search") or {}
    sign = 1 if search.get("mode") == "min" else -1
    ranked = sorted((name for name in curves if curves[name]), key=lambda name: sign * curves[name][max(curves[name])])
    ranked = ranked[:MOST_SERIES]
    steps = sorted({step for name in ranked for step in curves[name]})
    if len(steps) < 2:
        return None
    return {
        "kind": "lines",
        "title": f"Score of the trials of {view.name}",
        "note": f"The best {MOST_SERIES} of {len(curves)}." if len(curves) > MOST_SERIES else "",
        "x": [str(step) for step in steps],
        "xLabel": "iteration",
        "yLabel": "score",
        "unit": "number",
        "series": [{"name": name, "values": [curves[name].get(step) for step in steps]} for name in ranked],
    }
