"""Moving towards the scene: zoom_blur, and the linear enlargement that it shares with snow.

Implements imagecorruptions' function of this name: the mean of the image and of enlargements of its middle. They are
sampled in float32 on values in [0, 255], where the reference rounds to float32 values in [0, 1] that it made in float64.
Like scipy.ndimage.zoom, a last row or column whose coordinate rounds to beyond the last pixel is black. Deviations: within
1 grey level.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled


def zoom_blur(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Average the image with enlargements of its middle.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Stop and step of the factors, which start at 1.
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    stop, step = constants
    height, width = image.shape[:2]
    factors = np.arange(1, stop, step).tolist()
    rows = [find_samples(height, factor, height) for factor in factors]
    columns = [find_samples(width, factor, width) for factor in factors]
    row_indices, row_weights = (np.stack(parts) for parts in zip(*rows, strict=True))
    column_indices, column_weights = (np.stack(parts) for parts in zip(*columns, strict=True))
    result = np.empty_like(image)
    _average_layers(
        image,
        row_indices,
        row_weights.astype(np.float32),
        column_indices,
        column_weights.astype(np.float32),
        result,
    )
    return result


def find_samples(size: int, factor: float, wanted: int | None = None) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find between which pixels of a side the enlargement of its middle is sampled.

    Args:
        size: Length of the side, at least 2 pixels after division by the factor.
        factor: At least 1.
        wanted: How many samples of the enlargement from its start on; None for all, which are `size` or a few more.

    Returns:
        (n,) int64, the first of two neighbours, and (n, 2) float64, the weights of both; they are 0 outside.
    """
    kept = math.ceil(size / factor)
    enlarged = round(kept * factor)
    places = np.arange(enlarged if wanted is None else wanted) * ((kept - 1) / (enlarged - 1))
    before = np.minimum(np.floor(places).astype(np.int64), kept - 2)
    share = places - before
    weights = np.stack([1.0 - share, share], axis=1)
    weights[places > kept - 1] = 0.0
    return before + (size - kept) // 2, weights


@compiled
def _average_layers(
    image: NDArray[np.uint8],
    rows: NDArray[np.int64],
    row_weights: NDArray[np.float32],
    columns: NDArray[np.int64],
    column_weights: NDArray[np.float32],
    result: NDArray[np.uint8],
) -> None:
    """Average the image with layers whose samples are given for each row and for each column."""
    height, width = image.shape[:2]
    total, line = np.empty(width * 3, np.float32), np.empty(width * 3, np.float32)
    share = np.float32(1.0 / (rows.shape[0] + 1))
    for row in range(height):
        _copy(image[row].reshape(-1), total)
        for layer in range(rows.shape[0]):
            first = rows[layer, row]
            upper, lower = image[first].reshape(-1), image[first + 1].reshape(-1)
            _mix_lines(upper, row_weights[layer, row, 0], lower, row_weights[layer, row, 1], line)
            _add_samples(line, columns[layer], column_weights[layer], total)
        _cut(total, share, result[row].reshape(-1))


@compiled
def _copy(samples: NDArray[np.uint8], out: NDArray[np.float32]) -> None:
    for index in range(out.size):
        out[index] = np.float32(samples[index])


@compiled
def _mix_lines(
    one: NDArray[np.uint8], share: np.float32, other: NDArray[np.uint8], rest: np.float32, out: NDArray[np.float32]
) -> None:
    for index in range(out.size):
        out[index] = np.float32(one[index]) * share + np.float32(other[index]) * rest


@compiled
def _add_samples(
    line: NDArray[np.float32], columns: NDArray[np.int64], weights: NDArray[np.float32], total: NDArray[np.float32]
) -> None:
    for index in range(columns.size):
        left, out = 3 * columns[index], 3 * index
        share, rest = weights[index, 0], weights[index, 1]
        total[out] += line[left] * share + line[left + 3] * rest
        total[out + 1] += line[left + 1] * share + line[left + 4] * rest
        total[out + 2] += line[left + 2] * share + line[left + 5] * rest


@compiled
def _cut(total: NDArray[np.float32], share: np.float32, out: NDArray[np.uint8]) -> None:
    for index in range(out.size):
        out[index] = np.uint8(min(total[index] * share, np.float32(255.0)))
