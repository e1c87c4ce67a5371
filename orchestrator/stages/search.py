"""The search stage: settings of a test-time method, or of a whole training, chosen by trials."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from adapt.atomic import write_atomically
from adapt.errors import TaskError
from adapt.tta.settings import name_method
from experiments.schema import SearchStage, StageSettings
from experiments.search import METHOD_FILE, TRIALS_FILE
from experiments.search_space import describe_point
from experiments.task import Task
from orchestrator.sampling import NoPoint
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.stages.trial import Outcome, Trial, make_trial
from orchestrator.stages.trial_book import TrialBook, keep_made

Evaluate = Callable[[Task, StageContext, TrialBook, Callable[[], None]], None]
"""Makes the trials that a book gives until it gives none, and calls its last argument whenever one has ended."""


LATE = "the hours of the search were over"  # why a trial was stopped


class HoursOverError(Exception):
    """The search's hours were over while a trial ran."""


def make_in_turn(task: Task, context: StageContext, book: TrialBook, on_done: Callable[[], None]) -> None:
    """Make trials one after the other in this process.

    Raises:
        TaskError: the search has a scheduler, which compares trials that run side by side.
    """
    if book.search.scheduler.name not in ("none", "pbt"):  # a population waits for its members, so it may come in turn
        raise TaskError(
            f"The search has `scheduler: {book.search.scheduler.name}`, which compares trials while they run: that needs the "
            "cluster that `segshift sweep` starts. Run the sweep, or write `scheduler: none`."
        )
    while not isinstance(trial := book.next(), NoPoint):
        make_alone(task, context, book, trial)
        book.close(trial)
        on_done()


def make_alone(task: Task, context: StageContext, book: TrialBook, trial: Trial) -> None:
    """Make one trial in this process, until the hours of the search are over."""

    def on_report(step: int, value: float, scalars: Mapping[str, float]) -> None:
        book.note(trial, step, value)
        if book.left_s == 0:
            raise HoursOverError

    try:
        paused_s = make_trial(task, context, trial, on_report)
        if paused_s is not None:
            book.pause(trial, paused_s)
    except HoursOverError:
        prune(book, trial, LATE)
    note_end(task, book, trial)


def note_end(task: Task, book: TrialBook, trial: Trial) -> None:
    """Add the last point of the curve of a training that ran to its end."""
    outcome = book.find_outcome(trial)
    training = getattr(trial.settings, "training", None)
    if training is not None and outcome is not None and outcome.status == "done" and outcome.score is not None:
        book.note(trial, training.iterations, outcome.score)


def prune(book: TrialBook, trial: Trial, reason: str) -> None:
    """Note that a trial was stopped before its end."""
    curve = book.read_curve(trial)
    trial.keep("pruned", book.measure_s(trial), reason=reason, **({"score": curve[-1][1]} if curve else {}))


def prune_late(book: TrialBook) -> None:
    """Leave what an interrupted search had begun, where its hours are used up already."""
    for trial in book.trials if book.left_s == 0 else ():
        if book.find_outcome(trial) is None:
            prune(book, trial, LATE)
            book.close(trial)


def run(task: Task, context: StageContext, evaluate: Evaluate = make_in_turn) -> StageResult:
    """Make the trials that an interrupted search has left, and choose the best: the earlier one of equals.

    Args:
        task: the search.
        context: where it finds what it needs; its trials get the same.
        evaluate: makes the trials.

    Returns:
        The result. The list of all trials is a file in the task's folder; beside it lie the chosen settings of a method, or
        what the best training made.

    Raises:
        TaskError: no trial has a score.
    """
    book = TrialBook(task, context)

    def report() -> None:
        context.on_step(*book.measure_progress())

    report()
    prune_late(book)
    evaluate(task, context, book, report)
    outcomes = [_require_outcome(book, trial) for trial in book.trials]
    best = book.find_best()
    listed = [
        {
            **outcome.model_dump(mode="json", include=set(_LISTED)),
            "seconds": round(book.measure_before_s(trial) + outcome.seconds, 3),
            "curve": book.read_curve(trial),
            **book.read_history(trial),
        }
        for trial, outcome in zip(book.trials, outcomes, strict=True)
    ]
    if best is None or outcomes[best.number].network is None:
        first = f" The first, {describe_point(book.trials[0].point)}: {outcomes[0].reason}" if book.trials else ""
        book.forget_failures()  # so that the next attempt tries them again
        raise TaskError(
            f"None of the {len(book.trials)} trials of the search has a score.{first} Mend that, or change the `space` or the "
            "budget of the search."
        )
    write_atomically(context.folder / TRIALS_FILE, json.dumps(listed, indent=1))
    return _describe(task, context, book, best, outcomes)


_LISTED = ("point", "status", "score", "seconds", "reason")  # of an outcome, in the list of trials


def _describe(task: Task, context: StageContext, book: TrialBook, best: Trial, outcomes: list[Outcome]) -> StageResult:
    chosen, outcome = best.settings, outcomes[best.number]
    if chosen is None or outcome.network is None or outcome.score is None:
        raise ValueError("a trial with a score has settings and a network")
    metrics: dict[str, float | None] = {
        "trials": len(outcomes),
        "failed_trials": sum(each.status == "failed" for each in outcomes),
    }
    if book.search.scheduler.name != "none" or book.search.hours is not None:
        metrics["pruned_trials"] = sum(each.status == "pruned" for each in outcomes)
    settings = chosen.model_dump(mode="json")
    if isinstance(task.settings, SearchStage):
        write_atomically(context.folder / METHOD_FILE, chosen.model_dump_json(indent=1))
        metrics["best_miou"] = outcome.score
        method: dict[str, Any] = {"name": name_method(chosen), "settings": settings, "trial": best.number}
        return StageResult(network=outcome.network, method=method, metrics=metrics)
    keep_made(best, context.folder)
    named = {name: value for name, value in settings.items() if name not in StageSettings.model_fields}
    return StageResult(
        network=outcome.network,
        classes=outcome.classes,
        method={"point": dict(best.point), "trial": best.number, "stage": named, **book.read_history(best)},
        metrics={**outcome.metrics, **metrics, "best_score": outcome.score},
    )


def _require_outcome(book: TrialBook, trial: Trial) -> Outcome:
    outcome = book.find_outcome(trial)
    if outcome is None:
        raise ValueError(f"the trial {describe_point(trial.point)} was not made")
    return outcome
