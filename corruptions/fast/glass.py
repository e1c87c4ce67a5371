"""Seen through glass that is not even: glass_blur.

Implements imagecorruptions' function of this name on the random stream of its numba loop: a Gaussian, rounds in which
every pixel takes the colour of a random neighbour, a Gaussian. The reference's exchange of two pixels copies one of them,
because its left side is written through a view of its right side; so does this. Deviations: none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.fast.blur import blur_gaussian
from corruptions.fast.compiled import compiled
from corruptions.fast.stream import Stream


def glass_blur(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Blur, let pixels wander, and blur again.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: sigma of both blurs in pixels, the largest displacement in pixels, rounds of displacement.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    sigma, reach, rounds = constants[0], int(constants[1]), int(constants[2])
    stream = Stream(seed)
    blurred = blur_gaussian(image, sigma)
    height, width = image.shape[:2]
    moves = np.empty((width - 2 * reach, 2), dtype=np.int8)
    for _ in range(rounds):
        for row in range(height - reach, reach, -1):
            _move_row(blurred, row, reach, stream.integers(-reach, reach, moves))
    return blur_gaussian(blurred, sigma)


@compiled
def _move_row(image: NDArray[np.uint8], row: int, reach: int, moves: NDArray[np.int8]) -> None:
    """Move the pixels of a row from right to left; each may take a colour that was moved before."""
    column = image.shape[1] - reach
    for index in range(moves.shape[0]):
        from_row, from_column = row + moves[index, 1], column + moves[index, 0]
        for channel in range(3):
            image[row, column, channel] = image[from_row, from_column, channel]
        column -= 1
