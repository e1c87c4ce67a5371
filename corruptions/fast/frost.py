"""Frost on the lens: frost.

Implements imagecorruptions' function of this name on the same random stream: a piece of one of its six photographs of
frost, enlarged to cover the image, is added. The photographs are those of the installed distribution; decoded ones are
kept (5 MB), and so are those last enlarged, unless they are large. Deviations: none.
"""

from __future__ import annotations

import importlib.util
import math
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.fast.compiled import compiled

PHOTOGRAPHS = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg", "frost6.jpg")
SPARE = 1.1  # factor by which the photograph is larger than the image, so that its piece can move
LARGEST_KEPT = 16 << 20  # bytes of an enlarged photograph: 12 MB for images of 2048x1024


def frost(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Add a photograph of frost.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Weight of the image, weight of the photograph.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        CorruptionError: If the photographs are not installed.
    """
    weight, frost_weight = constants
    height, width = image.shape[:2]
    random = np.random.RandomState(seed)
    index = int(random.randint(len(PHOTOGRAPHS)))
    covering = _find_size(_read(index).shape[:2], (height, width))
    keeps = covering[0] * covering[1] * 3 <= LARGEST_KEPT
    photograph = _enlarge_and_keep(index, covering) if keeps else _enlarge(index, covering)
    top = int(random.randint(0, photograph.shape[0] - height))
    left = int(random.randint(0, photograph.shape[1] - width))
    piece = photograph[top : top + height, left : left + width]
    result = np.empty_like(image)
    for row, frozen, mixed in zip(image, piece, result, strict=True):
        _mix(row.reshape(-1), float(weight), frozen.reshape(-1), float(frost_weight), mixed.reshape(-1))
    return result


@compiled
def _mix(
    one: NDArray[np.uint8], weight: float, other: NDArray[np.uint8], other_weight: float, out: NDArray[np.uint8]
) -> None:
    for index in range(out.size):
        out[index] = np.uint8(min(weight * one[index] + other_weight * other[index], 255.0))


def _find_size(photograph: tuple[int, ...], image: tuple[int, int]) -> tuple[int, int]:
    """Find the height and width that cover the image in both, and exceed it."""
    factor = SPARE * max(1.0, image[0] / photograph[0], image[1] / photograph[1])
    return math.ceil(photograph[0] * factor), math.ceil(photograph[1] * factor)


@lru_cache(maxsize=len(PHOTOGRAPHS))
def _read(index: int) -> NDArray[np.uint8]:
    found = importlib.util.find_spec("imagecorruptions")  # not imported: that takes a second
    folder = Path(found.origin).parent / "frost" if found is not None and found.origin else None
    file = folder / PHOTOGRAPHS[index] if folder else None
    pixels = cv2.imread(str(file)) if file and file.is_file() else None
    if pixels is None:
        raise CorruptionError(
            f"frost needs {PHOTOGRAPHS[index]} of the package imagecorruptions-imaug, which is not installed: "
            "run `pip install imagecorruptions-imaug`"
        )
    photograph: NDArray[np.uint8] = cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)
    return photograph


def _enlarge(index: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    enlarged: NDArray[np.uint8] = cv2.resize(_read(index), (size[1], size[0]), interpolation=cv2.INTER_CUBIC)
    return enlarged


_enlarge_and_keep = lru_cache(maxsize=len(PHOTOGRAPHS))(_enlarge)
