"""Changes of colour, pixel by pixel: brightness, contrast, saturate.

Implements imagecorruptions' functions of these names. brightness and saturate go through hue, saturation and value in the
float64 operations of scikit-image, but in one pass. Deviations: none. contrast is a table for each channel, made from its
exact mean; the reference adds fractions up, and may miss a mean by 1e-16. Deviations: within 1 grey level.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled


def brightness(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Add to the value of HSV.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: What is added, for values in [0, 1].
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (added,) = constants
    result = np.empty_like(image)
    _change_colours(image.reshape(-1, 3), 1.0, 0.0, float(added), result.reshape(-1, 3))
    return result


def contrast(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Draw every channel towards its mean.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Factor on the distance to the mean.
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (factor,) = constants
    levels = np.arange(256)[:, np.newaxis] / 255.0
    means = np.array(cv2.sumElems(image)[:3]) / (255.0 * image.shape[0] * image.shape[1])  # sums of integers: exact
    table = (np.clip((levels - means) * factor + means, 0, 1) * 255).astype(np.uint8)
    result: NDArray[np.uint8] = cv2.LUT(image, table[np.newaxis])
    return result


def saturate(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Scale the saturation of HSV and add to it; greys, whose hue counts as red, turn red where something is added.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Factor, and what is added, for saturations in [0, 1].
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    factor, added = constants
    result = np.empty_like(image)
    _change_colours(image.reshape(-1, 3), float(factor), float(added), 0.0, result.reshape(-1, 3))
    return result


@compiled
def _cut(value: float) -> np.uint8:
    return np.uint8(min(max(value, 0.0), 1.0) * 255.0)


@compiled
def _change_colours(
    pixels: NDArray[np.uint8], factor: float, saturation_added: float, value_added: float, result: NDArray[np.uint8]
) -> None:
    for index in range(pixels.shape[0]):
        red, green, blue = pixels[index, 0] / 255.0, pixels[index, 1] / 255.0, pixels[index, 2] / 255.0
        value = max(red, green, blue)
        spread = value - min(red, green, blue)
        hue = saturation = 0.0
        if spread > 0.0:
            saturation = spread / value
            if blue == value:
                hue = 4.0 + (red - green) / spread
            elif green == value:
                hue = 2.0 + (blue - red) / spread
            else:
                hue = (green - blue) / spread
            hue = hue / 6.0 % 1.0 * 6.0
        saturation = min(saturation * factor + saturation_added, 1.0)
        value = min(value + value_added, 1.0)
        sector = math.floor(hue)
        part = hue - sector
        lowest = value * (1 - saturation)
        falling = value * (1 - part * saturation)
        rising = value * (1 - (1 - part) * saturation)
        if sector == 1:
            red, green, blue = falling, value, lowest
        elif sector == 2:
            red, green, blue = lowest, value, rising
        elif sector == 3:
            red, green, blue = lowest, falling, value
        elif sector == 4:
            red, green, blue = rising, lowest, value
        elif sector == 5:
            red, green, blue = value, lowest, falling
        else:  # 0, or 6 where a hue just below red was rounded up
            red, green, blue = value, rising, lowest
        result[index, 0], result[index, 1], result[index, 2] = _cut(red), _cut(green), _cut(blue)
