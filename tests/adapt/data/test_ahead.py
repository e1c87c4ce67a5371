"""Items prepared in this process and in others."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import cv2
import pytest
import torch
from torch.utils.data import Dataset

from adapt.data.ahead import naming_lost_processes, prepare_ahead
from adapt.errors import TaskError


class Squares(Dataset):
    def __len__(self) -> int:
        return 7

    def __getitem__(self, place):
        return TaskError("the sixth is broken") if place == 6 else (place, torch.full((2, 2), place**2))


@pytest.mark.parametrize("workers", [0, 2])
def test_items_come_in_order_and_an_error_at_its_place(workers: int) -> None:
    items = prepare_ahead(Squares(), workers)
    found = [next(items) for _ in range(6)]
    assert [place for place, _ in found] == list(range(6))
    assert all(torch.equal(square, torch.full((2, 2), place**2)) for place, square in found)
    with pytest.raises(TaskError, match=r"^the sixth is broken$"):
        next(items)


def test_places_are_gone_through_as_they_are_needed_in_this_process() -> None:
    asked: list[int] = []

    def places() -> Iterator[int]:
        for place in (4, 2, 5):
            asked.append(place)
            yield place

    class Places:
        def __iter__(self) -> Iterator[int]:
            return places()

    items = prepare_ahead(Squares(), 0, Places())
    assert (next(items)[0], asked) == (4, [4])
    assert [place for place, _ in items] == [2, 5]


@pytest.mark.parametrize("workers", [0, 1])
def test_random_state_and_opencv_s_threads_stay(workers: int) -> None:
    state, threads = torch.random.get_rng_state(), cv2.getNumThreads()
    next(prepare_ahead(Squares(), workers))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert cv2.getNumThreads() == threads


class Killed(Dataset):
    def __len__(self) -> int:
        return 3

    def __getitem__(self, place):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_is_named_with_a_remedy() -> None:
    with (
        pytest.raises(TaskError, match=r"was killed, as when memory runs out.*Lower `workers`"),
        naming_lost_processes(),
    ):
        list(prepare_ahead(Killed(), 1))


def test_other_errors_are_left_as_they_are() -> None:
    with pytest.raises(RuntimeError, match="of another kind"), naming_lost_processes():
        raise RuntimeError("of another kind")
