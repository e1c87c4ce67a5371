"""Strong augmentation of the mixed image: colour jitter, then Gaussian blur (lhoyer/DAFormer, `dacs_transforms.py`).

The arithmetic is that of kornia 0.5.8, which DAFormer trained with (`enhance/adjust.py`, `color/hsv.py`,
`filters/kernels.py`), and differs from today's libraries: brightness adds, contrast multiplies by a factor around 0.
All random numbers come as python floats, so an image is augmented without a transfer and without waiting for the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from adapt.uda.settings import StrongAugmentSettings

BLUR_REACH = 6.0
"""Standard deviations after which a blur's taps are left out: exp(-18) = 1.5e-8 is less than float32 resolves (ours)."""

HUE_OFFSETS = (5.0, 3.0, 1.0)
"""Sextants of the colour wheel by which red, green and blue lie apart from the hue in `_shift_hue`."""

SATURATION_EPSILON = 1e-6
"""Added to the value before dividing by it: the saturation of black is 0 (kornia 0.5.8, `rgb_to_hsv`)."""


@dataclass(frozen=True)
class StrongDraws:
    """The random numbers of one batch.

    Attributes:
        jitter: Whether the batch's colours are jittered.
        blur: Whether the batch is blurred.
        brightness: (N,) float64; brightness - 1 is added to colours in [0, 1].
        contrast: (N,) float64 factors of the colours.
        saturation: (N,) float64 factors of the saturation.
        hue: (N,) float64 shifts of the hue, in turns of the colour wheel.
        orders: (N, 4) int64, the order of 0 brightness, 1 contrast, 2 saturation and 3 hue.
        sigmas: (N,) float64 standard deviations of the blur, in pixels.
    """

    jitter: bool
    blur: bool
    brightness: NDArray[np.float64]
    contrast: NDArray[np.float64]
    saturation: NDArray[np.float64]
    hue: NDArray[np.float64]
    orders: NDArray[np.int64]
    sigmas: NDArray[np.float64]

    def select(self, start: int, stop: int) -> StrongDraws:
        """Take the draws of the images from `start` up to but without `stop`; the two switches stay the batch's.

        Args:
            start: Index of the first image.
            stop: Index after the last.

        Returns:
            The draws of `stop - start` images.
        """
        part = slice(start, stop)
        return StrongDraws(
            self.jitter,
            self.blur,
            self.brightness[part],
            self.contrast[part],
            self.saturation[part],
            self.hue[part],
            self.orders[part],
            self.sigmas[part],
        )


def draw_strong_augment(generator: np.random.Generator, count: int, settings: StrongAugmentSettings) -> StrongDraws:
    """Draw the augmentation of a batch: the switches for all images together, the rest for each of them.

    All numbers are drawn whatever the switches say, so that later draws of the generator do not depend on them.

    Args:
        generator: Advanced by the draws.
        count: Images N.
        settings: Probabilities and ranges.

    Returns:
        The draws.
    """
    jitter = bool(generator.random() >= 1.0 - settings.jitter_probability)
    blur = bool(generator.random() >= 1.0 - settings.blur_probability)
    strength = settings.jitter_strength
    low, high = settings.blur_sigma
    return StrongDraws(
        jitter=jitter,
        blur=blur,
        brightness=generator.uniform(1.0 - strength, 1.0 + strength, count),
        contrast=generator.uniform(1.0 - strength, 1.0 + strength, count),
        saturation=generator.uniform(1.0 - strength, 1.0 + strength, count),
        hue=generator.uniform(-strength, strength, count),
        orders=generator.permuted(np.tile(np.arange(4, dtype=np.int64), (count, 1)), axis=1),
        sigmas=generator.uniform(low, high, count),
    )


@torch.no_grad()
def augment_strongly(images: Tensor, draws: StrongDraws, mean: Tensor, std: Tensor) -> Tensor:
    """Jitter the colours and blur, as the draws say; each image's result depends on its own draws alone.

    Args:
        images: (N, 3, H, W) float32, RGB, normalised by `mean` and `std`; not changed.
        draws: Of N images.
        mean: Three values on the images' device, of colours in [0, 255].
        std: As `mean`.

    Returns:
        (N, 3, H, W) float32, normalised; `images` itself where the draws ask for neither.

    Raises:
        ValueError: There are not as many draws as images.
    """
    if draws.jitter:
        images = _jitter(images, draws, mean.reshape(3, 1, 1) / 255.0, std.reshape(3, 1, 1) / 255.0)
    if draws.blur:
        images = torch.stack([_blur(image, float(sigma)) for image, sigma in zip(images, draws.sigmas, strict=True)])
    return images


def compute_blur_kernel_size(length: int) -> int:
    """Compute the taps of the blur along an axis: floor(c - 0.5 + c mod 2) with c = ceil(0.1 * length), always odd.

    Half of it is less than the axis is long, so that the image can be reflected at its border.

    Args:
        length: Pixels of the image along the axis, at least 1.

    Returns:
        The number of taps; 1 up to 20 pixels.

    >>> [compute_blur_kernel_size(length) for length in (8, 256, 512, 1024)]
    [1, 25, 51, 103]
    """
    tenth = math.ceil(0.1 * length)
    return math.floor(tenth - 0.5 + tenth % 2)


def _jitter(images: Tensor, draws: StrongDraws, mean: Tensor, std: Tensor) -> Tensor:
    """Jitter a copy of normalised images (N, 3, H, W); `mean` and `std` (3, 1, 1) are of colours in [0, 1]."""
    jittered = torch.addcmul(mean, images, std)
    for index, (image, order) in enumerate(zip(jittered, draws.orders, strict=True)):
        for operation in order:
            if operation == 0:
                image.add_(float(draws.brightness[index]) - 1.0).clamp_(0.0, 1.0)
            elif operation == 1:
                image.mul_(float(draws.contrast[index])).clamp_(0.0, 1.0)
            elif operation == 2:
                _scale_saturation(image, float(draws.saturation[index]))
            else:
                _shift_hue(image, float(draws.hue[index]))
    return jittered.sub_(mean).div_(std)


def _scale_saturation(image: Tensor, factor: float) -> None:
    """Multiply the HSV saturation by a factor, at most to 1, in place; `image` (3, H, W) lies in [0, 1].

    At constant hue and value each channel's distance from the value is proportional to the saturation, so there is no
    need to go through HSV.
    """
    value = image.amax(dim=0)
    inverse = (value + SATURATION_EPSILON).div_(value - image.amin(dim=0))  # 1 / saturation; grey: infinite
    image.sub_(value).mul_(inverse.clamp_(max=factor)).add_(value)


def _shift_hue(image: Tensor, turns: float) -> None:
    """Turn the HSV hue at constant saturation and value, in place; `image` (3, H, W) lies in [0, 1].

    With the hue h in sextants, the channel at offset n is value - chroma * clip(min(k, 4 - k), 0, 1), k = (n + h) mod 6.
    """
    red, green, blue = image
    value = image.amax(dim=0)
    chroma = value - image.amin(dim=0)
    hue = torch.where(
        value == red, green - blue, torch.where(value == green, blue - red + 2.0 * chroma, red - green + 4.0 * chroma)
    )
    hue.div_(chroma.clamp(min=torch.finfo(chroma.dtype).tiny))  # grey has no hue; 0 stands for it
    for channel, offset in zip(image, HUE_OFFSETS, strict=True):
        sextant = (hue + (offset + 6.0 * turns)).remainder_(6.0)
        share = torch.minimum(sextant, 4.0 - sextant).clamp_(0.0, 1.0)
        torch.addcmul(value, chroma, share, value=-1.0, out=channel)


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Blur (3, H, W) with a Gaussian, along columns and then along rows, reflected at the border.

    A sum of shifted images: for so few taps it is faster than a depthwise convolution on a CPU, needs no weights on the
    device, and stays in float32 under autocast and TF32.
    """
    for axis in (1, 2):
        length = image.shape[axis]
        radius = min(compute_blur_kernel_size(length) // 2, math.ceil(BLUR_REACH * sigma))
        gauss = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
        first, *others = (gauss / gauss.sum()).tolist()
        padding = (0, 0, radius, radius) if axis == 1 else (radius, radius, 0, 0)
        padded = functional.pad(image, padding, mode="reflect")
        image = padded.narrow(axis, 0, length) * first
        for shift, weight in enumerate(others, start=1):
            image.add_(padded.narrow(axis, shift, length), alpha=weight)
    return image
