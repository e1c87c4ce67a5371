"""A trial of a search: the stage itself with other settings, judged by one number, and what became of it."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from adapt.atomic import write_atomically
from adapt.errors import TaskError
from adapt.settings import Settings
from adapt.training.settings import PRACTICAL_SETTINGS
from adapt.tta.settings import MethodSettings
from adapt.tta.summary import summarise
from experiments.schema import SearchStage, StageSettings, StreamStage, TrainStage, UdaStage
from experiments.search import TrainingSearchSettings, apply_point
from experiments.search_space import Point
from experiments.searched_training import apply_to_stage, name_scalar
from experiments.task import Task
from orchestrator.record import Cell, Network
from orchestrator.scoring import read_confusion
from orchestrator.stages.stage import StageContext, StageResult

MADE = "made"  # of a trial's folder: what a training leaves behind
WORK = "work"  # of a trial's folder: what it goes on from after an interruption
ITERATION_ENDED = "iteration_s"  # what only the report after an iteration's resume point holds
LAST_FILE = "last.json"  # of a trial's folder: its last report, [step, value]

Status = Literal["done", "failed", "pruned"]

OnReport = Callable[[int, float, Mapping[str, float]], None]
"""Takes a report of a running trial: (step, value of the metric, latest value of each live scalar)."""


class _ComparisonReached(Exception):  # noqa: N818  it is no error
    """A member of a population has come to where it waits for the others, and its resume point is kept."""


class Outcome(Settings):
    """What became of a trial.

    Attributes:
        point: where in the space it stood.
        status: `failed` has no score and would fail again; `pruned` was stopped early.
        score: the metric at its last report: the mean mIoU over the cells of a validation stream, in [0, 1], the last look of
            a training's validation, or the scalar that the search names.
        seconds: how long it took; of one that was interrupted, its last attempt.
        reason: why there is no score, or why it was stopped.
        network: what was adapted or trained, where it is done.
        classes: that a trained network predicts.
        metrics: other numbers of a training.
    """

    point: dict[str, Any]
    status: Status
    score: float | None
    seconds: float
    reason: str | None = None
    network: Network | None = None
    classes: tuple[str, ...] = ()
    metrics: dict[str, float | None] = {}


@dataclass(frozen=True)
class Trial:
    """One point of a search.

    Attributes:
        number: its place among the trials of the search, from 0.
        point: where in the space it stands.
        settings: there: of the method of a stream, or of the whole stage of a training; None where the point has none.
        folder: its own; its outcome lies beside it.
        until: the iteration at which a member of a population waits for the others; None goes on to the end.
    """

    number: int
    point: Point
    settings: Settings | None
    folder: Path
    until: int | None = None

    @property
    def file(self) -> Path:
        """Where its outcome is kept."""
        return self.folder.with_suffix(".json")

    def read(self) -> Outcome | None:
        """Return what became of it; None before that."""
        try:
            return Outcome.model_validate_json(self.file.read_text()) if self.file.is_file() else None
        except ValueError:  # cut off by a damaged disk: the trial is made again
            return None

    def keep(self, status: Status, seconds: float, **fields: Any) -> None:
        """Note what became of it; from then on it is not made again."""
        outcome = Outcome(point=dict(self.point), status=status, seconds=round(seconds, 3), **{"score": None, **fields})
        write_atomically(self.file, outcome.model_dump_json())


def place_trial(settings: StageSettings, point: Point) -> Settings:
    """Return the settings of the trial at a point: of a stream's method, or of a training's whole stage.

    Raises:
        SpecError: they are refused there.
    """
    if isinstance(settings, SearchStage):
        return apply_point(settings.method, point)
    if isinstance(settings, TrainStage | UdaStage):
        return apply_to_stage(settings, point)
    raise TypeError(f"a stage of kind {type(settings).__name__} has no search")


def name_trial(settings: Settings | None, point: Point) -> str:
    """Name a trial by all that its result depends on, in 16 hexadecimal digits."""
    if settings is None:
        return hashlib.sha256(json.dumps(dict(point), sort_keys=True).encode()).hexdigest()[:16]
    practical: Any = {
        "label": True,
        "resources": True,
        "expected_seconds": True,
        "time_limit_s": True,
        "training": set(PRACTICAL_SETTINGS),
    }
    text = settings.model_dump_json(exclude=practical if isinstance(settings, StageSettings) else None)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def make_trial(task: Task, context: StageContext, trial: Trial, on_report: OnReport) -> float | None:
    """Make a trial and keep its outcome. A run that cannot go on, as one that diverged, is an outcome too.

    Args:
        task: the search.
        context: its context.
        trial: what to make; one that has an outcome is not made again.
        on_report: hears of it on its way; its end is in the outcome.

    Returns:
        None; of a member of a population that waits for the others now, how many seconds it took to come there.
    """
    if trial.read() is not None:
        return None
    started = time.perf_counter()
    try:
        if isinstance(task.settings, SearchStage):
            result = run_trial(task, context, trial.settings)  # type: ignore[arg-type]
            score = score_cells(result.cells)
        else:
            result, score = run_training_trial(task, context, trial, on_report)
    except _ComparisonReached:
        return time.perf_counter() - started
    except TaskError as error:
        trial.keep("failed", time.perf_counter() - started, reason=str(error))
    else:
        made = {name: getattr(result, name) for name in ("network", "classes")}
        metrics = {} if isinstance(task.settings, SearchStage) else result.metrics
        trial.keep("done", time.perf_counter() - started, score=score, metrics=metrics, **made)
    return None


def run_trial(task: Task, context: StageContext, method: MethodSettings) -> StageResult:
    """Run the stream stage itself on the validation stream, with other settings of the method.

    Args:
        task: the search.
        context: its context; what the stream leaves is thrown away.
        method: the settings to try.

    Returns:
        The stream's result.
    """
    from orchestrator.stages import stream  # here: imports mmseg, which a search that waits for its trials can spare

    settings = task.settings
    if not isinstance(settings, SearchStage):
        raise TypeError(f"{task.name} is no search of a stream")
    shared = set(StreamStage.model_fields) & set(SearchStage.model_fields) - {"kind", "search", "method"}
    stage = StreamStage(
        kind="stream",
        stream=settings.search.stream,
        method=method,
        **{name: getattr(settings, name) for name in shared},
    )
    with tempfile.TemporaryDirectory(dir=context.scratch) as folder:
        place = replace(context, folder=Path(folder), scratch=Path(folder), on_step=_ignore)
        return stream.run(replace(task, kind="stream", settings=stage), place)


def run_training_trial(
    task: Task, context: StageContext, trial: Trial, on_report: OnReport
) -> tuple[StageResult, float]:
    """Run the training stage itself with other settings; it goes on from its own resume point where it has one.

    Args:
        task: the search.
        context: its context.
        trial: what it leaves is kept in the trial's folder.
        on_report: hears of the metric on the way, not of its last value: that is the score.

    Returns:
        The stage's result, and the score.

    Raises:
        TaskError: the training cannot go on, or it never reported the metric.
        _ComparisonReached: see there.
    """
    from adapt.training.rebase import read_iteration  # here: imports torch
    from orchestrator.stages import train, uda  # here: import mmseg

    settings = trial.settings
    search = getattr(task.settings, "search", None)
    if not isinstance(settings, TrainStage | UdaStage) or not isinstance(search, TrainingSearchSettings):
        raise TypeError(f"{task.name} is no search of a training")
    made, work = trial.folder / MADE, trial.folder / WORK
    for folder in (made, work):
        folder.mkdir(parents=True, exist_ok=True)
    metric, length = name_scalar(search.metric), settings.training.iterations
    latest: dict[str, float] = {}

    def listen(step: int, values: Mapping[str, float]) -> None:
        latest.update(values)
        if metric in values:
            write_atomically(trial.folder / LAST_FILE, json.dumps([step, values[metric]]))
            if step < length:
                on_report(step, values[metric], latest)
        if step == trial.until and ITERATION_ENDED in values:
            raise _ComparisonReached

    if trial.until is not None and read_iteration(work) >= trial.until:  # killed before it could say so
        if (trial.folder / LAST_FILE).is_file():
            step, value = json.loads((trial.folder / LAST_FILE).read_text())
            on_report(step, value, latest)
        raise _ComparisonReached
    stage = train.run if isinstance(settings, TrainStage) else uda.run
    place = replace(context, folder=made, scratch=work, on_step=listen)
    result = stage(replace(task, settings=settings), place)
    try:
        _, score = json.loads((trial.folder / LAST_FILE).read_text())
    except FileNotFoundError:
        raise TaskError(
            f"The trial ended without a report of '{search.metric}'. Lower `training.log_interval`."
        ) from None
    return result, float(score)


def score_cells(cells: Sequence[Cell]) -> float:
    """Return the mean mIoU of a stream's cells, in [0, 1], as the leaderboard has it.

    Raises:
        TaskError: a cell holds no labelled pixel.
    """
    counts = {
        (int(cell.axes["round"]), str(cell.axes["domain"])): confusion
        for cell in cells
        if (confusion := read_confusion(cell)) is not None
    }
    mean = summarise(counts).mean if len(counts) == len(cells) else None
    if mean is None:
        raise TaskError("A domain of the validation stream has no labelled pixel, so there is no score to choose by.")
    return mean


def _ignore(step: int, values: Mapping[str, float]) -> None:
    pass
