"""What is known of every task of a sweep: the progress view and the leaderboard are drawn from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from experiments.graph import Graph
from orchestrator.store import Store


class Status(StrEnum):
    """Where a task is in a sweep."""

    CACHED = "cached"
    WAITING = "waiting"
    SUBMITTED = "submitted"
    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass
class SweepState:
    """What is known of every task of a graph; the progress view is drawn from it.

    Attributes:
        graph: the tasks.
        status: key -> where it is.
        seconds: key -> how long it took, where it ran in this sweep.
        messages: key -> why it failed or was skipped.
        live: key -> latest live scalars of running tasks.
        mirror_problem: what went wrong with MLflow, if anything.
        mlflow_queue: metrics and records that wait to be sent to MLflow.
        is_stopping: whether running tasks were asked to keep what they go on from, and end.
    """

    graph: Graph
    status: dict[str, Status]
    seconds: dict[str, float] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    live: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    mirror_problem: str | None = None
    mlflow_queue: int = 0
    is_stopping: bool = False

    def count(self, *statuses: Status) -> int:
        """Return how many tasks are in one of these states."""
        return sum(status in statuses for status in self.status.values())

    @property
    def is_complete(self) -> bool:
        """Whether every task has its result."""
        return self.count(Status.CACHED, Status.DONE) == len(self.status)


def survey(graph: Graph, store: Store) -> SweepState:
    """Return the state of a sweep before it starts: what is cached and what waits."""
    done = store.list_done()
    return SweepState(graph, {key: Status.CACHED if key in done else Status.WAITING for key in graph.tasks})
