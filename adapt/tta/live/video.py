"""Writes a video that people can play: the first container and codec of a fixed order that this OpenCV really writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.errors import PrerequisiteError

# Suffix and codec, in the order in which they are tried. The wheels of OpenCV encode no H.264 (its licence). Chromium
# and Firefox play the first two, desktop players all four. VP9 files are half as large but take four times as long.
CONTAINERS = ((".webm", "VP80"), (".mp4", "vp09"), (".mp4", "mp4v"), (".avi", "MJPG"))


class VideoFile:
    """A video under way; closing it makes it playable.

    Args:
        stem: its path without a suffix.
        size: (width, height), both even.
        fps: frames per second.

    Attributes:
        path: the file.
        codec: its four characters.
        fps: frames per second.
        frames: written so far.

    Raises:
        PrerequisiteError: if this OpenCV writes none of `CONTAINERS`.
    """

    def __init__(self, stem: Path, size: tuple[int, int], fps: float) -> None:
        self.frames, self.fps = 0, fps
        self.path, self.codec, self._writer = _open(stem, size, fps)

    def write(self, frame: NDArray[np.uint8]) -> None:
        """Add a frame, (height, width, 3) uint8 RGB."""
        self._writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        self.frames += 1

    def close(self) -> None:
        """Write what is buffered and the container's index."""
        self._writer.release()


def _open(stem: Path, size: tuple[int, int], fps: float) -> tuple[Path, str, cv2.VideoWriter]:
    for suffix, codec in CONTAINERS:
        path = stem.with_name(stem.name + suffix)
        with _silence():
            writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, size)
        if writer.isOpened():
            return path, codec, writer
        writer.release()
    names = ", ".join(f"{codec} in {suffix}" for suffix, codec in CONTAINERS)
    raise PrerequisiteError(
        f"OpenCV {cv2.__version__} can write no video here (tried {names}). Install opencv-python-headless from PyPI, "
        f"and check that {stem.parent} can be written."
    )


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep the C library's remarks from the terminal while codecs are tried: a failed try is no fault of the user's."""
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
