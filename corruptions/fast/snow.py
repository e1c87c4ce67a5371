"""Falling snow: snow.

Implements imagecorruptions' function of this name on the same random stream: normal noise, enlarged and cut off below a
threshold, streaked along a steep line and laid over a whitened image twice, the second time turned by 180 degrees. Flakes
are float64 and the image float32 as there. Deviations: none.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled
from corruptions.fast.motion import blur_rows, trace_line
from corruptions.fast.stream import Stream
from corruptions.fast.zoom import find_samples

STEEPEST, FLATTEST = -135.0, -45.0  # degrees between which the streaks fall
STRIP = 64  # rows at a time


def snow(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Let snow fall.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Mean and sigma of the flakes, zoom, threshold, radius and sigma of their motion, share of the image
            that is kept.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    mean, sigma, zoom, threshold, radius, motion, kept = constants
    height, width = image.shape[:2]
    stream = Stream(seed)
    noise = stream.normal(mean, sigma, np.empty((height, width)))
    angle = float(stream.uniform(STEEPEST, FLATTEST, np.empty(1))[0])
    layer = _enlarge_flakes(noise, *find_samples(height, zoom), *find_samples(width, zoom), threshold)
    del noise
    flakes = _streak(layer, int(radius), motion, angle)[:height, :width]
    del layer
    turned = flakes[::-1, ::-1]
    result = np.empty_like(image)
    for start in range(0, height, STRIP):
        rows = slice(start, start + STRIP)
        levels = image[rows] / np.float32(255)
        grey = cv2.cvtColor(levels, cv2.COLOR_RGB2GRAY)
        _lay_over(levels, grey, flakes[rows], turned[rows], np.float32(kept), np.float32(1 - kept), result[rows])
    return result


def _streak(layer: NDArray[np.float64], radius: int, sigma: float, angle: float) -> NDArray[np.uint8]:
    moves, weights = trace_line(layer.shape, radius, sigma, angle)
    flakes = np.empty(layer.shape, dtype=np.uint8)
    streaked = np.empty((STRIP, layer.shape[1]))
    for start in range(0, len(layer), STRIP):
        rows = flakes[start : start + STRIP]
        values = streaked[: len(rows)]
        blur_rows(layer[..., np.newaxis], moves, weights, start, values)
        values *= 255
        rows[...] = np.rint(values, out=values)
    return flakes


@compiled
def _enlarge_flakes(
    noise: NDArray[np.float64],
    rows: NDArray[np.int64],
    row_weights: NDArray[np.float64],
    columns: NDArray[np.int64],
    column_weights: NDArray[np.float64],
    threshold: float,
) -> NDArray[np.float64]:
    layer = np.empty((rows.size, columns.size))
    for row in range(rows.size):
        upper, lower = noise[rows[row]], noise[rows[row] + 1]
        above, below = row_weights[row]
        for column in range(columns.size):
            x = columns[column]
            left, right = column_weights[column]
            value = upper[x] * above * left + upper[x + 1] * above * right
            value = value + lower[x] * below * left + lower[x + 1] * below * right
            layer[row, column] = 0.0 if value < threshold else min(value, 1.0)
    return layer


@compiled
def _lay_over(
    levels: NDArray[np.float32],
    grey: NDArray[np.float32],
    falling: NDArray[np.uint8],
    turned: NDArray[np.uint8],
    kept: np.float32,
    rest: np.float32,
    result: NDArray[np.uint8],
) -> None:
    for row in range(grey.shape[0]):
        for x in range(grey.shape[1]):
            white = grey[row, x] * np.float32(1.5) + np.float32(0.5)
            one, other = falling[row, x] / 255.0, turned[row, x] / 255.0
            for channel in range(3):
                level = levels[row, x, channel]
                value = kept * level + rest * max(level, white)
                result[row, x, channel] = np.uint8(min(value + one + other, 1.0) * 255.0)
