"""Noise of continuous or binary distribution: gaussian_noise, speckle_noise, impulse_noise.

Implements imagecorruptions' functions of these names on the same random streams, in float64 (so that no sample is cut
to another grey level) but in pieces that stay in the processor's cache. Deviations: none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled
from corruptions.fast.stream import Stream

PIECE = 1 << 14  # samples at a time: 128 KB of float64; even, because normal deviates come in pairs


def gaussian_noise(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Add normal noise to every sample.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: sigma, for samples in [0, 1].
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (sigma,) = constants
    return _add_noise(image, sigma, seed, multiplied=False)


def speckle_noise(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Add normal noise in proportion to every sample.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: sigma, relative to the sample.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (sigma,) = constants
    return _add_noise(image, sigma, seed, multiplied=True)


def impulse_noise(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Set a share of the samples, channel by channel, to black or white.

    scikit-image, to which the reference delegates, draws which samples for the whole image and then which colour, both
    from `numpy.random.default_rng(seed)`: here two generators, the second set ahead, go side by side.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Share of the samples in [0, 1].
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (share,) = constants
    which, colour = np.random.PCG64(seed), np.random.PCG64(seed)
    colour.advance(image.size)
    draw_which, draw_colour = np.random.Generator(which).random, np.random.Generator(colour).random
    result = image.copy()
    samples, drawn = result.reshape(-1), np.empty((2, PIECE))
    for start in range(0, samples.size, PIECE):
        piece = samples[start : start + PIECE]
        _hit_piece(piece, draw_which(out=drawn[0, : piece.size]), draw_colour(out=drawn[1, : piece.size]), share)
    return result


def _add_noise(image: NDArray[np.uint8], sigma: float, seed: int, *, multiplied: bool) -> NDArray[np.uint8]:
    stream, drawn = Stream(seed), np.empty(PIECE)
    result = np.empty_like(image)
    samples, noisy = image.reshape(-1), result.reshape(-1)
    for start in range(0, samples.size, PIECE):
        piece = samples[start : start + PIECE]
        noise = stream.normal(0.0, sigma, drawn[: piece.size])
        _add_piece(piece, noise, multiplied, noisy[start : start + PIECE])
    return result


@compiled
def _add_piece(
    samples: NDArray[np.uint8], noise: NDArray[np.float64], multiplied: bool, noisy: NDArray[np.uint8]
) -> None:
    for index in range(samples.size):
        value = samples[index] / 255.0
        value += value * noise[index] if multiplied else noise[index]
        noisy[index] = np.uint8(min(max(value, 0.0), 1.0) * 255.0)


@compiled
def _hit_piece(
    samples: NDArray[np.uint8], which: NDArray[np.float64], colour: NDArray[np.float64], share: float
) -> None:
    for index in range(samples.size):
        shot = np.uint8(255) if colour[index] <= 0.5 else np.uint8(0)
        samples[index] = shot if which[index] <= share else samples[index]
