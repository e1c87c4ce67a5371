"""What runs in a worker process of Ray: a task to its record, with its log, its live scalars and an ear for requests to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from adapt.stopping import Stopped, is_stop_requested, request_stop, withdraw_stop
from experiments.schema import SearchStage
from experiments.task import Task
from orchestrator.execute import Assignment, Attempt, attempt, execute
from orchestrator.request import is_sharded
from orchestrator.stages.stage import OnStep
from orchestrator.store import Store
from orchestrator.task_log import keep_log

LISTEN_S = 2.0  # between two questions whether the sweep is stopping


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

    def on_step(step: int, values: Mapping[str, float]) -> None:
        tracker.report.remote(task.key, task.name, step, dict(values))
        if is_stop_requested():  # a training has stopped by itself before, at its resume point
            raise Stopped(f"stopped at step {step}")

    def run(assignment: Assignment, store: Store, on_step: OnStep) -> Attempt:
        tracker.start.remote(task.key)  # here the task has its lease: its time counts from now on
        with keep_log(store.log_file(task.key), task.name, task.settings.time_limit_s):
            return _choose_attempt(task)(assignment, store, on_step)

    with _hearing_stops(tracker):
        try:
            record = execute(assignment, store, on_step, run)
        except Stopped:
            return Outcome("stopped", 0.0)
    return Outcome(record.status, record.seconds, record.failure.message if record.failure else None)


def _choose_attempt(task: Task) -> Callable[[Assignment, Store, OnStep], Attempt]:
    """Return how a task is run: in its worker, or in others that it starts and waits for."""
    if isinstance(task.settings, SearchStage):
        from orchestrator.search import attempt_search

        return attempt_search
    if is_sharded(task):
        from orchestrator.shards import attempt_in_shards

        return attempt_in_shards
    if task.workers > 1:
        from orchestrator.data_parallel import attempt_in_workers

        return attempt_in_workers
    return attempt


@contextlib.contextmanager
def _hearing_stops(tracker: Any) -> Iterator[None]:
    """Take SIGTERM (a machine that is about to be taken away) and the sweep's own word for requests to stop, for the body."""
    withdraw_stop()  # of a task before this one: Ray's workers run one after another
    over = threading.Event()
    threading.Thread(target=_ask, args=(tracker, over), name="stop-requests", daemon=True).start()
    before = signal.signal(signal.SIGTERM, lambda number, frame: request_stop())
    try:
        yield
    finally:
        over.set()
        signal.signal(signal.SIGTERM, before)
        withdraw_stop()


def _ask(tracker: Any, over: threading.Event) -> None:
    """Ask the tracker now and then whether the sweep is stopping, until `over`."""
    import ray

    while not over.wait(LISTEN_S):
        with contextlib.suppress(ray.exceptions.RayError):
            if ray.get(tracker.is_stopping.remote()) and not over.is_set():
                request_stop()
                return
