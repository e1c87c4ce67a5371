"""Motion along a line: motion_blur, and the streaks of snow.

Implements imagecorruptions' function of this name: weighted copies of the image, shifted along a line from one end of it,
where what lies outside repeats the border. Here the copies are read where they lie, in the order and the float64 of the
reference. Deviations: none.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled
from corruptions.fast.stream import Stream

LARGEST_ANGLE = 45.0  # degrees to either side of the horizontal
STRIP = 8  # rows at a time


def motion_blur(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Blur along a random direction.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Radius in pixels, sigma in pixels.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    radius, sigma = constants
    angle = float(Stream(seed).uniform(-LARGEST_ANGLE, LARGEST_ANGLE, np.empty(1))[0])
    result = np.empty_like(image)
    blurred = np.empty((STRIP, image.shape[1] * 3))
    moves, weights = trace_line(image.shape[:2], int(radius), sigma, angle)
    for start in range(0, len(image), STRIP):
        rows = result[start : start + STRIP]
        values = blurred[: len(rows)]
        blur_rows(image, moves, weights, start, values)
        np.clip(values, 0, 255, out=values)
        rows.reshape(values.shape)[...] = values
    return result


def trace_line(
    size: tuple[int, ...], radius: int, sigma: float, angle: float
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Find the shifts of the copies and their weights.

    Args:
        size: (H, W) of the image; copies from the first that would leave it are left out.
        radius: Half the length of the line.
        sigma: Of the weights' Gaussian, whose centre is the end of the line.
        angle: In degrees.

    Returns:
        (n, 2) int64, down and right, and (n,) float64.
    """
    width = 2 * radius + 1
    steps = np.arange(width)
    weights = np.exp(-(steps**2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    weights /= weights.sum()
    down, right = width * np.sin(np.deg2rad(angle)), width * np.cos(np.deg2rad(angle))
    length = math.hypot(down, right)
    moves = np.array([[-math.ceil(step * part / length - 0.5) for part in (down, right)] for step in range(width)])
    outside = (np.abs(moves) >= size).any(axis=1)
    count = int(outside.argmax()) if outside.any() else width
    return moves[:count], weights[:count]


@compiled
def _add_weighted(source: NDArray[np.float64], weight: float, out: NDArray[np.float64]) -> None:
    for index in range(out.size):
        out[index] += weight * source[index]


@compiled
def blur_rows(
    image: NDArray[np.float64],
    moves: NDArray[np.int64],
    weights: NDArray[np.float64],
    first: int,
    out: NDArray[np.float64],
) -> None:
    """Sum the weighted copies for some rows.

    Args:
        image: (H, W, C) uint8 or float64.
        moves: From `trace_line`.
        weights: From `trace_line`.
        first: The first row.
        out: (rows, W * C) float64; filled.
    """
    height, width, channels = image.shape
    for index in range(out.shape[0]):
        row = out[index]
        row[:] = 0.0
        for tap in range(moves.shape[0]):
            down, right = moves[tap]
            source = image[min(max(first + index - down, 0), height - 1)].reshape(-1)
            start, stop = max(right, 0) * channels, (width + min(right, 0)) * channels
            shift = right * channels
            _add_weighted(source[start - shift : stop - shift], weights[tap], row[start:stop])
            for x in range(start):
                row[x] += weights[tap] * source[x % channels]
            for x in range(stop, row.size):
                row[x] += weights[tap] * source[(width - 1) * channels + x % channels]
