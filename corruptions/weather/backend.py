"""The weather's door, light to import: albumentations, which takes seconds, comes with the first image."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

from corruptions.catalog import WEATHER


def corrupt_weather(image: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """Put one image into weather; calls from several threads run side by side, and no global random state is touched.

    Args:
        image: (H, W, 3) uint8 RGB, both sides at least 32 pixels.
        name: One of `WEATHER`.
        severity: 1 to 5.
        seed: In [0, 2**32).

    Returns:
        A new (H, W, 3) uint8 RGB array.
    """
    os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it would ask the network for a newer version of itself
    from corruptions.weather.operations import OPERATIONS

    return OPERATIONS[name](np.ascontiguousarray(image), WEATHER[name].constants[severity - 1], seed)
