"""Noise of counted photons: shot_noise.

Implements imagecorruptions' function of this name on the same random stream: numpy's legacy Poisson sampler, that is
repeated multiplication for a mean below 10 (Knuth) and transformed rejection above (PTRS, Hoermann, 1993), with what
depends on the mean alone read from a table of the 256 grey levels. Deviations: none.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled
from corruptions.fast.stream import Stream

PTRS_MINIMUM = 10.0  # mean from which numpy samples by rejection
BLOCK = 1 << 15  # doubles drawn at a time


def shot_noise(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Replace every sample by a Poisson count of photons.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Photons at full white.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    (photons,) = constants
    means = np.arange(256) / 255.0 * photons
    table = _tabulate(means)
    levels = (np.clip(np.arange(int(photons) + 1) / float(photons), 0, 1) * 255).astype(np.uint8)
    stream, doubles = Stream(seed), np.empty(BLOCK)
    result = np.empty_like(image)
    samples, noisy = image.reshape(-1), result.reshape(-1)
    done = left = 0
    while done < samples.size:
        stream.uniform(0.0, 1.0, doubles[left:])
        done, used = _count_photons(samples, done, table, doubles, levels, noisy)
        left = doubles.size - used  # what the sample on which it stopped had begun to use
        doubles[:left] = doubles[used:].copy()
    return result


def _tabulate(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tabulate (256, 8) float64: mean, exp(-mean), its logarithm and the five numbers of PTRS."""
    table = np.zeros((means.size, 8))
    for row, mean in zip(table, means.tolist(), strict=True):
        row[:2] = mean, math.exp(-mean)
        if mean >= PTRS_MINIMUM:
            b = 0.931 + 2.53 * math.sqrt(mean)
            a = -0.059 + 0.02483 * b
            inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
            row[2:7] = math.log(mean), a, b, math.log(inverse_alpha), 0.9277 - 3.6224 / (b - 2)
    return table


@compiled
def _count_photons(
    samples: NDArray[np.uint8],
    done: int,
    table: NDArray[np.float64],
    doubles: NDArray[np.float64],
    levels: NDArray[np.uint8],
    noisy: NDArray[np.uint8],
) -> tuple[int, int]:
    """Go on from sample `done` until the doubles run out; return the next sample and the first double it may use."""
    used = 0
    white = levels.size - 1
    while done < samples.size:
        row = table[samples[done]]
        mean = row[0]
        begun = used
        count = 0
        if mean >= PTRS_MINIMUM:
            log_mean, a, b, log_inverse_alpha, quick = row[2], row[3], row[4], row[5], row[6]
            while True:
                if used + 2 > doubles.size:
                    return done, begun
                u, v = doubles[used] - 0.5, doubles[used + 1]
                used += 2
                distance = 0.5 - abs(u)
                count = math.floor((2 * a / distance + b) * u + mean + 0.43)
                if distance >= 0.07 and v <= quick:
                    break
                if count < 0 or (distance < 0.013 and v > distance):
                    continue
                if math.log(v) + log_inverse_alpha - math.log(a / (distance * distance) + b) <= (
                    -mean + count * log_mean - math.lgamma(count + 1.0)
                ):
                    break
        elif mean > 0.0:
            product = 1.0
            while True:
                if used == doubles.size:
                    return done, begun
                product *= doubles[used]
                used += 1
                if product <= row[1]:
                    break
                count += 1
        noisy[done] = levels[min(count, white)]
        done += 1
    return done, used
