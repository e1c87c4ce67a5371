"""What is simulated: tasks as plain data, free of Ray, the store and experiments."""

from __future__ import annotations

from dataclasses import dataclass, field

from orchestrator.room import Demand


@dataclass(frozen=True)
class Work:
    """A task, or a part of one that is placed on its own: a trial of a search, a shard of a benchmark.

    Attributes:
        key: names it.
        stage: whose busy time it counts as.
        seconds: how long it takes once its workers have started.
        needs: keys of the work that must be done before.
        demand: what each of its workers asks for.
        workers: how many places it takes, all or none, on one node or several; 0 for what only waits, such as a search.
        resume_every_s: seconds of work between two resume points; None starts anew after an interruption.
    """

    key: str
    stage: str
    seconds: float
    needs: tuple[str, ...] = ()
    demand: Demand = field(default_factory=Demand)
    workers: int = 1
    resume_every_s: float | None = None
