"""The frames of a video or of a folder of images, in order, each with what was wrong with it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.errors import PrerequisiteError, SpecError
from adapt.tta.live.decode import FrameProblem, decode_image

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
FOLDER_FPS = 10.0  # ours: a folder says nothing of time, and at this pace one can follow what changes


@dataclass(frozen=True)
class LiveFrame:
    """One frame of the input.

    Attributes:
        index: its place in the input, from 0, counted before any frame is left out.
        name: what its outputs are called, unique within the input.
        image: (H, W, 3) uint8 RGB; None where the frame cannot be used.
        note: how it was converted; None where it was taken as it is.
        problem: why it cannot be used; None where it can.
    """

    index: int
    name: str
    image: NDArray[np.uint8] | None
    note: str | None = None
    problem: str | None = None


@dataclass(frozen=True)
class Choice:
    """Which frames of an input are taken.

    Attributes:
        every: each so many-th, from the first on.
        limit: at most so many; None takes all.
        allow_gray: whether a picture of one channel is repeated over the three that a network takes.
    """

    every: int = 1
    limit: int | None = None
    allow_gray: bool = False

    def count(self, frames: int) -> int:
        """Return how many frames are taken of so many."""
        taken = -(-frames // self.every)
        return taken if self.limit is None else min(taken, self.limit)


class FolderFrames:
    """The images of a folder, not of those below it, in natural order: frame10 follows frame9.

    Args:
        folder: the folder.
        choice: which of its images are taken.

    Raises:
        PrerequisiteError: if it holds no image.
    """

    def __init__(self, folder: Path, choice: Choice) -> None:
        self._choice = choice
        self._paths = sorted(
            (
                path
                for path in folder.iterdir()
                if path.suffix.lower() in IMAGE_SUFFIXES and path.name[0] != "." and path.is_file()
            ),
            key=lambda path: (_split_numbers(path.name), path.name),
        )
        if not self._paths:
            raise PrerequisiteError(
                f"The folder {folder} holds no image ({', '.join(IMAGE_SUFFIXES)}); folders inside it are not looked "
                "into. Name the folder that holds the frames themselves, or a video."
            )
        # Case aside: some file systems take a.png and A.png for one file.
        self._stems = Counter(path.stem.lower() for path in self._paths)

    @property
    def total(self) -> int | None:
        """How many frames will come."""
        return self._choice.count(len(self._paths))

    @property
    def fps(self) -> float:
        """Frames per second at which the output plays."""
        return FOLDER_FPS

    def __iter__(self) -> Iterator[LiveFrame]:
        """Read the images one by one; one that cannot be used comes with its problem."""
        for taken, index in enumerate(range(0, len(self._paths), self._choice.every)):
            if taken == self._choice.limit:
                return
            path = self._paths[index]
            name = path.stem if self._stems[path.stem.lower()] == 1 else path.name
            try:
                image, note = decode_image(path, self._choice.allow_gray)
            except FrameProblem as problem:
                yield LiveFrame(index, name, None, problem=str(problem))
            else:
                yield LiveFrame(index, name, image, note)


class VideoFrames:
    """The frames of a video that OpenCV reads.

    Args:
        path: the file.
        choice: which of its frames are taken.

    Raises:
        PrerequisiteError: if OpenCV finds no frame in it.
    """

    def __init__(self, path: Path, choice: Choice) -> None:
        self._path, self._choice = path, choice
        capture = self._open()
        fps = capture.get(cv2.CAP_PROP_FPS)
        self._fps = fps / choice.every if 0 < fps < 1000 else FOLDER_FPS  # some containers hold no rate, or nonsense
        declared = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._declared = declared if declared > 0 else None
        capture.release()

    @property
    def total(self) -> int | None:
        """How many frames will come if the container tells the truth; None where it does not say."""
        return None if self._declared is None else self._choice.count(self._declared)

    @property
    def fps(self) -> float:
        """Frames per second at which the output plays as long as the input does."""
        return self._fps

    def __iter__(self) -> Iterator[LiveFrame]:
        """Decode the frames in order; those that are not taken are passed over."""
        capture = self._open()
        try:
            index = taken = 0
            while taken != self._choice.limit and capture.grab():
                if index % self._choice.every == 0:
                    yield self._retrieve(capture, index)
                    taken += 1
                index += 1
        finally:
            capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self._path))
        if not capture.isOpened() or not capture.grab():
            raise PrerequisiteError(
                f"OpenCV {cv2.__version__} finds no frame in {self._path}: it is no video, damaged, or of a codec that "
                "this build cannot read. Convert it to mp4 with H.264, or to a folder of images."
            )
        capture.release()
        return cv2.VideoCapture(str(self._path))  # anew: not every container can be wound back

    def _retrieve(self, capture: cv2.VideoCapture, index: int) -> LiveFrame:
        name = f"frame_{index:06d}"
        is_good, pixels = capture.retrieve()
        if not is_good or pixels is None:
            return LiveFrame(index, name, None, problem="it cannot be decoded")
        return LiveFrame(index, name, np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8))


def open_frames(path: Path, choice: Choice) -> FolderFrames | VideoFrames:
    """Open a folder of images or a video.

    Args:
        path: the folder or the file.
        choice: which of its frames are taken.

    Returns:
        The frames, to be iterated over.

    Raises:
        SpecError: if there is nothing at that path, or it is a single image.
        PrerequisiteError: if there is no frame in it.
    """
    if path.is_dir():
        return FolderFrames(path, choice)
    if not path.is_file():
        raise SpecError(f"There is no video and no folder at {path.absolute()}. Correct the path.")
    if path.suffix.lower() in IMAGE_SUFFIXES:
        raise SpecError(f"{path} is a single image. Name its folder, or a video.")
    return VideoFrames(path, choice)


def _split_numbers(name: str) -> list[tuple[int, str]]:
    """Return a sort key that compares runs of digits as numbers and the rest as lower-case text."""
    parts = re.split(r"(\d+)", name.lower())
    # Odd places are the digits. Pairs of one shape, so that a number and a text can be compared.
    return [(int(part), "") if place % 2 else (-1, part) for place, part in enumerate(parts)]
