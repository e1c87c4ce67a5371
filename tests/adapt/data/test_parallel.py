"""One process or several: the same results in the same order."""

from __future__ import annotations

import math

import pytest

from adapt.data.parallel import map_files


@pytest.mark.parametrize("workers", [0, 1, 2, 50])
def test_keeps_the_order(workers: int) -> None:
    items = list(range(5))
    progress: list[tuple[int, int]] = []
    results = list(
        map_files(math.factorial, items, min(workers, 2), lambda done, total: progress.append((done, total)))
    )
    assert results == [1, 1, 2, 6, 24]
    assert progress == [(1, 5), (2, 5), (3, 5), (4, 5), (5, 5)]


def test_nothing_to_do() -> None:
    assert list(map_files(math.factorial, [], 4)) == []


def test_a_failure_reaches_the_caller() -> None:
    with pytest.raises(ValueError, match="negative"):
        list(map_files(math.factorial, [1, -1, 2], 2))
