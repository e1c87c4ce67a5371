"""Metrics of a sweep for Prometheus, through Ray's own export: every node of the cluster offers them on one port.

Ray puts `ray_` before each name. It forgets a gauge that is not set again within two of its report intervals (20 s), so
what is said of a task ends with the task: no label of a finished task lingers.
"""

from __future__ import annotations

import collections
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from orchestrator.costs import Costs, estimate_remaining_s
from orchestrator.pace import Pace
from orchestrator.sweep_state import Status, SweepState

SEND_S = 5.0  # half of Ray's report interval: what lives is set again before it is forgotten
PREFIX = "ray_"  # what Ray puts before the names

_SWEEP = ("experiment", "profile")
_TASK = ("experiment", "profile", "task")


@dataclass(frozen=True)
class Definition:
    """One gauge.

    Attributes:
        name: without Ray's prefix; it ends with the unit where there is one.
        text: what it says, for the help line.
        labels: what tells its series apart.
    """

    name: str
    text: str
    labels: tuple[str, ...]


TASKS = Definition("segshift_tasks", "Tasks of a sweep by state.", (*_SWEEP, "state"))
TO_GO = Definition("segshift_seconds_to_go", "Estimated seconds to the end of a sweep.", _SWEEP)
QUEUE = Definition("segshift_mlflow_queue", "Metrics and records that wait to be sent to MLflow.", _SWEEP)
RATE = Definition("segshift_iterations_per_second", "Iterations or frames a second of a running task.", _TASK)
PROGRESS = Definition("segshift_progress_ratio", "How far a running task is, in [0, 1].", _TASK)
LOSS = Definition("segshift_loss", "Latest loss of a running task.", _TASK)
MIOU = Definition("segshift_miou", "mIoU of a running task so far, in [0, 1].", _TASK)
MEMORY = Definition("segshift_task_memory_bytes", "Resident memory of a task's process.", _TASK)
GPU_MEMORY = Definition("segshift_gpu_memory_bytes", "GPU memory that torch holds in a task's process.", _TASK)

DEFINITIONS = (TASKS, TO_GO, QUEUE, RATE, PROGRESS, LOSS, MIOU, MEMORY, GPU_MEMORY)

# metric -> the live scalars that it may come from; the first that a task reports is taken
_SCALARS: dict[Definition, tuple[str, ...]] = {
    PROGRESS: ("progress",),
    LOSS: ("loss", "source_loss"),
    MIOU: ("miou", "validation_miou"),
    MEMORY: ("memory_bytes",),
    GPU_MEMORY: ("gpu_memory_bytes",),
}


class Gauge(Protocol):
    """What a gauge must offer; `ray.util.metrics.Gauge` does."""

    def set(self, value: float, tags: dict[str, str]) -> None:
        """Give one series its value."""


def make_ray_gauge(definition: Definition) -> Gauge:
    """Make the gauge on the Ray cluster that this process is connected to."""
    from ray.util import metrics

    gauge: Gauge = metrics.Gauge(definition.name, definition.text, definition.labels)
    return gauge


class SweepMetrics:
    """Sets the gauges of a sweep from its state every few seconds.

    Args:
        costs: measured seconds by stage, for the time to go.
        slots: how many tasks run at once, for the time to go.
        make_gauge: makes the gauges.
    """

    def __init__(self, costs: Costs, slots: float, make_gauge: Callable[[Definition], Gauge] = make_ray_gauge) -> None:
        self._costs, self._slots = costs, slots
        self._gauges = {definition: make_gauge(definition) for definition in DEFINITIONS}
        self._pace = Pace()
        self._next = 0.0

    def update(self, state: SweepState) -> None:
        """Set every gauge that has a value now, unless that was done a moment ago."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + SEND_S
        running = {key: live for key, live in state.live.items() if state.status.get(key) is Status.SUBMITTED}
        self._pace.observe(running, now)
        sweep = {"experiment": state.graph.name, "profile": state.graph.variant}
        for name, count in _count_states(state, len(running)).items():
            self._set(TASKS, count, sweep | {"state": name})
        self._set(TO_GO, estimate_remaining_s(state, self._costs, self._slots), sweep)
        self._set(QUEUE, state.mlflow_queue, sweep)
        for key, live in running.items():
            labels = sweep | {"task": state.graph.tasks[key].name}
            self._set(RATE, self._pace.rate(key, now), labels)
            for definition, names in _SCALARS.items():
                self._set(definition, next((live[name] for name in names if name in live), None), labels)

    def _set(self, definition: Definition, value: float | None, labels: dict[str, str]) -> None:
        if value is not None and math.isfinite(value):
            self._gauges[definition].set(float(value), labels)


def _count_states(state: SweepState, running: int) -> Mapping[str, int]:
    counts = collections.Counter(state.status.values())
    return {
        "cached": counts[Status.CACHED],
        "done": counts[Status.DONE],
        "running": running,
        "waiting": counts[Status.WAITING] + counts[Status.SUBMITTED] - running,
        "failed": counts[Status.FAILED],
        "skipped": counts[Status.SKIPPED],
    }
