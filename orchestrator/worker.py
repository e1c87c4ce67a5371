"""What runs in a worker process of Ray: a task to its record, with its log, and stopped on request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from adapt.stopping import Stopped
from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.execute import Assignment, Attempt, attempt, execute
from orchestrator.reporter import Reporter
from orchestrator.request import find_limit_s, is_sharded
from orchestrator.stages.stage import OnStep
from orchestrator.store import Store
from orchestrator.task_log import keep_log


@dataclass(frozen=True)
class Outcome:
    """How a worker's work on a task ended; the record itself stays in the store.

    Attributes:
        status: `stopped` has no record: the task can go on from what it kept.
        seconds: of the record.
        message: why it failed.
    """

    status: Literal["done", "failed", "stopped"]
    seconds: float
    message: str | None = None


def run_on_worker(assignment: Assignment, store: Store, tracker: Any) -> Outcome:
    """Run a task in a worker.

    Args:
        assignment: the task.
        store: where it belongs.
        tracker: the tracker's actor.
    """
    task = assignment.task
    is_training = task.kind in ("train", "uda") and find_search(task.settings) is None
    reporter = Reporter(tracker, task.key, task.name, is_heeded=is_training)

    def run(assignment: Assignment, store: Store, _: OnStep) -> Attempt:
        tracker.start.remote(task.key)  # here the task has its lease: its time counts from now on
        with keep_log(store.log_file(task.key), task.name, find_limit_s(task)):
            return _choose_attempt(task)(assignment, store, reporter)

    with reporter.hearing_stops():
        try:
            record = execute(assignment, store, reporter, run)
        except Stopped:
            return Outcome("stopped", 0.0)
    return Outcome(record.status, record.seconds, record.failure.message if record.failure else None)


def _choose_attempt(task: Task) -> Callable[[Assignment, Store, Reporter], Attempt]:
    """Return how a task is run: in its worker, or in others that it starts and waits for."""
    if find_search(task.settings) is not None:
        from orchestrator.search import attempt_search

        return attempt_search
    if is_sharded(task):
        from orchestrator.shards import attempt_in_shards

        return attempt_in_shards
    if task.workers > 1:
        from orchestrator.data_parallel import attempt_in_workers

        return attempt_in_workers
    return attempt
