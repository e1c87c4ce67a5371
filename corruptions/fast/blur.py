"""Blurs of fixed shape: gaussian_blur, defocus_blur.

Implements imagecorruptions' functions of these names. gaussian_blur: Deviations: none. defocus_blur convolves in float32
with values in [0, 255] instead of float64 in [0, 1], and nudges flat regions to the side of their whole number to which
the reference's kernel, whose weights do not quite sum to 1, takes them. Deviations: within 1 grey level.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.fast.smoothing import smooth

NUDGE = 0.0005  # grey levels: above the rounding of float32, below all that matters


def gaussian_blur(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Blur with a Gaussian.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: sigma in pixels.
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (sigma,) = constants
    return blur_gaussian(image, sigma)


def blur_gaussian(image: NDArray[np.uint8], sigma: float) -> NDArray[np.uint8]:
    """Blur with a Gaussian; fractions are cut off.

    Args:
        image: (H, W, 3) uint8.
        sigma: In pixels.

    Returns:
        (H, W, 3) uint8.
    """
    result = np.empty_like(image)
    lines = result.reshape(len(image), -1)

    def write(rows: slice, values: NDArray[np.float64]) -> None:
        np.clip(values, 0, 1, out=values)
        np.multiply(values, 255, out=lines[rows], casting="unsafe")

    smooth(image, (sigma, sigma), write)
    return result


def defocus_blur(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Blur with a disk, as a lens out of focus does.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Radius of the disk in pixels, sigma in pixels of the Gaussian that smooths its edge.
        seed: Not used.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    radius, sigma = int(constants[0]), constants[1]
    disk = _make_disk(radius, sigma)
    excess = float(disk.sum(dtype=np.float64)) - 1.0
    blurred = cv2.filter2D(image, cv2.CV_32F, disk, delta=math.copysign(NUDGE, excess))
    return np.clip(blurred, 0, 255, out=blurred).astype(np.uint8)


def _make_disk(radius: int, sigma: float) -> NDArray[np.float32]:
    reach, smoothing = (8, 3) if radius <= 8 else (radius, 5)  # half the side of the kernel, side of the Gaussian
    steps = np.arange(-reach, reach + 1)
    disk = (steps[:, np.newaxis] ** 2 + steps**2 <= radius**2).astype(np.float32)
    smooth_disk: NDArray[np.float32] = cv2.GaussianBlur(disk / disk.sum(), (smoothing, smoothing), sigma)
    return smooth_disk
