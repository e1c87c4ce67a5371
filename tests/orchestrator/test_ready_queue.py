"""Which ready task is handed to Ray, and when."""

from __future__ import annotations

from orchestrator import ready_queue
from orchestrator.ready_queue import ReadyQueue


def test_the_most_urgent_goes_first_and_the_earlier_of_equals(make_task) -> None:
    a, b, c, d = (make_task(name, "train") for name in "abcd")
    queue = ReadyQueue({a.key: 1.0, b.key: 9.0, c.key: 1.0, d.key: 4.0}, lambda task: 8)
    queue.add([a, b, c, d])
    assert queue.take() == [b, d, a, c]
    assert queue.take() == []
    assert len(queue) == 0


def test_no_more_is_handed_over_than_could_soon_start(make_task, monkeypatch) -> None:
    monkeypatch.setattr(ready_queue, "LEAST", 1)
    tasks = [make_task(f"t{i}", "train") for i in range(10)]
    queue = ReadyQueue({}, lambda task: 2)
    queue.add(tasks)
    assert queue.take() == tasks[:4]
    assert queue.take() == []
    queue.give_back(tasks[0])
    assert queue.take() == tasks[4:5]
    assert len(queue) == 5


def test_what_waits_for_a_gpu_keeps_nothing_else_back(make_task, monkeypatch) -> None:
    monkeypatch.setattr(ready_queue, "LEAST", 1)
    gpu = [make_task(f"g{i}", "train", resources={"gpus": 1}) for i in range(5)]
    cpu = [make_task(f"c{i}", "train") for i in range(3)]
    queue = ReadyQueue({task.key: 9.0 for task in gpu}, lambda task: 0 if task.resources.gpus else 2)
    queue.add([*gpu, *cpu])
    assert queue.take() == [gpu[0], *cpu]


def test_tasks_that_only_start_others_are_few_at_once(make_task) -> None:
    grids = [make_task(f"b{i}", "benchmark", shards=2) for i in range(40)]
    queue = ReadyQueue({}, lambda task: 1000)
    queue.add(grids)
    assert len(queue.take()) == ready_queue.COORDINATORS
