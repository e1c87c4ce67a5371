"""One image, one corruption, one severity, one seed: the corrupted image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from corruptions.catalog import SEVERITIES, corruption
from corruptions.errors import CorruptionError, unknown_name
from corruptions.reference import corrupt_reference

MINIMUM_SIDE = 32  # pixels; the limit of imagecorruptions

Backend = Callable[[NDArray[np.uint8], str, int, int], NDArray[np.uint8]]

BACKENDS: Mapping[str, Backend] = MappingProxyType({"reference": corrupt_reference})


def corrupt(
    image: NDArray[np.uint8],
    name: str,
    severity: int,
    seed: int,
    *,
    backend: str = "reference",
    origin: str = "the image",
) -> NDArray[np.uint8]:
    """Corrupt an RGB image; equal arguments give equal pixels in any process, and numpy's random state stays as it was.

    Args:
        image: (H, W, 3) uint8 RGB, both sides at least 32 pixels. It is not changed.
        name: One of `corruptions.CORRUPTIONS`.
        severity: 1 to 5.
        seed: In [0, 2**32), as `corruptions.derive_seed` makes it from the experiment's seed and the image's id.
        backend: One of `BACKENDS`; a protocol's `backend`.
        origin: What an error calls the image: its file, where it has one.

    Returns:
        A new (H, W, 3) uint8 RGB array.

    Raises:
        CorruptionError: If the image is not RGB uint8 or is too small, or if the name, the severity, the seed or the
            backend is not one of those allowed.

    Example:
        >>> grey = np.full((32, 48, 3), 100, dtype=np.uint8)
        >>> corrupt(grey, "brightness", severity=3, seed=0)[0, 0].tolist()
        [176, 176, 176]
    """
    corruption(name)
    if backend not in BACKENDS:
        raise unknown_name("corruption backend", backend, BACKENDS)
    if severity not in SEVERITIES:
        raise CorruptionError(f"severity {severity!r} of {name} is none of {SEVERITIES}")
    if not 0 <= seed < 2**32:
        raise CorruptionError(f"seed {seed!r} of {name} is not in [0, 2**32): make it with corruptions.derive_seed")
    _check_image(image, origin)
    return BACKENDS[backend](image, name, severity, seed)


def _check_image(image: NDArray[np.uint8], origin: str) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise CorruptionError(
            f"{origin} has shape {image.shape} and dtype {image.dtype}, but corruptions take RGB: (H, W, 3) uint8"
        )
    height, width = image.shape[:2]
    if min(height, width) < MINIMUM_SIDE:
        raise CorruptionError(
            f"{origin} is {width}x{height} pixels, but corruptions need {MINIMUM_SIDE} on each side: "
            "use a larger image, or corrupt before resizing"
        )
