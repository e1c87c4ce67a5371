"""Image corruptions for robustness benchmarks: RGB images in, RGB images out.

Importing the package costs nothing but the standard library: `corrupt` brings numpy when it is first asked for, and the
reference implementation (scikit-image, numba, OpenCV) or albumentations when it first corrupts an image.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from corruptions.catalog import CORRUPTIONS, SEVERITIES, WEATHER, Corruption
from corruptions.errors import CorruptionError
from corruptions.protocol import PROTOCOLS, Protocol
from corruptions.seeding import derive_seed

if TYPE_CHECKING:
    from corruptions.apply import corrupt

# The look-ups `catalog.corruption` and `protocol.protocol` stay there: here the second would hide its own module.
__all__ = [
    "CORRUPTIONS",
    "PROTOCOLS",
    "SEVERITIES",
    "WEATHER",
    "Corruption",
    "CorruptionError",
    "Protocol",
    "corrupt",
    "derive_seed",
]


def __getattr__(name: str) -> Any:
    if name == "corrupt":
        from corruptions.apply import corrupt

        return corrupt
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
