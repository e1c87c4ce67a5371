"""Which ready task is handed to Ray, and when."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.task import Task
from orchestrator import ready_queue
from orchestrator.capacity import Machine
from orchestrator.ready_queue import ReadyQueue

EIGHT = Machine({"CPU": 8, "GB": 8})


@pytest.fixture
def make(make_task) -> Callable[..., Task]:
    return lambda name, cpus=1, **fields: make_task(name, "train", resources={"cpus": cpus, **fields})


def test_the_most_urgent_goes_first_and_the_earlier_of_equals(make) -> None:
    a, b, c, d = (make(name) for name in "abcd")
    queue = ReadyQueue({a.key: 1.0, b.key: 9.0, c.key: 1.0, d.key: 4.0}, lambda: (EIGHT,))
    queue.add([a, b, c, d])
    assert queue.take() == [b, d, a, c]
    assert queue.take() == []
    assert len(queue) == 0


def test_no_more_is_handed_over_than_fits(make) -> None:
    large, *small = make("large", 6), *(make(f"s{i}") for i in range(4))
    queue = ReadyQueue({large.key: 9.0}, lambda: (EIGHT,))
    queue.add([*small, large])
    assert queue.take() == [large, *small[:2]]
    assert len(queue) == 2
    urgent = make("urgent")
    queue.add([urgent])
    queue.give_back(small[0])
    assert queue.take() == [small[2]], "among equals the earlier"
    queue.give_back(large)
    assert queue.take() == [small[3], urgent]


def test_what_waits_for_a_gpu_keeps_nothing_else_back_and_asks_for_machines(make, monkeypatch) -> None:
    monkeypatch.setattr(ready_queue, "LEAST", 2)
    gpu, cpu = [make(f"g{i}", gpus=1) for i in range(5)], [make(f"c{i}") for i in range(3)]
    queue = ReadyQueue({task.key: 9.0 for task in gpu}, lambda: (EIGHT,))
    queue.add([*gpu, *cpu])
    assert queue.take() == [*gpu[:2], *cpu]
    queue.give_back(gpu[0])
    assert queue.take() == [gpu[2]]


def test_machines_come_and_go(make) -> None:
    machines = [(EIGHT,)]
    tasks = [make(f"t{i}", 4) for i in range(6)]
    queue = ReadyQueue({}, lambda: machines[-1])
    queue.add(tasks)
    assert queue.take() == tasks[:2]
    machines.append((EIGHT, EIGHT))
    assert queue.take() == tasks[2:4]
    machines.append((Machine({"CPU": 4, "GB": 8}),))
    assert queue.take() == []
    for task in tasks[:4]:
        queue.give_back(task)
    assert queue.take() == tasks[4:5]


def test_tasks_that_only_start_others_are_few_at_once(make_task) -> None:
    grids = [make_task(f"b{i}", "benchmark", shards=2) for i in range(40)]
    queue = ReadyQueue({}, lambda: (EIGHT,))
    queue.add(grids)
    assert len(queue.take()) == ready_queue.COORDINATORS
    queue.give_back(grids[0])
    assert len(queue.take()) == 1
