"""The line between a task's processes and the sweep: live scalars one way, requests to stop the other."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from adapt.stopping import Stopped, is_stop_requested, request_stop, withdraw_stop
from experiments.search_space import Point, describe_point
from orchestrator.environment import read_memory
from orchestrator.mlflow_mirror import name_trial_run

LISTEN_S = 2.0  # between two questions whether the sweep is stopping


@dataclass(frozen=True)
class Reporter:
    """Takes the live scalars of a task, in whichever process works on it.

    Attributes:
        tracker: the tracker's actor.
        key: of the task.
        name: of the task.
        is_heeded: whether the task's own work stops on request, as trainings do, at a place that it can go on from.
    """

    tracker: Any
    key: str
    name: str
    is_heeded: bool = False

    def __call__(self, step: int, values: Mapping[str, float]) -> None:
        """Send live scalars, with the memory that this process holds; nobody waits for them.

        Raises:
            Stopped: this process was asked to stop, and the work does not look for that itself.
        """
        self.tracker.report.remote(self.key, self.name, step, {**values, **read_memory()})
        if is_stop_requested() and not self.is_heeded:
            raise Stopped(f"stopped at step {step}")

    def report_trial(self, number: int, point: Point, step: int, values: Mapping[str, float]) -> None:
        """Send live scalars of one trial, where the task is a search."""
        self.tracker.report.remote(name_trial_run(self.key, number), describe_point(point), step, dict(values))

    def is_sweep_stopping(self) -> bool:
        """Ask the tracker whether the whole sweep is stopping; not, where there is no answer."""
        import ray

        with contextlib.suppress(ray.exceptions.RayError):
            return bool(ray.get(self.tracker.is_stopping.remote()))
        return False

    @contextlib.contextmanager
    def hearing_stops(self) -> Iterator[None]:
        """Take SIGTERM (a machine that is about to be taken back) and the sweep's own word for requests to stop, for the body."""
        withdraw_stop()  # of a task before this one: Ray's workers run one after another
        over = threading.Event()
        threading.Thread(target=self._ask, args=(over,), name="stop-requests", daemon=True).start()
        takes_signals = threading.current_thread() is threading.main_thread()
        before = signal.signal(signal.SIGTERM, lambda number, frame: request_stop()) if takes_signals else None
        try:
            yield
        finally:
            over.set()
            if takes_signals:
                signal.signal(signal.SIGTERM, before)
            withdraw_stop()

    def _ask(self, over: threading.Event) -> None:
        """Ask the tracker now and then whether the sweep is stopping, until `over`."""
        while not over.wait(LISTEN_S):
            if self.is_sweep_stopping() and not over.is_set():
                request_stop()
                return
