"""What no schedule can beat: the longest chain of tasks, and all work spread evenly over all there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.priority import longest_remaining
from orchestrator.simulation.cluster import ClusterSettings
from orchestrator.simulation.work import Work


@dataclass(frozen=True)
class Bound:
    """Lower bounds of a makespan, free of overheads, boots and failures.

    Attributes:
        path: the critical path: keys of the work on it, from first to last.
        path_s: how long it takes.
        work_s: resource -> seconds that its work takes where all of the resource is always busy.
    """

    path: tuple[str, ...]
    path_s: float
    work_s: Mapping[str, float]

    @property
    def seconds(self) -> float:
        """The largest of them."""
        return max(self.path_s, *self.work_s.values(), 0.0)


def find_bound(works: Sequence[Work], cluster: ClusterSettings) -> Bound:
    """Return the lower bounds of a graph on a cluster that has all the resources that it asks for."""
    by_key = {work.key: work for work in works}
    remaining = longest_remaining({work.key: work.seconds for work in works}, {work.key: work.needs for work in works})
    dependants: dict[str, list[str]] = {key: [] for key in by_key}
    first: list[str] = []
    for work in works:
        inputs = [needed for needed in set(work.needs) if needed in by_key]
        for needed in inputs:
            dependants[needed].append(work.key)
        if not inputs:
            first.append(work.key)
    path: list[str] = []
    candidates = first
    while candidates:
        path.append(max(candidates, key=remaining.__getitem__))
        candidates = dependants[path[-1]]
    busy: dict[str, float] = {}
    for work in works:
        for name, amount in work.demand.amounts.items():
            busy[name] = busy.get(name, 0.0) + amount * work.workers * work.seconds
    shares = {name: total / cluster.count(name) for name, total in busy.items() if cluster.count(name)}
    return Bound(tuple(path), remaining[path[0]] if path else 0.0, shares)
