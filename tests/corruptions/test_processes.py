"""Many items in several processes: all results, few items at a time, errors that say what happened."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from corruptions import CorruptionError
from corruptions.processes import AHEAD, is_stopped, map_unordered


@pytest.mark.parametrize("workers", [1, 2])
def test_every_item_has_its_result_and_few_are_taken_ahead(workers: int) -> None:
    taken = done = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(-12, 0):
            taken += 1
            assert taken - done <= AHEAD * workers + workers
            yield item

    results = []
    for result in map_unordered(abs, items(), workers):
        done += 1
        results.append(result)
    assert sorted(results) == list(range(1, 13))


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_function_comes_through(workers: int) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        list(map_unordered(int, ["1", "x", "2"], workers))


def test_a_process_that_dies_is_told() -> None:
    with pytest.raises(CorruptionError, match=r"a process ended abruptly.* fewer workers"):
        list(map_unordered(os._exit, [3, 3], 2))


def test_nobody_stops_a_function_in_this_process() -> None:
    assert not is_stopped()
