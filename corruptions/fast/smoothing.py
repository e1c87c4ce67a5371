"""Gaussian smoothing as scipy.ndimage.gaussian_filter rounds it, which scikit-image's `gaussian` calls.

Implements its separable filter in float64, rows before columns and outer taps before inner ones, so that results are
equal bit for bit; strips of rows with their margins keep it in the cache. Deviations: none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled

Border = Literal["edge", "symmetric"]  # as numpy.pad names them: scikit-image's 'nearest' and 'reflect'

STRIP = 64  # rows at a time
TRUNCATE = 4.0  # sigmas; scikit-image's default


def smooth(
    pixels: NDArray[np.generic],
    sigmas: tuple[float, float],
    write: Callable[[slice, NDArray[np.float64]], None],
    *,
    border: Border = "edge",
    truncate: float = TRUNCATE,
    single: bool = False,
) -> None:
    """Smooth an image or a field, strip by strip.

    Args:
        pixels: (H, W) or (H, W, C); uint8 counts as [0, 1], as in scikit-image.
        sigmas: Standard deviations along H and W, in pixels.
        write: Gets the rows of a strip and their (rows, W * C) float64 values, which it must not keep.
        border: How the image goes on outside.
        truncate: Radius of the kernel in sigmas.
        single: Whether scipy would keep the values between its two passes in float32: it does for float32 images.
    """
    height, width = pixels.shape[:2]
    channels = pixels.size // (height * width)
    vertical, horizontal = (_make_half_kernel(sigma, truncate) for sigma in sigmas)
    rows = np.pad(np.arange(height), vertical.size - 1, mode=border)
    columns = np.pad(np.arange(width), horizontal.size - 1, mode=border)
    lines = pixels.reshape(height, width * channels)
    deep = min(STRIP, height)
    source = np.empty((deep + 2 * (vertical.size - 1), width * channels), dtype=pixels.dtype)
    values = np.empty(source.shape)
    result = np.empty((deep, width * channels))
    for start in range(0, height, STRIP):
        count = min(STRIP, height - start)
        needed = rows[start : start + count + 2 * (vertical.size - 1)]
        lines.take(needed, axis=0, out=source[: needed.size], mode="clip")  # 'raise' would copy once more
        np.divide(source, 255.0 if pixels.dtype == np.uint8 else 1.0, out=values)
        _smooth_strip(values[: needed.size], vertical, horizontal, columns, channels, single, result[:count])
        write(slice(start, start + count), result[:count])


def _make_half_kernel(sigma: float, truncate: float) -> NDArray[np.float64]:
    """Make the weights of distances 0, 1, ... radius."""
    radius = int(truncate * float(sigma) + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    return (weights / weights.sum())[radius:]


@compiled
def _scale(source: NDArray[np.float64], weight: float, out: NDArray[np.float64]) -> None:
    for index in range(out.size):
        out[index] = source[index] * weight


@compiled
def _add_pair(one: NDArray[np.float64], other: NDArray[np.float64], weight: float, out: NDArray[np.float64]) -> None:
    for index in range(out.size):  # a loop of its own, from 0: the compiler makes vector instructions of it
        out[index] += (one[index] + other[index]) * weight


@compiled
def _round_to_single(out: NDArray[np.float64]) -> None:
    for index in range(out.size):
        out[index] = np.float64(np.float32(out[index]))


@compiled
def _smooth_strip(
    values: NDArray[np.float64],
    vertical: NDArray[np.float64],
    horizontal: NDArray[np.float64],
    columns: NDArray[np.int64],
    channels: int,
    single: bool,
    result: NDArray[np.float64],
) -> None:
    """Smooth the middle rows of a strip, a thousand samples at a time."""
    count, samples = result.shape
    margin = horizontal.size - 1
    first = margin * channels
    line = np.empty(columns.size * channels)
    inside = line[first : first + samples]
    for row in range(count):
        centre = row + vertical.size - 1
        for start in range(0, samples, 1024):
            stop = min(start + 1024, samples)
            _scale(values[centre, start:stop], vertical[0], inside[start:stop])
            for tap in range(vertical.size - 1, 0, -1):
                above, below = values[centre - tap, start:stop], values[centre + tap, start:stop]
                _add_pair(above, below, vertical[tap], inside[start:stop])
        if single:
            _round_to_single(inside)
        for x in range(margin):
            after = columns.size - margin + x
            for channel in range(channels):
                line[x * channels + channel] = inside[columns[x] * channels + channel]
                line[after * channels + channel] = inside[columns[after] * channels + channel]
        for start in range(0, samples, 1024):
            stop = min(start + 1024, samples)
            out = result[row, start:stop]
            _scale(inside[start:stop], horizontal[0], out)
            for tap in range(margin, 0, -1):
                shift = tap * channels
                left = line[first + start - shift : first + stop - shift]
                right = line[first + start + shift : first + stop + shift]
                _add_pair(left, right, horizontal[tap], out)
