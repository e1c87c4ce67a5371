"""Which waiting task starts next."""

from __future__ import annotations

from orchestrator.capacity import Machine
from orchestrator.placement import PlacementQueue
from orchestrator.room import Demand, Room


def make_queue(*cpus: float) -> PlacementQueue[str]:
    return PlacementQueue(Room([Machine({"CPU": each}) for each in cpus]))


def test_the_longest_way_goes_first_and_the_earlier_of_equals() -> None:
    queue = make_queue(4)
    for name, remaining_s in (("a", 1.0), ("b", 9.0), ("c", 1.0), ("d", 4.0)):
        queue.push(name, Demand(cpus=1), 1, remaining_s)
    assert [placed.task for placed in iter(queue.pop, None)] == ["b", "d", "a", "c"]
    assert len(queue) == 0


def test_what_fits_nowhere_lets_others_pass_and_is_first_when_it_fits() -> None:
    queue = make_queue(4)
    for name, cpus, remaining_s in (("small", 1, 9.0), ("large", 4, 8.0), ("tiny", 1, 1.0)):
        queue.push(name, Demand(cpus=cpus), 1, remaining_s)
    small, tiny = queue.pop(), queue.pop()
    assert small is not None
    assert tiny is not None
    assert (small.task, tiny.task, queue.pop()) == ("small", "tiny", None)
    queue.push("late", Demand(cpus=1), 1, 0.5)
    queue.release(small)
    late = queue.pop()
    assert late is not None
    assert late.task == "late", "one core is free, and only this fits"
    queue.release(late)
    queue.release(tiny)
    queue.push("last", Demand(cpus=1), 1, 0.5)
    assert [placed.task for placed in iter(queue.pop, None)] == ["large"]
    assert len(queue) == 1


def test_workers_start_together() -> None:
    queue = make_queue(2, 2)
    queue.push("one", Demand(cpus=2), 1, 5.0)
    queue.push("pair", Demand(cpus=2), 2, 4.0)
    one = queue.pop()
    assert one is not None
    assert queue.pop() is None
    queue.release(one)
    pair = queue.pop()
    assert pair is not None
    assert [place.node for place in pair.places] == [0, 1]


def test_a_node_that_comes_up_takes_what_waits() -> None:
    queue = PlacementQueue[str](Room([Machine({"CPU": 1}), Machine({"CPU": 1})], is_up=False))
    queue.push("a", Demand(cpus=1), 1, 1.0)
    assert queue.pop() is None
    queue.set_up(1, True)
    placed = queue.pop()
    assert placed is not None
    assert placed.places[0].node == 1
