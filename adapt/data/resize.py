"""Bring images and labels to the size at which a network sees them: the same way in training and in testing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.data.size import Size, fit_inside


def resize_image(image: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """Scale an image by one factor to the largest size that fits into `size`, bilinearly.

    Args:
        image: (H, W, 3) uint8.
        size: (width, height), or None to leave the image as it is.

    Returns:
        (h, w, 3) uint8, see `fit_inside`.
    """
    return _resize(image, size, cv2.INTER_LINEAR)


def resize_label(label: NDArray[np.uint8], size: Size | None) -> NDArray[np.uint8]:
    """Scale a label as `resize_image` does its image, to the nearest pixel's value.

    Args:
        label: (H, W) uint8 train ids, 255 ignored.
        size: (width, height), or None to leave the label as it is.

    Returns:
        (h, w) uint8 without values that `label` does not hold.
    """
    return _resize(label, size, cv2.INTER_NEAREST)


def _resize(pixels: NDArray[np.uint8], size: Size | None, interpolation: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if size is None or (scaled := fit_inside((width, height), size)) == (width, height):
        return pixels
    return np.asarray(cv2.resize(pixels, scaled, interpolation=interpolation), np.uint8)
