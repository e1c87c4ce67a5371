"""The parts that operations share against scipy and naive loops."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from corruptions.fast.fog import make_plasma
from corruptions.fast.motion import blur_rows, trace_line
from corruptions.fast.smoothing import smooth
from corruptions.fast.stream import Stream
from corruptions.fast.zoom import find_samples


@pytest.mark.parametrize(("border", "mode"), [("edge", "nearest"), ("symmetric", "reflect")])
@pytest.mark.parametrize("dtype", ["float64", "float32", "uint8"])
@pytest.mark.parametrize("sigmas", [(1.0, 1.0), (0.4, 6.0), (3.0, 0.7)])
def test_smoothing_is_scipy_s_bit_for_bit(sigmas: tuple[float, float], dtype: str, border: str, mode: str) -> None:
    image = np.random.default_rng(0).uniform(0, 200, (70, 53, 3)).astype(dtype)
    result = np.empty((70, 53 * 3))

    def write(rows: slice, values: NDArray[np.float64]) -> None:
        result[rows] = values

    single = dtype == "float32"
    smooth(image, sigmas, write, border=border, truncate=3.0, single=single)  # type: ignore[arg-type]
    values = image / 255.0 if dtype == "uint8" else image
    expected = ndimage.gaussian_filter(values, (*sigmas, 0), mode=mode, truncate=3.0)
    np.testing.assert_array_equal(result.astype(expected.dtype), expected.reshape(70, -1))


@pytest.mark.parametrize("factor", [1, 1.02, 1.09, 1.2, 2.5, 3, 4.5])
def test_samples_are_those_of_scipy_s_zoom(factor: float) -> None:
    for size in range(32, 200):  # 35 with 1.2, 85 with 3 and some others end in a sample that scipy makes 0
        line = np.random.default_rng(size).normal(size=size)
        before, weights = find_samples(size, factor)
        kept = int(np.ceil(size / factor))
        middle = line[(size - kept) // 2 :][:kept]
        result = line[before] * weights[:, 0] + line[before + 1] * weights[:, 1]
        np.testing.assert_allclose(result, ndimage.zoom(middle, factor, order=1), rtol=0, atol=1e-12)
        assert result.size >= size


def test_lines_of_motion_lie_where_they_point() -> None:
    moves, weights = trace_line((100, 100), 2, 1.0, 0.0)
    assert moves.tolist() == [[0, 0], [0, -1], [0, -2], [0, -3], [0, -4]]
    np.testing.assert_allclose(weights.sum(), 1)
    assert trace_line((100, 100), 2, 1.0, -90.0)[0].tolist() == [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0]]
    assert len(trace_line((3, 100), 2, 1.0, -90.0)[0]) == 3  # the rest would leave the image


def test_motion_repeats_the_border() -> None:
    image = np.random.default_rng(0).uniform(0, 255, (9, 8, 3))
    moves, weights = np.array([[0, 0], [2, -3], [-1, 4]]), np.array([0.5, 0.3, 0.2])
    result = np.empty((9, 24))
    blur_rows(image, moves, weights, 0, result)
    for y in range(9):
        for x in range(8):
            taps = [image[np.clip(y - down, 0, 8), np.clip(x - right, 0, 7)] for down, right in moves]
            np.testing.assert_allclose(result.reshape(9, 8, 3)[y, x], weights @ taps)


def test_plasma_of_four_is_as_by_hand() -> None:
    """Two octaves: the value of every point is a quarter of its four neighbours' sum, wrapped, plus its wobble."""
    draws = np.random.RandomState(0)
    heights = np.zeros((4, 4))
    for step, wobble in ((4, 100.0), (2, 50.0)):
        half, count = step // 2, 4 // step
        offsets = {(half, half): [(-half, -half), (-half, half), (half, -half), (half, half)]}
        around = [(-half, 0), (half, 0), (0, -half), (0, half)]
        offsets |= {(0, half): around, (half, 0): around}
        for (down, right), neighbours in offsets.items():
            noise = wobble * draws.uniform(-wobble, wobble, (count, count))
            for i in range(count):
                for j in range(count):
                    y, x = i * step + down, j * step + right
                    heights[y, x] = sum(heights[(y + a) % 4, (x + b) % 4] for a, b in neighbours) / 4 + noise[i, j]
    np.testing.assert_allclose(make_plasma(4, 2, Stream(0)), heights, rtol=1e-5)
