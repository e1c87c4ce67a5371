"""What counts as an image: RGB uint8, or what is RGB uint8 without any choice being made."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError

MINIMUM_SIDE = 32  # pixels; the limit of imagecorruptions
THE_IMAGE = "the image"  # what errors call an array that comes from no file


def to_rgb(image: NDArray[Any], origin: str = THE_IMAGE) -> NDArray[np.uint8]:
    """Take an image as RGB: grey is repeated, an opaque alpha channel is left out, anything else is an error.

    Args:
        image: (H, W, 3) RGB, (H, W) or (H, W, 1) grey, or (H, W, 4) RGBA; uint8.
        origin: What an error calls the image: its file, where it has one. Without one the error adds the line of Python
            that helps.

    Returns:
        (H, W, 3) uint8 RGB: the image itself, a view of it, or a copy.

    Raises:
        CorruptionError: If the image is no array, has another dtype or shape, is transparent anywhere, or has a side of less
            than 32 pixels; the text says what to do.

    Example:
        >>> to_rgb(np.full((32, 48), 7, dtype=np.uint8)).shape
        (32, 48, 3)
    """
    if not isinstance(image, np.ndarray):
        raise CorruptionError(f"{origin} is a {type(image).__name__}, but corruptions take a numpy array")
    shape = image.shape
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise CorruptionError(
            f"{origin} has shape {shape} and dtype {image.dtype}, but corruptions take (H, W, 3) RGB, (H, W) or (H, W, 1) "
            "grey, or opaque (H, W, 4) RGBA, all uint8"
        )
    if min(shape[:2]) < MINIMUM_SIDE:
        raise CorruptionError(
            f"{origin} is {shape[1]}x{shape[0]} pixels, but corruptions need {MINIMUM_SIDE} on each side: "
            "use a larger image, or corrupt before resizing"
        )
    if image.dtype.kind not in "biuf":
        raise CorruptionError(f"{origin} has dtype {image.dtype}, but corruptions take uint8 from 0 to 255")
    if image.dtype != np.uint8:
        remedy, code = _suggest_conversion(image)
        raise CorruptionError(
            f"{origin} has dtype {image.dtype} with values from {image.min()} to {image.max()}, but corruptions take uint8 "
            f"from 0 to 255: {remedy}{_add_code(code, origin)}"
        )
    if len(shape) == 2 or shape[2] == 1:
        return np.repeat(image.reshape(*shape[:2], 1), 3, axis=2)
    if shape[2] == 4 and image[..., 3].min() < 255:
        raise CorruptionError(
            f"{origin} is RGBA and not opaque (alpha from {image[..., 3].min()} to {image[..., 3].max()}): "
            "lay it on a background first, or leave its alpha out if that means something else"
            f"{_add_code('image[..., :3]', origin)}"
        )
    return image[..., :3]


def _suggest_conversion(image: NDArray[Any]) -> tuple[str, str | None]:
    """Return what to do in words, and as Python where that is one line."""
    low, high = image.min(), image.max()
    if not (np.isfinite(low) and np.isfinite(high)):
        return "find out where the values that are not finite come from", None
    if low < 0:
        return "undo its normalisation (times the standard deviation, plus the mean) and convert it to 8 bits", None
    if np.issubdtype(image.dtype, np.floating) and high <= 1:
        return "convert it to 8 bits, so that 1 becomes 255", "(image * 255).round().astype(numpy.uint8)"
    if image.dtype == np.bool_:
        return "convert it to 8 bits, so that true becomes 255", "image.astype(numpy.uint8) * 255"
    if high <= 255:
        return "convert it to 8 bits, with the values that it has", "image.round().astype(numpy.uint8)"
    if high < 65536:
        code = "(image / 257).round().astype(numpy.uint8)"
        return "convert it to 8 bits, so that its white (65535, if it is that) becomes 255", code
    return "convert it to 8 bits, so that its white becomes 255", None


def _add_code(code: str | None, origin: str) -> str:
    """Put a line of Python behind a remedy, for who holds an array; the owner of a file has no use for it."""
    return f": {code}" if code is not None and origin == THE_IMAGE else ""
