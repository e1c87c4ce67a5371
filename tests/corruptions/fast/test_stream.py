"""The random stream against numpy's legacy generator and against numba's, bit for bit."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from corruptions.fast.stream import Stream

SEEDS = [0, 7, 2**32 - 1]


@pytest.mark.parametrize("seed", SEEDS)
def test_uniform_is_numpy_s(seed: int) -> None:
    stream, expected = Stream(seed), np.random.RandomState(seed)
    for low, high, shape in ((0.0, 1.0, (1,)), (-2.5, 1.5, (40, 31)), (-135, -45, (1,)), (0.0, 1.0, (2000,))):
        np.testing.assert_array_equal(stream.uniform(low, high, np.empty(shape)), expected.uniform(low, high, shape))


@pytest.mark.parametrize("seed", SEEDS)
def test_normal_is_numpy_s(seed: int) -> None:
    stream, expected = Stream(seed), np.random.RandomState(seed)
    for shape in ((2,), (60, 71), (5000,), (33, 47)):  # the last is odd
        np.testing.assert_array_equal(stream.normal(0.55, 0.3, np.empty(shape)), expected.normal(0.55, 0.3, shape))
    assert stream.uniform(0, 1, np.empty(1))[0] == expected.uniform(0, 1)


def test_normal_in_the_middle_of_a_pair_is_refused() -> None:
    stream = Stream(0)
    stream.uniform(0, 1, np.empty(3))
    with pytest.raises(ValueError, match="pairs of doubles"):
        stream.normal(0, 1, np.empty(2))


@numba.njit
def draw_in_numba(seed: int, count: int, reach: int) -> np.ndarray:
    np.random.seed(seed)
    drawn = np.empty((count, 2), np.int8)
    for index in range(count):
        drawn[index, 0], drawn[index, 1] = np.random.randint(-reach, reach, size=(2,))
    return drawn


@pytest.mark.parametrize("reach", [1, 2, 3, 4])
def test_integers_are_numba_s(reach: int) -> None:
    for seed in SEEDS:
        stream = Stream(seed)
        parts = [stream.integers(-reach, reach, np.empty((count, 2), np.int8)) for count in (1, 700, 299)]
        np.testing.assert_array_equal(np.concatenate(parts), draw_in_numba(seed, 1000, reach))


def test_streams_leave_numpy_s_state_alone() -> None:
    np.random.seed(3)
    expected = np.random.RandomState(3).uniform(size=3)
    Stream(5).normal(0, 1, np.empty(9))
    np.testing.assert_array_equal(np.random.uniform(size=3), expected)
