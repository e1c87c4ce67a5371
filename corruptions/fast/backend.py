"""The fast backend's door, light to import: the operations, which need numba and OpenCV, come with the first image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from corruptions.catalog import CORRUPTIONS


def corrupt_fast(image: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """Corrupt one image as the reference does, within 1 grey level, several times as fast.

    Calls from several threads run side by side; neither numpy's nor numba's random state is read or written. Each
    operation's file says where it deviates. Its loops are compiled when a machine first runs it, in some seconds.

    Args:
        image: (H, W, 3) uint8 RGB, both sides at least 32 pixels.
        name: One of `CORRUPTIONS`.
        severity: 1 to 5.
        seed: In [0, 2**32).

    Returns:
        A new (H, W, 3) uint8 RGB array; fractions are cut off, not rounded.
    """
    from corruptions.fast.operations import OPERATIONS

    return OPERATIONS[name](np.ascontiguousarray(image), CORRUPTIONS[name].constants[severity - 1], seed)
