"""What replays of a graph say together: medians and ranges, what limits the makespan, and what more nodes would give."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from orchestrator.simulation.bound import Bound, find_bound
from orchestrator.simulation.cluster import ClusterSettings
from orchestrator.simulation.replay import Replay, replay
from orchestrator.simulation.work import Work

SUBMISSION = "driver"
CRASH_RETRIES = 2  # that of `orchestrator.execute`, which imports torch; a test holds the two equal
CLOSE = 0.9  # ours: a bound that makes up so much of the makespan is what limits it


@dataclass(frozen=True)
class Spread:
    """Median and 5th and 95th percentile over replays."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Forecast:
    """Replays of one graph on one cluster, each with its own failures.

    Attributes:
        works: what was replayed.
        cluster: where.
        bound: what no schedule can beat.
        replays: at least one.
    """

    works: tuple[Work, ...]
    cluster: ClusterSettings
    bound: Bound
    replays: tuple[Replay, ...]

    def spread(self, measure: Callable[[Replay], float]) -> Spread:
        """Return the spread of what is measured on each replay."""
        low, median, high = np.percentile([measure(one) for one in self.replays], [5, 50, 95])
        return Spread(float(median), float(low), float(high))

    def utilisation(self, resource: str) -> Spread | None:
        """Return the share of a resource that tasks held; None where the cluster has none of it."""
        if not self.cluster.count(resource):
            return None
        return self.spread(lambda one: one.utilisation(resource) or 0.0)

    def list_limits(self) -> dict[str, float]:
        """Return what bounds the makespan -> its seconds, the largest first: a resource, `critical path` or `driver`."""
        rate = self.cluster.overheads.submit_per_second
        limits = {"critical path": self.bound.path_s, **self.bound.work_s}
        limits |= {SUBMISSION: len(self.works) / rate} if rate is not None else {}
        return dict(sorted(limits.items(), key=lambda item: -item[1]))

    def find_limit(self) -> str | None:
        """Return what limits the makespan: the bound that it comes close to, or None where it is none of them alone."""
        name, seconds = next(iter(self.list_limits().items()))
        makespan_s = self.spread(lambda one: one.makespan_s).median
        return name if seconds >= CLOSE * makespan_s else None

    def sum_path(self) -> dict[str, float]:
        """Return the stages of the critical path, in order, with the seconds of their work on it."""
        by_key, stages = {work.key: work for work in self.works}, dict[str, float]()
        for key in self.bound.path:
            work = by_key[key]
            stages[work.stage] = stages.get(work.stage, 0.0) + work.seconds
        return stages

    def sum_stages(self) -> dict[str, Spread]:
        """Return stage -> seconds in which its tasks held their places, times workers."""
        stages = dict.fromkeys(work.stage for work in self.works)
        return {stage: self.spread(lambda one, stage=stage: one.stage_s.get(stage, 0.0)) for stage in stages}  # type: ignore[misc]

    def count_given_up(self) -> Spread:
        """Return how many tasks were interrupted more often than the driver tries again after crashes."""
        return self.spread(lambda one: sum(count > CRASH_RETRIES for count in one.interruptions.values()))


def forecast(works: Sequence[Work], cluster: ClusterSettings, runs: int = 1, seed: int = 0) -> Forecast:
    """Replay a graph several times; once where no node of the cluster ever fails.

    Args:
        works: what is to be done.
        cluster: where.
        runs: how often.
        seed: of the failures of the first replay; the next ones take the numbers after it.

    Raises:
        PrerequisiteError: a task fits no node, or never ends.
    """
    fails = any(node.mean_hours_between_failures is not None for node in cluster.nodes.values())
    replays = [replay(works, cluster, seed + number) for number in range(runs if fails else 1)]
    return Forecast(tuple(works), cluster, find_bound(works, cluster), tuple(replays))


def average_timeline(one: Replay, bins: int) -> dict[str, list[float]]:
    """Return the timeline of a replay in equal bins, each quantity averaged over time.

    Returns:
        `seconds` (the end of each bin), `ready`, `running`, `cpus` and `gpus`.
    """
    line = one.timeline
    times = np.array([0.0, *line.seconds])
    edges = np.linspace(0.0, max(one.makespan_s, 1e-9), bins + 1)
    result = {"seconds": [float(edge) for edge in edges[1:]]}
    for name in ("ready", "running", "cpus", "gpus"):
        levels = np.array([0.0, *getattr(line, name)])  # from each time until the next
        areas = np.concatenate([[0.0], np.cumsum(levels[:-1] * np.diff(times))])
        result[name] = [float(mean) for mean in np.diff(np.interp(edges, times, areas)) / np.diff(edges)]
    return result
