"""Fog whose density wavers: fog.

Implements imagecorruptions' function of this name on the same random stream: a map of the diamond-square algorithm with
wrapped borders, scaled to [0, 1] and added. Sums of neighbours are float32 as there. Deviations: none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.compiled import compiled
from corruptions.fast.stream import Stream

LARGEST_WOBBLE = 100.0  # of the first octave


def fog(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Lay fog over the image.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Strength, decay of the wobble per octave.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    strength, decay = constants
    density = make_plasma(1 << (max(image.shape) - 1).bit_length(), decay, Stream(seed))
    result = np.empty_like(image)
    _lay_over(image, density, density.min(), density.max(), np.float32(strength), int(image.max()) / 255.0, result)
    return result


def make_plasma(side: int, decay: float, stream: Stream) -> NDArray[np.float32]:
    """Make a height map by the diamond-square algorithm.

    Args:
        side: A power of two.
        decay: Factor by which the wobble falls from octave to octave.
        stream: Where the wobble comes from.

    Returns:
        (side, side) float32, not scaled.
    """
    heights = np.zeros((side, side), dtype=np.float32)
    drawn = np.empty((side // 2) ** 2)
    step, wobble = side, LARGEST_WOBBLE
    while step >= 2:
        uniforms = drawn[: (side // step) ** 2].reshape(side // step, side // step)
        _fill_squares(heights, step, wobble, stream.uniform(-wobble, wobble, uniforms))
        _fill_diamonds(heights, step, wobble, stream.uniform(-wobble, wobble, uniforms), down=0)
        _fill_diamonds(heights, step, wobble, stream.uniform(-wobble, wobble, uniforms), down=step // 2)
        step //= 2
        wobble /= decay
    return heights


@compiled
def _fill_squares(heights: NDArray[np.float32], step: int, wobble: float, uniforms: NDArray[np.float64]) -> None:
    """Set the middle of each square from its corners."""
    side, half = heights.shape[0], step // 2
    wrap = side - 1  # of a power of two: x & wrap is x % side
    for i in range(side // step):
        top, bottom = heights[i * step], heights[(i + 1) * step & wrap]
        for j in range(side // step):
            left, right = j * step, (j + 1) * step & wrap
            corners = (top[left] + bottom[left]) + (top[right] + bottom[right])
            heights[i * step + half, left + half] = corners / np.float32(4) + wobble * uniforms[i, j]


@compiled
def _fill_diamonds(
    heights: NDArray[np.float32], step: int, wobble: float, uniforms: NDArray[np.float64], down: int
) -> None:
    """Set the middles of the squares' upper sides (down = 0) or left sides (down = step / 2) from their diamonds."""
    side, half = heights.shape[0], step // 2
    wrap = side - 1
    across = half - down
    for i in range(side // step):
        row = i * step + down
        for j in range(side // step):
            column = j * step + across
            if down == 0:
                middles = heights[row + half, column] + heights[(row - half) & wrap, column]
                corners = heights[row, column - half] + heights[row, (column + half) & wrap]
            else:
                middles = heights[row, column + half] + heights[row, (column - half) & wrap]
                corners = heights[row - half, column] + heights[(row + half) & wrap, column]
            heights[row, column] = (middles + corners) / np.float32(4) + wobble * uniforms[i, j]


@compiled
def _lay_over(
    image: NDArray[np.uint8],
    density: NDArray[np.float32],
    lowest: np.float32,
    highest: np.float32,
    strength: np.float32,
    brightest: float,
    result: NDArray[np.uint8],
) -> None:
    height, width = image.shape[:2]
    scale = highest - lowest
    whole = brightest + np.float64(strength)
    for row in range(height):
        for column in range(width):
            thickness = strength * ((density[row, column] - lowest) / scale)
            for channel in range(3):
                value = (image[row, column, channel] / 255.0 + thickness) * brightest / whole
                result[row, column, channel] = np.uint8(min(value, 1.0) * 255.0)
