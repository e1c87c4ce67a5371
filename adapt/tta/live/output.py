"""What a live stream leaves behind: label maps, overlays, a side-by-side video, and a line for each frame."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.atomic import write_atomically
from adapt.data.catalog import Color
from adapt.errors import PrerequisiteError, TaskError
from adapt.tta.live.frames import LiveFrame
from adapt.tta.live.pictures import Sheet, overlay_classes
from adapt.tta.live.video import VideoFile

LABELS, OVERLAYS, VIDEO, FRAMES = "labels", "overlays", "side_by_side", "frames.jsonl"
_JPEG_QUALITY = 92  # ours: overlays are to look at; the label maps are exact


@dataclass(frozen=True)
class FrameResult:
    """What was done on one frame.

    Attributes:
        frame: the frame.
        prediction: (H, W) uint8 train ids at the frame's size; None where the frame cannot be used.
        source_prediction: the same of the source model, where it was asked for.
        loss: what the method minimised, None where it has none or did not update.
        updates: optimiser steps taken.
        skipped: optimiser steps that the method decided not to take.
        notes: numbers of the method's own.
        was_reset: whether the method went back to its start before this frame.
        recovered: what was not finite, where the method went back to its last good state; None where all was.
        seconds: the time of prediction and adaptation.
    """

    frame: LiveFrame
    prediction: NDArray[np.uint8] | None = None
    source_prediction: NDArray[np.uint8] | None = None
    loss: float | None = None
    updates: int = 0
    skipped: int = 0
    notes: Mapping[str, float] = field(default_factory=dict)
    was_reset: bool = False
    recovered: str | None = None
    seconds: float = 0.0


@dataclass(frozen=True)
class Problem:
    """A frame that something is missing of.

    Attributes:
        frame: its name.
        text: what is missing and why.
    """

    frame: str
    text: str


class Output:
    """Writes the results of frames, one after the other.

    Args:
        folder: where to, from `adapt.tta.live.folder.prepare_folder`.
        classes: names.
        palette: RGB of each class.
        fps: of the video.
        method: the method's name, for the video.
        compare: whether results hold the source's prediction, which then is a panel of the video.

    Attributes:
        problems: what is missing so far.
        video: the video, opened with the first frame; None before, and where none can be written.
    """

    def __init__(
        self, folder: Path, classes: Sequence[str], palette: Sequence[Color], fps: float, method: str, compare: bool
    ) -> None:
        self.problems: list[Problem] = []
        self.video: VideoFile | None = None
        self._folder, self._classes, self._palette, self._fps = folder, classes, palette, fps
        self._titles = ["picture", *(["source"] if compare else []), method]
        self._sheet: Sheet | None = None
        self._size: tuple[int, int] | None = None
        self._lines = (folder / FRAMES).open("w", encoding="utf-8")

    def write(self, result: FrameResult) -> None:
        """Write everything of one frame.

        Raises:
            TaskError: if the folder cannot take it (a full disk).
        """
        try:
            self._write(result)
        except OSError as error:
            raise TaskError(
                f"{self._folder} could not take the results of '{result.frame.name}' ({error.strerror or error}). What came "
                "before is complete. Make room, or give another folder with --out."
            ) from error

    def close(self) -> None:
        """Close the video and the list of frames, after which both can be read."""
        if self.video is not None:
            self.video.close()
        self._lines.close()

    def _write(self, result: FrameResult) -> None:
        frame = result.frame
        line: dict[str, Any] = {"index": frame.index, "name": frame.name}
        if frame.image is not None:
            line["size"] = [frame.image.shape[1], frame.image.shape[0]]
        if frame.note is not None:
            line["converted"] = frame.note
        problem = frame.problem
        if frame.image is not None and result.prediction is not None:
            self._write_pictures(frame, frame.image, result.prediction)
            problem = self._add_to_video(frame.image, result.prediction, result)
        if problem is not None:
            line["problem"] = problem
            self.problems.append(Problem(frame.name, problem))
        if frame.image is not None:
            line |= {
                "loss": result.loss,
                "updates": result.updates,
                "skipped": result.skipped,
                "notes": dict(result.notes),
                "was_reset": result.was_reset,
                "recovered": result.recovered,
                "seconds": round(result.seconds, 6),
            }
        self._lines.write(json.dumps(line) + "\n")
        self._lines.flush()

    def _write_pictures(self, frame: LiveFrame, image: NDArray[np.uint8], prediction: NDArray[np.uint8]) -> None:
        overlay = overlay_classes(image, prediction, self._palette)
        _, png = cv2.imencode(".png", prediction)
        _, jpeg = cv2.imencode(".jpg", overlay[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        write_atomically(self._folder / LABELS / f"{frame.name}.png", png.tobytes())
        write_atomically(self._folder / OVERLAYS / f"{frame.name}.jpg", jpeg.tobytes())

    def _add_to_video(self, image: NDArray[np.uint8], prediction: NDArray[np.uint8], result: FrameResult) -> str | None:
        """Add a frame to the video, or say why it is left out."""
        size = (image.shape[1], image.shape[0])
        if self._size is None:
            self._size = size
            self._sheet = Sheet(self._titles, size, self._classes, self._palette)
            try:
                self.video = VideoFile(self._folder / VIDEO, self._sheet.size, self._fps)
            except PrerequisiteError as error:
                return f"there is no video: {error}"
        if self._sheet is None or self.video is None:
            return None
        if size != self._size:
            wanted = "x".join(map(str, self._size))
            return f"it is {size[0]}x{size[1]} and the first frame {wanted}: it is left out of the video"
        predictions = [prediction] if result.source_prediction is None else [result.source_prediction, prediction]
        panels = [image, *(overlay_classes(image, one, self._palette) for one in predictions)]
        self.video.write(self._sheet.draw(panels, _describe(result)))
        return None


def _describe(result: FrameResult) -> str:
    """Say in one line what a viewer may want to know of a frame."""
    parts = [f"frame {result.frame.index}", result.frame.name]
    if result.was_reset:
        parts.append("RESET")
    if result.recovered is not None:
        parts.append("RECOVERED")
    if result.loss is not None:
        parts.append(f"loss {result.loss:.4f}")
    parts += [f"{name} {value:.4g}" for name, value in result.notes.items()]
    return "  |  ".join(parts)
