"""Water or mud on the lens: spatter.

Implements imagecorruptions' function of this name on the same random stream: smoothed noise above a threshold is liquid;
water (severities 1 to 3) gets its relief from the distance to its outline, mud is smoothed again and opaque. All that is
decided by a threshold is rounded as there. Where no drop falls the image stays as it is (the reference divides by zero).
Deviations: none.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled
from corruptions.fast.smoothing import smooth
from corruptions.fast.stream import Stream

WATER = np.array([175, 238, 238]) / 255.0  # RGB: pale turquoise
MUD = np.array([63, 42, 20]) / 255.0  # RGB: brown
OUTLINE = (50, 150)  # Canny's thresholds
FARTHEST = 20.0  # pixels from the outline at which the relief ends
EMBOSS = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
THINNEST_MUD = 0.8  # less is none


def spatter(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Spatter water or mud over the image.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Mean and sigma of the liquid, its blur, threshold, strength (water) or blur (mud), 0 water or 1 mud.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    mean, sigma, blur, threshold, strength, is_mud = constants
    noise = Stream(seed).normal(mean, sigma, np.empty(image.shape[:2]))
    liquid = np.empty_like(noise)

    def write(rows: slice, values: NDArray[np.float64]) -> None:
        liquid[rows] = values

    smooth(noise, (blur, blur), write)
    liquid[liquid < threshold] = 0
    result = np.empty_like(image)
    if is_mud:
        _cover(image, _thicken_mud(liquid > threshold, strength), MUD, result)
        return result
    relief = _make_relief((liquid * 255).astype(np.uint8))
    highest = relief.max()
    if highest == 0:
        return image.copy()
    relief /= highest
    relief *= np.float32(strength)
    _wet(image, relief, WATER.astype(np.float32), result)
    return result


def _make_relief(liquid: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Emboss the distance from the liquid's outline, where there is liquid."""
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, *OUTLINE), cv2.DIST_L2, 5)
    np.minimum(distance, np.float32(FARTHEST), out=distance)
    levels = cv2.equalizeHist(cv2.blur(distance, (3, 3)).astype(np.uint8))
    embossed = cv2.blur(cv2.filter2D(levels, cv2.CV_8U, EMBOSS), (3, 3))
    relief: NDArray[np.float32] = liquid * embossed.astype(np.float32)
    return relief


def _thicken_mud(drops: NDArray[np.bool_], blur: float) -> NDArray[np.float32]:
    mud = np.empty(drops.shape, dtype=np.float32)

    def write(rows: slice, values: NDArray[np.float64]) -> None:
        mud[rows] = values

    smooth(drops.astype(np.float32), (blur, blur), write, single=True)
    mud[mud < np.float32(THINNEST_MUD)] = 0
    return mud


@compiled
def _wet(
    image: NDArray[np.uint8], relief: NDArray[np.float32], colour: NDArray[np.float32], result: NDArray[np.uint8]
) -> None:
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            for channel in range(3):
                value = (
                    np.float32(image[row, column, channel]) / np.float32(255) + relief[row, column] * colour[channel]
                )
                result[row, column, channel] = np.uint8(min(value, np.float32(1)) * np.float32(255))


@compiled
def _cover(
    image: NDArray[np.uint8], mud: NDArray[np.float32], colour: NDArray[np.float64], result: NDArray[np.uint8]
) -> None:
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            thickness = mud[row, column]
            for channel in range(3):
                value = np.float32(image[row, column, channel]) / np.float32(255) * (np.float32(1) - thickness)
                covered = np.float64(value) + colour[channel] * np.float64(thickness)
                result[row, column, channel] = np.uint8(min(covered, 1.0) * 255.0)
