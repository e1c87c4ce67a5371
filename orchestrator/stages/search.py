"""The `search` stage: the settings of a method, chosen by trials on a validation stream."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from adapt.atomic import write_atomically
from adapt.errors import TaskError
from adapt.settings import Settings
from adapt.tta.settings import MethodSettings, name_method
from adapt.tta.summary import summarise
from experiments.schema import SearchStage, StreamStage
from experiments.search import METHOD_FILE, TRIALS_FILE, Point, apply_point, describe_point, list_points
from experiments.task import Task
from orchestrator.record import Cell, Network
from orchestrator.scoring import read_confusion
from orchestrator.stages.stage import StageContext, StageResult

OUTCOMES = "trials"  # in the scratch folder: a file for each finished trial, so that none is made twice


class Outcome(Settings):
    """What became of a trial.

    Attributes:
        point: where in the space it stood.
        status: `failed` has no score; it would fail again.
        score: mean mIoU over the cells of the validation stream, in [0, 1].
        seconds: how long it took.
        reason: why there is no score.
        network: what was adapted, where there is a score.
    """

    point: dict[str, Any]
    status: Literal["done", "failed"]
    score: float | None
    seconds: float
    reason: str | None = None
    network: Network | None = None


@dataclass(frozen=True)
class Trial:
    """One point of a search.

    Attributes:
        point: where in the space it stands.
        method: the settings of the method there.
        file: keeps its outcome.
    """

    point: Point
    method: MethodSettings
    file: Path

    def read(self) -> Outcome | None:
        """Return what became of it; None before that."""
        return Outcome.model_validate_json(self.file.read_text()) if self.file.is_file() else None

    def keep(self, status: Literal["done", "failed"], seconds: float, **fields: Any) -> None:
        """Note what became of it; from then on it is not made again."""
        outcome = Outcome(point=dict(self.point), status=status, seconds=round(seconds, 3), **{"score": None, **fields})
        write_atomically(self.file, outcome.model_dump_json())


Evaluate = Callable[[Task, StageContext, Sequence[Trial], Callable[[], None]], None]
"""Makes every one of some trials, in any order, and calls its last argument whenever one is finished."""


def make_in_turn(task: Task, context: StageContext, trials: Sequence[Trial], on_done: Callable[[], None]) -> None:
    """Make trials one after the other in this process."""
    for trial in trials:
        make_trial(task, context, trial)
        on_done()


def run(task: Task, context: StageContext, evaluate: Evaluate = make_in_turn) -> StageResult:
    """Make the trials that an interrupted search has left, and choose the best: the earlier one of equals.

    Args:
        task: the search.
        context: where it finds what it needs; its trials get the same.
        evaluate: makes the trials.

    Returns:
        The result. The chosen settings and the list of all trials are files in the task's folder.

    Raises:
        TaskError: no trial has a score.
    """
    trials = list_trials(task, context)

    def report() -> None:
        outcomes = [outcome for trial in trials if (outcome := trial.read()) is not None]
        scores = [outcome.score for outcome in outcomes if outcome.score is not None]
        live = {"trials": float(len(trials)), "progress": len(outcomes) / len(trials)}
        context.on_step(len(outcomes), live | ({"miou": max(scores)} if scores else {}))

    report()
    evaluate(task, context, [trial for trial in trials if trial.read() is None], report)
    outcomes = [_require_outcome(trial) for trial in trials]
    scores = [outcome.score for outcome in outcomes if outcome.score is not None]
    if not scores:
        shutil.rmtree(context.scratch / OUTCOMES)  # so that the next attempt tries them again
        raise TaskError(
            f"None of the {len(trials)} trials of the search has a score. The first, {describe_point(trials[0].point)}: "
            f"{outcomes[0].reason} Mend that, or change the `space` of the search."
        )
    best = next(index for index, outcome in enumerate(outcomes) if outcome.score == max(scores))
    chosen, network = trials[best].method, outcomes[best].network
    if network is None:
        raise ValueError("a trial with a score has adapted a network")
    write_atomically(context.folder / METHOD_FILE, chosen.model_dump_json(indent=1))
    listed = [outcome.model_dump(mode="json", exclude={"network"}) for outcome in outcomes]
    write_atomically(context.folder / TRIALS_FILE, json.dumps(listed, indent=1))
    return StageResult(
        network=network,
        method={"name": name_method(chosen), "settings": chosen.model_dump(mode="json"), "trial": best},
        metrics={
            "trials": len(trials),
            "failed_trials": len(trials) - len(scores),
            "best_miou": max(scores),
        },
    )


def list_trials(task: Task, context: StageContext) -> list[Trial]:
    """List the trials of a search in the order of its points."""
    settings = _require_settings(task)
    folder = context.scratch / OUTCOMES
    folder.mkdir(parents=True, exist_ok=True)
    trials = []
    for point in list_points(settings.search):
        method = apply_point(settings.method, point)
        name = hashlib.sha256(method.model_dump_json().encode()).hexdigest()[:16]
        trials.append(Trial(point, method, folder / f"{name}.json"))
    return trials


def make_trial(task: Task, context: StageContext, trial: Trial) -> None:
    """Make a trial and keep its outcome. A run that cannot go on, as one that diverged, is an outcome too."""
    started = time.perf_counter()
    try:
        result = run_trial(task, context, trial.method)
        score = score_cells(result.cells)
    except TaskError as error:
        trial.keep("failed", time.perf_counter() - started, reason=str(error))
    else:
        trial.keep("done", time.perf_counter() - started, score=score, network=result.network)


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

    settings = _require_settings(task)
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


def _require_settings(task: Task) -> SearchStage:
    if not isinstance(task.settings, SearchStage):
        raise TypeError(f"{task.name} is no search")
    return task.settings


def _require_outcome(trial: Trial) -> Outcome:
    outcome = trial.read()
    if outcome is None:
        raise ValueError(f"the trial {describe_point(trial.point)} was not made")
    return outcome


def _ignore(step: int, values: Mapping[str, float]) -> None:
    pass
