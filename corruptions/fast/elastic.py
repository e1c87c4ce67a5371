"""Stretching as of a rubber sheet: elastic_transform.

Implements imagecorruptions' function of this name on the same random stream: uniform noise, smoothed and scaled, says
where each pixel is read, bilinearly and with borders that repeat backwards (scipy's 'reflect'). Displacements are made
in float64 and kept in float32 as there. Deviations: none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled
from corruptions.fast.smoothing import smooth
from corruptions.fast.stream import Stream

SMOOTHNESS = 0.01  # sigma of the smoothing, as a share of each side
LARGEST = 0.005  # of the noise, as a share of the height (for both directions)
TRUNCATE = 3.0  # sigmas


def elastic_transform(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Move every pixel by a smooth random field.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Factor on the smoothed noise.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (factor,) = constants
    height, width = image.shape[:2]
    stream, noise = Stream(seed), np.empty((height, width))
    fields = np.empty((2, height, width), dtype=np.float32)  # right, then down
    for field in fields:

        def write(rows: slice, values: NDArray[np.float64], field: NDArray[np.float32] = field) -> None:
            np.multiply(values, factor, out=field[rows], casting="unsafe")

        stream.uniform(-height * LARGEST, height * LARGEST, noise)
        smooth(noise, (height * SMOOTHNESS, width * SMOOTHNESS), write, border="symmetric", truncate=TRUNCATE)
    result = np.empty_like(image)
    levels = (np.arange(256, dtype=np.float32) / np.float32(255)).astype(np.float64)
    _move(image, fields[0], fields[1], levels, result)
    return result


@compiled
def _reflect(place: int, size: int) -> int:
    place %= 2 * size
    return place if place < size else 2 * size - 1 - place


@compiled
def _move(
    image: NDArray[np.uint8],
    right: NDArray[np.float32],
    down: NDArray[np.float32],
    levels: NDArray[np.float64],
    result: NDArray[np.uint8],
) -> None:
    height, width = image.shape[:2]
    for row in range(height):
        for column in range(width):
            y, x = row + np.float64(down[row, column]), column + np.float64(right[row, column])
            top, left = int(np.floor(y)), int(np.floor(x))
            below, after = y - top, x - left
            above, before = 1.0 - below, 1.0 - after
            bottom, far = top + 1, left + 1
            if top < 0 or bottom >= height:
                top, bottom = _reflect(top, height), _reflect(bottom, height)
            if left < 0 or far >= width:
                left, far = _reflect(left, width), _reflect(far, width)
            for channel in range(3):
                value = levels[image[top, left, channel]] * above * before
                value += levels[image[top, far, channel]] * above * after
                value += levels[image[bottom, left, channel]] * below * before
                value += levels[image[bottom, far, channel]] * below * after
                result[row, column, channel] = np.uint8(min(np.float32(value), np.float32(1.0)) * np.float32(255.0))
