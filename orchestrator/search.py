"""A search on the cluster: Ray Tune gives each trial the resources of the stage, and the search itself takes none.

Tune places the trials, packs them on GPUs, keeps their processes for the next trial and replaces those that die. Which
points are tried, what a trial is and which one is best is the search stage's own affair, the same without Ray: Tune asks
its book for trials and tells it what they report.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import traceback
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from adapt.errors import TaskError
from adapt.stopping import Stopped, is_stop_requested
from experiments.search_space import describe_point
from experiments.task import Task
from orchestrator.backend import LOG_FILE
from orchestrator.execute import CRASH_RETRIES, Assignment, Attempt, attempt
from orchestrator.population import PAUSED_S
from orchestrator.reporter import Reporter
from orchestrator.sampling import SCORE, NoPoint
from orchestrator.stages.search import LATE, note_end, prune, run
from orchestrator.stages.stage import StageContext
from orchestrator.stages.trial import Trial, make_trial, place_trial
from orchestrator.stages.trial_book import TrialBook
from orchestrator.store import Store
from orchestrator.task_log import keep_log
from orchestrator.trial_limit import keep_overdue, limit_time

if TYPE_CHECKING:
    from orchestrator.early_stopping import EarlyStopping

LEAST_S = 1.0  # ours: a search without any time is a search without a limit to Tune


def attempt_search(assignment: Assignment, store: Store, reporter: Reporter) -> Attempt:
    """Run a search whose trials are spread over the cluster.

    A trial whose process dies is started again, `CRASH_RETRIES` times; then it is a trial without a score. Any other
    error than a `TaskError` in a trial fails the search.

    Args:
        assignment: the task.
        store: on a disk that every machine of the cluster sees.
        reporter: takes live scalars of the search and of its trials, in this process; it tells the trials when to stop.

    Returns:
        What the search made, or its failure.
    """
    evaluate = functools.partial(make_on_cluster, reporter=reporter)
    return attempt(assignment, store, reporter, functools.partial(run, evaluate=evaluate))


def make_on_cluster(
    task: Task, context: StageContext, book: TrialBook, on_done: Callable[[], None], reporter: Reporter
) -> None:
    """Make trials by Ray Tune, as many at once as there is room for.

    Args:
        task: the search.
        context: its context; it travels to the trials, less its `on_step`.
        book: gives the trials, and is told what they report.
        on_done: called in this process when one has ended.
        reporter: takes what they report, in this process, and tells them when to stop, in theirs.

    Raises:
        TaskError: a trial stopped by an error that is none of its point's.
        Stopped: this process was asked to stop; what has not ended goes on at the next attempt.
    """
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # paths in settings are relative to where the sweep was started
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # CSV, JSON and TensorBoard files that nobody reads
    from ray import tune

    from orchestrator.early_stopping import EarlyStopping
    from orchestrator.reservation import free_resources, name_search, request_resources
    from orchestrator.trial_processes import adopt_trial_processes
    from orchestrator.tune_adapter import StopWatch, TrialSource, TrialWatch

    training = getattr(task.settings, "training", None)
    rule = EarlyStopping(book.search, book, 1 if training is None else training.iterations)
    prune_judged(book, rule)
    first = book.next()
    if isinstance(first, NoPoint):
        return
    adopt_trial_processes()
    free_resources(context.scratch)
    work = functools.partial(_make, task=task, context=replace(context, on_step=_ignore), reporter=reporter)
    # Tune finds a function again by its name, on the whole cluster: searches at the same time need names of their own.
    work.__name__ = name_search(context.scratch)  # type: ignore[attr-defined]
    source = TrialSource(book, first)

    def tell() -> None:
        with contextlib.suppress(Stopped):  # would be an error of Tune's own; the search is stopped below
            on_done()

    def end(trial: Trial, crash: str | None) -> None:
        if book.has_paused(trial):
            tell()
            return
        if crash is not None and task.settings.time_limit_s is not None:
            keep_overdue(trial, task.settings.time_limit_s, context.folder / LOG_FILE)
        if book.find_outcome(trial) is None and is_stop_requested():
            return
        if book.find_outcome(trial) is None and crash is None and book.search.hours is None:
            book.error = book.error or TaskError(
                f"The trial {describe_point(trial.point)} ended and left nothing in {trial.folder}: the machines of the cluster do "
                "not see one folder there. Put the store on a disk that all of them see."
            )
            return
        if book.find_outcome(trial) is None and crash is None:
            prune(book, trial, LATE)
        elif book.find_outcome(trial) is None:
            trial.keep("failed", 0.0, reason=f"its process died {CRASH_RETRIES + 1} times ({crash}).")
        note_end(task, book, trial)
        book.close(trial)
        tell()

    def watch(trial: Trial, step: int, value: float, scalars: Mapping[str, float]) -> None:
        reporter.report_trial(trial.number, trial.point, step, {**scalars, SCORE: value})

    stops = StopWatch(reporter.is_sweep_stopping)
    tuner = tune.Tuner(
        tune.with_resources(work, request_resources(task.resources, context.scratch)),
        tune_config=tune.TuneConfig(
            search_alg=source,
            scheduler=TrialWatch(book, source, rule, watch, end),
            num_samples=-1,  # the book says when there are enough
            reuse_actors=True,
            max_concurrent_trials=book.search.concurrent,
            time_budget_s=None if book.left_s is None else max(book.left_s, LEAST_S),
        ),
        run_config=tune.RunConfig(
            name=f"tune-{uuid.uuid4().hex}",
            storage_path=str(context.scratch.absolute()),
            failure_config=tune.FailureConfig(max_failures=CRASH_RETRIES),
            verbose=0,
            stop=stops,
            callbacks=[stops],
        ),
    )
    tuner.fit()
    if is_stop_requested():
        raise Stopped("the search was stopped")
    if book.error is not None:
        raise book.error
    for trial in book.trials:  # Tune says nothing of those that it stops when the hours are over
        if book.find_outcome(trial) is None:
            end(trial, None)


def prune_judged(book: TrialBook, rule: EarlyStopping) -> None:
    """Stop those trials of an interrupted search that were to be stopped when its process died."""
    from orchestrator.early_stopping import describe_stop

    for number, step in rule.judged.items():
        trial = book.trials[number]
        if book.find_outcome(trial) is None:
            prune(book, trial, describe_stop(book.search, step))
            book.close(trial)
            rule.end(number)


def _make(config: Mapping[str, Any], task: Task, context: StageContext, reporter: Reporter) -> None:
    """Make one trial in a process of Tune's. An error is reported: Tune would take one that is raised for a crash.

    So is a trial that was asked to stop: it would be started again, until it had no attempt left.
    """
    from ray import tune

    point = json.loads(config["point"])
    folder = context.scratch / config["folder"]
    trial = Trial(config["trial"], point, place_trial(task.settings, point), folder, config["until"])

    def on_report(step: int, value: float, scalars: Mapping[str, float]) -> None:
        tune.report({"iterations": step, SCORE: value, "scalars": dict(scalars)})

    log, title = context.folder / LOG_FILE, f"{task.name}, trial {trial.number}: {describe_point(point)}"
    try:
        with keep_log(log, title), reporter.hearing_stops(), limit_time(trial, task.settings.time_limit_s, log):
            paused_s = make_trial(task, context, trial, on_report)
        tune.report({"ended": True} if paused_s is None else {PAUSED_S: paused_s})
    except Stopped:
        tune.report({"stopped": True})
    except Exception as error:
        message = f"The trial {describe_point(trial.point)} stopped. {type(error).__name__}: {error}"
        tune.report({"error": message, "traceback": traceback.format_exc()})


def _ignore(step: int, values: Mapping[str, float]) -> None:
    pass
