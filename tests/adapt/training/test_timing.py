"""Mean seconds per iteration, by a clock of our own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from adapt.training.timing import StepTimer


def tick(*times: float) -> Iterator[float]:
    yield from times


def test_spans_of_one_name_add_up_and_are_shared_by_the_iterations() -> None:
    timer = StepTimer(tick(0, 3, 10, 11, 20, 25).__next__)
    with timer.measure("student"):
        pass
    with timer.measure_host("data"):
        pass
    timer.count_iteration()
    with timer.measure("student"):
        pass
    timer.count_iteration()

    assert timer.read() == {"student": 4.0, "data": 0.5}


def test_a_reading_starts_anew() -> None:
    timer = StepTimer(tick(0, 3, 5, 6).__next__)
    with timer.measure("student"):
        pass
    timer.count_iteration()
    timer.read()
    with timer.measure("teacher"):
        pass
    timer.count_iteration()

    assert timer.read() == {"teacher": 1.0}
    assert timer.read() == {}


def test_a_gpu_is_waited_for_only_when_read(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter((100.0, 250.0, 300.0, 310.0))  # ms
    waited: list[float] = []

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = next(now)

        def synchronize(self) -> None:
            waited.append(self.at)

        def elapsed_time(self, end: Event) -> float:
            return end.at - self.at

    monkeypatch.setattr(torch.cuda, "Event", Event)
    timer = StepTimer(tick(0, 7).__next__)
    timer.device = torch.device("cuda")
    with timer.measure("student"):
        pass
    with timer.measure("student"):
        pass
    with timer.measure_host("data"):
        pass
    timer.count_iteration()
    assert waited == []

    assert timer.read() == pytest.approx({"student": 0.16, "data": 7.0})
    assert waited == [310.0]
