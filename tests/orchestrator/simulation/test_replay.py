"""Replays worked by hand, against a naive simulator, with failures at known times, and what must be conserved."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapt.errors import PrerequisiteError
from orchestrator.priority import longest_remaining
from orchestrator.room import Demand
from orchestrator.simulation import replay as module
from orchestrator.simulation.cluster import NO_OVERHEAD, ClusterSettings, NodeSettings, OverheadSettings
from orchestrator.simulation.replay import replay
from orchestrator.simulation.work import Work


def make_cluster(*cpus: float, overheads: OverheadSettings = NO_OVERHEAD, **fields: Any) -> ClusterSettings:
    nodes = {
        f"n{i}": NodeSettings(**{"count": 1, "cpus": each, "memory_gb": 8, **fields}) for i, each in enumerate(cpus)
    }
    return ClusterSettings(nodes=nodes, overheads=overheads)


def make_work(key: str, seconds: float, *needs: str, cpus: float = 1, **fields: Any) -> Work:
    return Work(key, key[0], seconds, needs, Demand(cpus=cpus), **fields)


def test_five_tasks_on_two_machines() -> None:
    """Ways to the end: a 7, b 5, c 3, d 3, e 1. n0: a 0-4 with e 0-1 beside it, then c 4-7. n1: b 0-2, d 2-5."""
    works = [
        make_work("a", 4), make_work("b", 2, cpus=2), make_work("c", 3, "a"), make_work("d", 3, "b", cpus=2),
        make_work("e", 1),
    ]  # fmt: skip
    result = replay(works, make_cluster(2, 2, price_per_hour=3600))
    assert result.starts == {"a": 0, "b": 0, "c": 4, "d": 2, "e": 0}
    assert result.ends == {"a": 4, "b": 2, "c": 7, "d": 5, "e": 1}
    assert result.makespan_s == 7
    assert result.busy_s == {"CPU": 4 + 2 * 2 + 3 + 2 * 3 + 1}
    assert result.offered_s["CPU"] == 4 * 7
    assert result.utilisation("CPU") == pytest.approx(18 / 28)
    assert result.utilisation("GPU") is None
    assert result.cost == pytest.approx(2 * 7), "two nodes of 1 a second, idle or not"
    assert result.stage_s == {"a": 4, "b": 2, "c": 3, "d": 3, "e": 1}
    line = result.timeline
    assert list(zip(line.seconds, line.running, line.cpus, strict=True)) == [
        (0, 3, 4), (1, 2, 3), (2, 2, 3), (4, 2, 3), (5, 1, 1), (7, 0, 0),
    ]  # fmt: skip


def test_workers_wait_until_all_fit() -> None:
    """Two workers of two cores find room only once the short task is done; the last one passes them by."""
    works = [make_work("a", 5), make_work("p", 4, cpus=2, workers=2), make_work("z", 1)]
    result = replay(works, make_cluster(2, 2))
    assert result.starts == {"a": 0, "z": 0, "p": 5}
    assert result.busy_s["CPU"] == 5 + 1 + 4 * 4
    assert result.stage_s["p"] == 8


def test_what_only_waits_takes_no_place_and_no_time() -> None:
    works = [
        make_work("a", 3),
        make_work("b", 5),
        Work("join", "j", 0.0, ("a", "b"), workers=0),
        make_work("c", 1, "join"),
    ]
    result = replay(works, make_cluster(2))
    assert (result.ends["join"], result.starts["c"], result.makespan_s) == (5, 5, 6)


def test_overheads_hold_the_place_and_the_driver_has_a_pace() -> None:
    """Submitted at 0.5, 1, 1.5 s, the longest first; each holds its core 0.25 s longer."""
    works = [make_work("a", 1), make_work("b", 2), make_work("c", 3)]
    pace = OverheadSettings(task_seconds=0.25, submit_per_second=2, notice_seconds=0)
    result = replay(works, make_cluster(8, overheads=pace))
    assert result.starts == {"c": 0.5, "b": 1.0, "a": 1.5}
    assert result.ends == {"c": 3.75, "b": 3.25, "a": 2.75}
    assert result.busy_s["CPU"] == 6.75


def test_nodes_are_paid_while_they_boot_and_offer_nothing_until_then() -> None:
    result = replay([make_work("a", 60)], make_cluster(1, start_minutes=2, price_per_hour=60))
    assert (result.starts["a"], result.makespan_s) == (120, 180)
    assert result.offered_s["CPU"] == 60
    assert result.cost == pytest.approx(3)


Draws = Callable[[Sequence[float]], None]


@pytest.fixture
def fail_after(monkeypatch: pytest.MonkeyPatch) -> Draws:
    """Have nodes fail after these seconds, in the order in which they come up, and then never again."""

    def set_draws(seconds: Sequence[float]) -> None:
        draws: Iterator[float] = iter(seconds)
        generator = SimpleNamespace(exponential=lambda scale: next(draws, math.inf))
        monkeypatch.setattr(module.np.random, "default_rng", lambda seed: generator)

    return set_draws


SPOT = {"spot": True, "mean_hours_between_failures": 1.0, "restart_minutes": 1.0}


def test_a_lost_node_sends_its_task_back_to_its_resume_point(fail_after: Draws) -> None:
    """25 of 40 s are done when the node is lost, the last point at 20. Again on the new node at 85, for the 20 s that are left."""
    fail_after([25])
    works = [make_work("a", 40, resume_every_s=10), make_work("b", 10, "a")]
    result = replay(works, make_cluster(1, price_per_hour=3600, **SPOT))
    assert (result.starts["a"], result.ends["a"], result.makespan_s) == (85, 105, 115)
    assert (result.failures, result.lost_s, result.interruptions) == (1, 5, {"a": 1})
    assert result.busy_s["CPU"] == 25 + 20 + 10
    assert result.offered_s["CPU"] == 25 + 30
    assert result.cost == pytest.approx(55), "nothing is paid between the loss and the new node"


def test_without_resume_points_all_is_lost_and_a_warning_saves_most(fail_after: Draws) -> None:
    fail_after([25])
    result = replay([make_work("a", 40)], make_cluster(1, **SPOT))
    assert (result.lost_s, result.makespan_s) == (25, 85 + 40)
    fail_after([25])
    warned = make_cluster(1, **SPOT, warning_seconds=2)
    assert replay([make_work("a", 40)], warned).lost_s == 25, "it has nothing to resume from"
    fail_after([25])
    result = replay([make_work("a", 40, resume_every_s=30)], warned)
    assert (result.lost_s, result.makespan_s) == (2, 85 + 17)


def test_a_task_goes_on_elsewhere_once_the_loss_is_noticed(fail_after: Draws) -> None:
    """n0 is lost at 10; n1 is free at 12; noticed after 16 s, at 26."""
    fail_after([10])
    late = OverheadSettings(task_seconds=0, submit_per_second=None, notice_seconds=16)
    works = [make_work("a", 20), make_work("b", 12)]
    result = replay(works, make_cluster(1, 1, overheads=late, **SPOT))
    assert result.starts["a"] == 26
    assert result.makespan_s == 46


def test_a_lost_worker_stops_the_others_of_its_task(fail_after: Draws) -> None:
    """Two workers; n1 is lost at 10 and back at 70. Meanwhile n0 takes the other task."""
    fail_after([math.inf, 10])
    works = [make_work("p", 30, workers=2), make_work("z", 5, "q"), make_work("q", 1)]
    result = replay(works, make_cluster(1, 1, **SPOT))
    assert result.starts == {"q": 10, "z": 11, "p": 70}
    assert result.lost_s == 20, "ten seconds of two workers"


def test_a_task_that_ends_as_its_node_is_lost_has_ended(fail_after: Draws) -> None:
    fail_after([10])
    result = replay([make_work("a", 10), make_work("b", 5, "a")], make_cluster(1, **SPOT))
    assert result.ends["a"] == 10
    assert result.starts["b"] == 70


def test_a_task_that_never_ends_is_an_error() -> None:
    node = NodeSettings(count=1, cpus=1, memory_gb=1, mean_hours_between_failures=0.01, restart_minutes=0)
    with pytest.raises(PrerequisiteError, match="a was interrupted 1000 times: it takes 10 h"):
        replay([make_work("a", 36_000)], ClusterSettings(nodes={"bad": node}))


def test_what_no_node_holds_is_refused() -> None:
    with pytest.raises(
        PrerequisiteError, match=r"stage 'a' asks for 3 CPU and the cluster has no room.*1 x n0 \(2 CPU"
    ):
        replay([make_work("a", 1, cpus=3)], make_cluster(2, 2))
    with pytest.raises(PrerequisiteError, match="2 CPU for each of 3 workers"):
        replay([make_work("a", 1, cpus=2, workers=3)], make_cluster(2, 2))


def simulate_naively(works: Sequence[Work], cpus: Sequence[float]) -> dict[str, float]:
    """Return when each task starts: at every moment, go through all tasks that are ready and all nodes."""
    remaining = longest_remaining({w.key: w.seconds for w in works}, {w.key: w.needs for w in works})
    free, starts, ends, ready, now = list(cpus), {}, {}, [], 0.0
    held: dict[str, list[int]] = {}
    ready = [work for work in works if not work.needs]
    offered = {work.key for work in ready}
    while len(ends) < len(works):
        for work in sorted(ready, key=lambda work: -remaining[work.key]):
            chosen, left = [], list(free)
            for node in range(len(free)):
                while len(chosen) < work.workers and left[node] >= work.demand.cpus:
                    left[node] -= work.demand.cpus
                    chosen.append(node)
            if len(chosen) == work.workers:
                free, held[work.key], starts[work.key] = left, chosen, now
                ready.remove(work)
        running = {work.key: work for work in works if work.key in starts and work.key not in ends}
        now = min(starts[key] + work.seconds for key, work in running.items())
        for work in [work for work in works if work.key in running and starts[work.key] + work.seconds == now]:
            ends[work.key] = now
            for node in held[work.key]:
                free[node] += work.demand.cpus
            for other in works:
                if other.key not in offered and work.key in other.needs and all(key in ends for key in other.needs):
                    offered.add(other.key)
                    ready.append(other)
    return starts


@st.composite
def draw_works(draw: st.DrawFn) -> list[Work]:
    works: list[Work] = []
    for index in range(draw(st.integers(1, 25))):
        needs = tuple({work.key for work in draw(st.lists(st.sampled_from(works), max_size=2))}) if works else ()
        cpus, workers = draw(st.sampled_from([(0.5, 1), (1, 1), (2, 1), (3, 1), (1, 3), (2, 2)]))
        every = draw(st.sampled_from([None, 1.0, 4.0]))
        seconds = float(draw(st.integers(1, 9)))
        works.append(make_work(f"{index}", seconds, *needs, cpus=cpus, workers=workers, resume_every_s=every))
    return works


@given(draw_works(), st.sampled_from([(4,), (2, 3), (3, 1, 2)]))
def test_against_the_naive_simulator(works: list[Work], cpus: tuple[float, ...]) -> None:
    assume_fits = all(sum(int(c // w.demand.cpus) for c in cpus) >= w.workers for w in works)
    if not assume_fits:
        with pytest.raises(PrerequisiteError):
            replay(works, make_cluster(*cpus))
        return
    assert replay(works, make_cluster(*cpus)).starts == simulate_naively(works, cpus)


@given(draw_works(), st.integers(0, 1000), st.sampled_from([0.0, 0.5]))
def test_what_is_held_is_work_done_and_work_lost(works: list[Work], seed: int, overhead: float) -> None:
    """With one core for each worker, core-seconds are the seconds of all work, what was lost, and an overhead for each end."""
    works = [Work(w.key, w.stage, w.seconds, w.needs, Demand(cpus=1), w.workers, w.resume_every_s) for w in works]
    slow = OverheadSettings(task_seconds=overhead, submit_per_second=None, notice_seconds=1)
    failing = {"mean_hours_between_failures": 30 / 3600, "restart_minutes": 0.1, "price_per_hour": 3600.0}
    result = replay(works, make_cluster(2, 2, overheads=slow, **failing), seed)
    done = sum((work.seconds + overhead) * work.workers for work in works)
    assert result.busy_s["CPU"] == pytest.approx(done + result.lost_s)
    assert sum(result.stage_s.values()) == pytest.approx(result.busy_s["CPU"])
    assert result.busy_s["CPU"] <= result.offered_s["CPU"] * (1 + 1e-9)
    assert result.cost == pytest.approx(result.offered_s["CPU"] / 2), "1 a second for two cores that are up"
    assert set(result.ends) == {work.key for work in works}
    assert all(result.starts[work.key] >= result.ends[key] for work in works for key in work.needs)


def test_equal_seeds_fail_alike() -> None:
    works = [make_work(f"{i}", 100) for i in range(20)]
    failing = make_cluster(2, 2, mean_hours_between_failures=0.02, restart_minutes=0.1)
    assert replay(works, failing, 1) == replay(works, failing, 1)
    assert replay(works, failing, 1).makespan_s != replay(works, failing, 2).makespan_s
