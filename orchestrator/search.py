"""A search on the cluster: Ray Tune gives each trial the resources of the stage, and the search itself takes none.

Tune places the trials, packs them on GPUs, keeps their processes for the next trial and replaces those that die. Which
points are tried, what a trial is and which one is best is the search stage's own affair, the same without Ray.
"""

from __future__ import annotations

import functools
import os
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from adapt.errors import TaskError
from experiments.schema import SearchStage
from experiments.search import describe_point
from experiments.task import Task
from orchestrator.execute import CRASH_RETRIES, Assignment, Attempt, attempt
from orchestrator.stages.search import Trial, make_trial, run
from orchestrator.stages.stage import OnStep, StageContext
from orchestrator.store import Store


def attempt_search(assignment: Assignment, store: Store, on_step: OnStep) -> Attempt:
    """Run a search whose trials are spread over the cluster.

    A trial whose process dies is started again, `CRASH_RETRIES` times; then it is a trial without a score. Any other
    error than a `TaskError` in a trial fails the search.

    Args:
        assignment: the task.
        store: on a disk that every machine of the cluster sees.
        on_step: takes live scalars of the search, in this process.

    Returns:
        What the search made, or its failure.
    """
    return attempt(assignment, store, on_step, functools.partial(run, evaluate=make_on_cluster))


def make_on_cluster(task: Task, context: StageContext, trials: Sequence[Trial], on_done: Callable[[], None]) -> None:
    """Make trials by Ray Tune, as many at once as there is room for.

    Args:
        task: the search.
        context: its context; it travels to the trials, less its `on_step`.
        trials: what to make.
        on_done: called in this process when one is finished.

    Raises:
        TaskError: a trial stopped by an error that is none of its point's.
    """
    if not trials:
        return
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # paths in settings are relative to where the sweep was started
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # CSV, JSON and TensorBoard files that nobody reads
    from ray import tune

    from orchestrator.reservation import free_resources, name_search, request_resources

    class Progress(tune.Callback):
        def on_trial_complete(self, *arguments: Any, **named: Any) -> None:
            on_done()

    if not isinstance(task.settings, SearchStage):
        raise TypeError(f"{task.name} is no search")
    free_resources(context.scratch)
    work = functools.partial(_make, task=task, context=replace(context, on_step=_ignore), trials=tuple(trials))
    # Tune finds a function again by its name, on the whole cluster: searches at the same time need names of their own.
    work.__name__ = name_search(context.scratch)  # type: ignore[attr-defined]
    tuner = tune.Tuner(
        tune.with_resources(work, request_resources(task.resources, context.scratch)),
        param_space={"trial": tune.grid_search(list(range(len(trials))))},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=task.settings.search.concurrent),
        run_config=tune.RunConfig(
            name=f"tune-{uuid.uuid4().hex}",
            storage_path=str(context.scratch.absolute()),
            failure_config=tune.FailureConfig(max_failures=CRASH_RETRIES),
            callbacks=[Progress()],
            verbose=0,
        ),
    )
    for result in tuner.fit():
        trial = trials[result.config["trial"]]
        if result.error is None and result.metrics["error"] is not None:
            error = TaskError(result.metrics["error"])
            error.add_note(result.metrics["traceback"])
            raise error
        if trial.read() is None:
            cause = str(result.error).strip().splitlines()[-1].partition(". ")[0]
            trial.keep("failed", 0.0, reason=f"its process died {CRASH_RETRIES + 1} times ({cause}).")
    on_done()


def _make(config: Mapping[str, Any], task: Task, context: StageContext, trials: Sequence[Trial]) -> None:
    """Make one trial in a process of Tune's. An error is reported: Tune would take one that is raised for a crash."""
    from ray import tune

    trial = trials[config["trial"]]
    try:
        make_trial(task, context, trial)
        tune.report({"error": None})
    except Exception as error:
        message = f"The trial {describe_point(trial.point)} stopped. {type(error).__name__}: {error}"
        tune.report({"error": message, "traceback": traceback.format_exc()})


def _ignore(step: int, values: Mapping[str, float]) -> None:
    pass
