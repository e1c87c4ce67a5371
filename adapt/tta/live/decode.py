"""One image file to the RGB pixels that a network takes, or the reason why its pixels cannot be trusted."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

_PNG_SIGNATURE, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG_SIGNATURE, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_TWELVE_BITS = 4096


class FrameProblem(Exception):  # noqa: N818  no fault of the program: the frame is left out and listed
    """Why one frame cannot be used."""


def decode_image(path: Path, allow_gray: bool) -> tuple[NDArray[np.uint8], str | None]:
    """Read an image file; what is unambiguous is converted.

    Args:
        path: the file. An orientation in its header is applied, transparency dropped.
        allow_gray: whether one channel is repeated three times.

    Returns:
        (H, W, 3) uint8 RGB, and how it was converted, None where it was not.

    Raises:
        FrameProblem: if the file cannot be read, is cut short, or leaves it open which colours are meant.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FrameProblem(f"it cannot be read ({error.strerror or error})") from error
    if not data:
        raise FrameProblem("the file is empty")
    if _is_cut_short(data):
        raise FrameProblem("the file is cut short")
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH)
    if pixels is None:
        raise FrameProblem("it cannot be decoded as an image")
    return _to_color(*_to_eight_bits(pixels), allow_gray)


def _is_cut_short(data: bytes) -> bool:
    """Tell whether a PNG or JPEG file lacks its end: OpenCV gives what it could decode of it, the rest gray or black."""
    if data.startswith(_PNG_SIGNATURE):
        return _PNG_END not in data[-64:]
    if data.startswith(_JPEG_SIGNATURE):
        # In compressed data these two bytes occur as a marker only; a thumbnail has both of them before the picture.
        return data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    return False


def _to_eight_bits(pixels: NDArray[np.generic]) -> tuple[NDArray[np.uint8], str | None]:
    if pixels.dtype == np.uint8:
        return np.asarray(pixels, np.uint8), None
    if pixels.dtype != np.uint16:
        raise FrameProblem(
            f"its values are {pixels.dtype}, and no range is given for them: convert it to 8 bits a channel"
        )
    if 0 < int(np.asarray(pixels).max()) < _TWELVE_BITS:
        raise FrameProblem(
            f"it has 16 bits a channel but no value above {_TWELVE_BITS - 1}, so it may hold 12-bit or 8-bit values: "
            "convert it to 8 bits a channel"
        )
    return np.round(np.asarray(pixels, np.float32) / 257.0).astype(np.uint8), "16 bits a channel brought to 8"


def _to_color(pixels: NDArray[np.uint8], note: str | None, allow_gray: bool) -> tuple[NDArray[np.uint8], str | None]:
    if pixels.ndim == 3:
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8), note
    if not allow_gray:
        raise FrameProblem("it has one channel, and the network was trained on colour: --allow-gray repeats it")
    notes = [text for text in (note, "one channel repeated three times") if text is not None]
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), np.uint8), ", ".join(notes)
