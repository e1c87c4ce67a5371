"""One image, one corruption, one severity, one seed: the corrupted image."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from corruptions.catalog import check_severity, corruption, is_whole
from corruptions.errors import CorruptionError, unknown_name
from corruptions.fast.backend import corrupt_fast
from corruptions.image import THE_IMAGE, to_rgb
from corruptions.protocol import CHOICES, DEFAULT_BACKEND, ChannelOrder
from corruptions.reference import corrupt_reference
from corruptions.weather.backend import corrupt_weather

Backend = Callable[[NDArray[np.uint8], str, int, int], NDArray[np.uint8]]

BACKENDS: Mapping[str, Backend] = MappingProxyType(
    {"reference": corrupt_reference, "fast": corrupt_fast, "albumentations": corrupt_weather}
)


def corrupt(
    image: NDArray[Any],
    name: str,
    severity: int,
    seed: int,
    *,
    backend: str = DEFAULT_BACKEND,
    channel_order: ChannelOrder = "RGB",
    origin: str = THE_IMAGE,
) -> NDArray[np.uint8]:
    """Corrupt an RGB image; equal arguments give equal pixels in any process, and numpy's random state stays as it was.

    Args:
        image: (H, W, 3) uint8 RGB, both sides at least 32 pixels. It is not changed. Grey (H, W) or (H, W, 1) and opaque
            RGBA (H, W, 4) are taken as the RGB that they show.
        name: One of `corruptions.CORRUPTIONS` or `corruptions.WEATHER`.
        severity: 1 to 5.
        seed: In [0, 2**32), as `corruptions.derive_seed` makes it from the experiment's seed and the image's id.
        backend: Implementation of the 19, one of `CHOICES`; a protocol's `backend`. Weather has a backend of its own, the
            same whatever is given here.
        channel_order: Order of the channels that the operation sees: BGR, as published codes often have it, turns them
            round before and after.
        origin: What an error calls the image: its file, where it has one.

    Returns:
        A new (H, W, 3) uint8 RGB array.

    Raises:
        CorruptionError: If the image is none of these, or if the name, the severity, the seed, the backend or the channel
            order is not one of those allowed.

    Example:
        >>> grey = np.full((32, 48, 3), 100, dtype=np.uint8)
        >>> corrupt(grey, "brightness", severity=3, seed=0)[0, 0].tolist()
        [176, 176, 176]
    """
    row = corruption(name)
    if backend not in CHOICES:
        raise unknown_name("corruption backend", str(backend), CHOICES)
    if channel_order not in get_args(ChannelOrder):
        raise unknown_name("channel order", str(channel_order), get_args(ChannelOrder))
    severity = check_severity(severity, name)
    if not is_whole(seed) or not 0 <= seed < 2**32:
        raise CorruptionError(
            f"seed {seed!r} of {name} is no whole number in [0, 2**32): make it with corruptions.derive_seed"
        )
    pixels, seed = to_rgb(image, origin), int(seed)
    operate = BACKENDS[row.backend or backend]
    if channel_order == "RGB":
        return operate(pixels, name, severity, seed)
    return np.ascontiguousarray(operate(np.ascontiguousarray(pixels[..., ::-1]), name, severity, seed)[..., ::-1])
