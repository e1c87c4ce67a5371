"""What storage loses: pixelate, jpeg_compression.

Implements imagecorruptions' functions of these names. pixelate averages boxes, each pixel in one of them, in the fixed
point and the order of Pillow 13. jpeg_compression uses OpenCV's codec in place of Pillow's: both are libjpeg-turbo with
the same settings, and the tests compare their pixels. Deviations: none.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled


def pixelate(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Shrink the image and enlarge its pixels.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Factor on both sides.
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (factor,) = constants
    height, width = image.shape[:2]
    rows, columns = int(height * factor), int(width * factor)
    tall = height - rows > 2 * (width - columns)  # Pillow 13 then averages along columns first
    source = np.ascontiguousarray(image.transpose(1, 0, 2)) if tall else image
    sizes = ((width, columns), (height, rows)) if tall else ((height, rows), (width, columns))
    small = _shrink(source, *_find_boxes(*sizes[0]), *_find_boxes(*sizes[1]))
    result = np.empty_like(image)
    _repeat(
        np.ascontiguousarray(small.transpose(1, 0, 2)) if tall else small,
        _find_nearest(height, rows),
        _find_nearest(width, columns),
        result,
    )
    return result


def _find_boxes(side: int, kept: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find the pixels whose centre lies in each box: the first of each box, and how many there are."""
    scale = side / kept
    centres = (np.arange(kept) + 0.5) * scale
    candidates = (centres - scale / 2 + 0.5).astype(np.int64)[:, np.newaxis] + np.arange(int(scale) + 3)
    places = (candidates - centres[:, np.newaxis] + 0.5) * (1.0 / scale)
    inside = (places > -0.5) & (places <= 0.5) & (candidates < side)
    return candidates[np.arange(kept), inside.argmax(axis=1)], inside.sum(axis=1)


def _find_nearest(side: int, kept: int) -> NDArray[np.int64]:
    """Find which kept pixel each pixel repeats; like Pillow, add up the step, with its rounding."""
    steps = np.full(side, kept / side)
    steps[0] *= 0.5
    return np.cumsum(steps).astype(np.int64)


def jpeg_compression(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Encode and decode the image as JPEG.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: JPEG quality, 1 to 100.
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (quality,) = constants
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])
    decoded = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
    result: NDArray[np.uint8] = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB, dst=decoded)
    return result


@compiled
def _shrink(
    image: NDArray[np.uint8],
    tops: NDArray[np.int64],
    heights: NDArray[np.int64],
    lefts: NDArray[np.int64],
    widths: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Average each box, along rows first; both averages are rounded in fixed point with 22 bits, as Pillow does."""
    half = 1 << 21
    small = np.empty((tops.size, lefts.size, 3), np.uint8)
    sums = np.empty((lefts.size, 3), np.int32)
    for row in range(tops.size):
        for y in range(tops[row], tops[row] + heights[row]):
            for column in range(lefts.size):
                if y == tops[row]:
                    sums[column, 0] = sums[column, 1] = sums[column, 2] = 0
                weight = int(0.5 + (1.0 / widths[column]) * (1 << 22))
                red = green = blue = 0
                for x in range(lefts[column], lefts[column] + widths[column]):
                    red += image[y, x, 0]
                    green += image[y, x, 1]
                    blue += image[y, x, 2]
                sums[column, 0] += (half + red * weight) >> 22
                sums[column, 1] += (half + green * weight) >> 22
                sums[column, 2] += (half + blue * weight) >> 22
        weight = int(0.5 + (1.0 / heights[row]) * (1 << 22))
        for column in range(lefts.size):
            for channel in range(3):
                small[row, column, channel] = (half + sums[column, channel] * weight) >> 22
    return small


@compiled
def _repeat(
    small: NDArray[np.uint8], rows: NDArray[np.int64], columns: NDArray[np.int64], result: NDArray[np.uint8]
) -> None:
    for row in range(rows.size):
        source = small[rows[row]]
        for column in range(columns.size):
            result[row, column, 0] = source[columns[column], 0]
            result[row, column, 1] = source[columns[column], 1]
            result[row, column, 2] = source[columns[column], 2]
