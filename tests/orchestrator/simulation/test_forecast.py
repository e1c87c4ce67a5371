"""What several replays say together."""

from __future__ import annotations

import pytest

from orchestrator import execute
from orchestrator.room import Demand
from orchestrator.simulation.cluster import NO_OVERHEAD, ClusterSettings, NodeSettings, OverheadSettings
from orchestrator.simulation.forecast import CRASH_RETRIES, average_timeline, forecast
from orchestrator.simulation.work import Work


def make_cluster(count: int = 1, overheads: OverheadSettings = NO_OVERHEAD, **fields: float) -> ClusterSettings:
    node = NodeSettings.model_validate({"count": count, "cpus": 2, "memory_gb": 8, **fields})
    return ClusterSettings(nodes={"a": node}, overheads=overheads)


def make_flat(count: int, seconds: float = 10) -> list[Work]:
    return [Work(f"t{i}", "flat", seconds, (), Demand(cpus=1)) for i in range(count)]


def test_a_cluster_that_never_fails_is_replayed_once() -> None:
    found = forecast(make_flat(4), make_cluster(), runs=50)
    assert len(found.replays) == 1
    makespan = found.spread(lambda one: one.makespan_s)
    assert (makespan.low, makespan.median, makespan.high) == (20, 20, 20)
    assert found.utilisation("GPU") is None
    cpus = found.utilisation("CPU")
    assert cpus is not None
    assert cpus.median == 1.0
    assert found.count_given_up().median == 0


def test_failures_spread_the_makespan() -> None:
    found = forecast(make_flat(40, 600), make_cluster(mean_hours_between_failures=0.5, restart_minutes=2), runs=15)
    makespan = found.spread(lambda one: one.makespan_s)
    assert len(found.replays) == 15
    assert found.bound.seconds == 12_000 < makespan.low < makespan.median < makespan.high
    assert found.spread(lambda one: one.lost_s).median > 0


def test_tasks_that_the_driver_would_give_up_are_counted() -> None:
    """Ten minutes on a node that lasts two on average: one attempt of e^5, 148, comes through."""
    found = forecast(make_flat(2, 600), make_cluster(mean_hours_between_failures=2 / 60, restart_minutes=0), runs=3)
    assert found.count_given_up().median == 2
    assert CRASH_RETRIES == execute.CRASH_RETRIES


def test_what_limits_is_named() -> None:
    chain = [Work(f"c{i}", f"s{i % 2}", 10, (f"c{i - 1}",), Demand(cpus=1)) for i in range(4)]
    long = forecast(chain, make_cluster())
    assert (long.find_limit(), long.sum_path()) == ("critical path", {"s0": 20, "s1": 20})
    assert forecast(make_flat(8), make_cluster()).find_limit() == "CPU"
    slow = forecast(make_flat(100, 0.1), make_cluster(100, OverheadSettings(task_seconds=0, submit_per_second=1)))
    assert slow.find_limit() == "driver"
    assert slow.list_limits()["driver"] == 100
    wide = [Work(f"w{i}", "wide", 10, (), Demand(cpus=1.5)) for i in range(4)]
    assert forecast(wide, make_cluster()).find_limit() is None, "a quarter of each node is of no use to anybody"


def test_the_stages_hold_what_their_tasks_do() -> None:
    works = [*make_flat(3), Work("p", "pair", 4, ("t0",), Demand(cpus=1), workers=2)]
    stages = forecast(works, make_cluster()).sum_stages()
    assert {stage: spread.median for stage, spread in stages.items()} == {"flat": 30, "pair": 8}


def test_a_timeline_is_averaged_over_time() -> None:
    """Three tasks of 10 s on two cores: two cores for 10 s, one for 10 s."""
    one = forecast(make_flat(3), make_cluster()).replays[0]
    line = average_timeline(one, 4)
    assert line["seconds"] == pytest.approx([5, 10, 15, 20])
    assert line["cpus"] == pytest.approx([2, 2, 1, 1])
    assert line["running"] == pytest.approx([2, 2, 1, 1])
    assert line["ready"] == pytest.approx([1, 1, 0, 0])
    assert average_timeline(one, 1)["cpus"] == pytest.approx([1.5])
