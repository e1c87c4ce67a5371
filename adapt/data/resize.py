"""Bring images and labels to the size at which a network sees them: the same way in training and in testing."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]
"""(width, height) in pixels."""


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


def fit_inside(own: Size, size: Size) -> Size:
    """Compute the largest size of an image's own shape that fits into `size`, be it smaller or larger than the image.

    mmcv's `Resize(keep_ratio=True)` computes the same for an image that lies as `size` does; it turns `size` for an
    upright image, which does not occur in the data sets here. DAFormer's GTA frames go this way: 1914x1052 become
    1280x704 with (1280, 720).

    Args:
        own: (width, height) of the image.
        size: (width, height) to fit into.

    Returns:
        (width, height), each rounded to the nearest pixel.
    """
    factor = min(size[0] / own[0], size[1] / own[1])
    return int(own[0] * factor + 0.5), int(own[1] * factor + 0.5)


def _resize(pixels: NDArray[np.uint8], size: Size | None, interpolation: int) -> NDArray[np.uint8]:
    height, width = pixels.shape[:2]
    if size is None or (scaled := fit_inside((width, height), size)) == (width, height):
        return pixels
    return np.asarray(cv2.resize(pixels, scaled, interpolation=interpolation), np.uint8)
