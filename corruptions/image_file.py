"""Image files: which a folder holds, their pixels as RGB, and pixels as PNG files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.errors import CorruptionError
from corruptions.image import to_rgb

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".ppm")
_PNG_SIGNATURE, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG_SIGNATURE, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"


def list_images(folder: Path) -> list[str]:
    """List the images of a folder and of the folders inside it; hidden files and folders are left out.

    Args:
        folder: The folder. Links to files and folders are followed, in circles once.

    Returns:
        Paths relative to the folder, in POSIX form, sorted: the ids from which seeds are derived.

    Raises:
        CorruptionError: If the folder or one inside it cannot be read, or if there is no image.
    """
    if not folder.is_dir():
        raise CorruptionError(f"'{folder}' is no folder: give the folder that holds the images")
    try:
        found = sorted(path.relative_to(folder).as_posix() for path in _walk(folder, ()))
    except OSError as error:
        raise CorruptionError(f"'{error.filename}' cannot be read ({error.strerror}): mend its permissions") from error
    if not found:
        raise CorruptionError(f"'{folder}' and its folders hold no image ({', '.join(SUFFIXES)})")
    return found


def _walk(folder: Path, above: tuple[str, ...]) -> Iterator[Path]:
    real = os.path.realpath(folder)
    if real in above:  # a link to a folder that holds it
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, (*above, real))
        elif path.suffix.lower() in SUFFIXES:
            yield path


def decode_image(data: bytes, origin: str) -> NDArray[np.uint8]:
    """Decode an image file; an orientation in its header is applied, as readers of data sets do.

    Args:
        data: All bytes of the file.
        origin: What an error calls it.

    Returns:
        (H, W, 3) uint8 RGB; grey is repeated, an opaque alpha channel is left out.

    Raises:
        CorruptionError: If it is cut short or no image, or none that corruptions take (`corruptions.image.to_rgb`).
    """
    if not data:
        raise CorruptionError(f"{origin} is empty: copy or download it again")
    if _is_cut_short(data):
        raise CorruptionError(f"{origin} is cut short: copy or download it again")
    if not data.startswith(_JPEG_SIGNATURE):  # which has no alpha
        stored = _decode(data, cv2.IMREAD_UNCHANGED, origin)
        if stored.ndim == 3 and stored.shape[2] == 4:
            to_rgb(stored, origin)  # refuses what is transparent
    shown = to_rgb(_decode(data, cv2.IMREAD_ANYCOLOR | cv2.IMREAD_ANYDEPTH, origin), origin)
    return np.ascontiguousarray(shown[..., ::-1])


def _decode(data: bytes, flags: int, origin: str) -> NDArray[Any]:
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:  # such as more pixels than OpenCV allows
        raise CorruptionError(f"{origin} cannot be decoded ({' '.join(str(error).split())})") from error
    if pixels is None:
        raise CorruptionError(f"{origin} cannot be decoded as an image: copy or download it again")
    return np.asarray(pixels)


def _is_cut_short(data: bytes) -> bool:
    """Tell whether a PNG or JPEG lacks its end: some versions of OpenCV give what they could decode of it."""
    if data.startswith(_PNG_SIGNATURE):
        return _PNG_END not in data[-64:]
    if data.startswith(_JPEG_SIGNATURE):
        # In compressed data these two bytes occur as a marker only; a thumbnail has both of them before the picture.
        return data.rfind(_JPEG_END) < data.rfind(_JPEG_SCAN)
    return False


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Encode (H, W, 3) uint8 RGB as a PNG file, losslessly."""
    return bytes(cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1].tobytes())


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that its name appears with all of its content; one process writes a name at a time.

    Args:
        path: The file; folders above it are made. What an interrupted call leaves, `.NAME.partial`, the next one replaces.
        content: All of it.

    Raises:
        CorruptionError: If it cannot be written.
    """
    draft = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise CorruptionError(
            f"'{path}' cannot be written ({error.strerror or error}): make room or mend the permissions, then run the same "
            "command again; it goes on from there"
        ) from error
