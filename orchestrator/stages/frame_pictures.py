"""Pictures of a few fixed frames: image, label, prediction and error, small, for pages that show a network at work.

They are files of the task's folder: `frames/index.json` lists them. Labels, predictions and errors are indexed PNGs (a
few kB each), the image is a JPEG; all have one size.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adapt.atomic import write_atomically
from adapt.data.catalog import Color
from adapt.data.label_map import IGNORE
from orchestrator.stages.stage import FRAME_PICTURES

FOLDER = "frames"
INDEX = FRAME_PICTURES
WIDTH = 240  # pixels; ours: four panels fit beside each other on a page, at 3 kB each
JPEG_QUALITY = 75  # ours: edges stay clean at this size
CLEAN_FRAMES = 2  # ours: of a data set that is looked at without corruption

RIGHT, WRONG, IGNORED = 0, 1, 2
ERROR_PALETTE: tuple[Color, ...] = ((235, 235, 235), (200, 30, 60), (120, 120, 120))

Pixels = NDArray[np.uint8]


def choose_frames(count: int, wanted: int = CLEAN_FRAMES) -> list[int]:
    """Return the places of a few frames spread evenly over a list, the same every time.

    Example:
        >>> choose_frames(100), choose_frames(1), choose_frames(0)
        ([25, 75], [0], [])
    """
    few = min(wanted, count)
    return [(2 * number + 1) * count // (2 * few) for number in range(few)]


class FramePictures:
    """Writes the pictures of a task; `close` lists them, so that a half-written folder is not taken for a whole one.

    Args:
        folder: of the task.
        palette: RGB of each class.
    """

    def __init__(self, folder: Path, palette: Sequence[Color]) -> None:
        self._folder = folder
        self._palette = palette
        self._index: list[dict[str, object]] = []
        (folder / FOLDER).mkdir(parents=True, exist_ok=True)

    def add(self, frame: str, condition: str, image: Pixels, label: Pixels, prediction: Pixels) -> None:
        """Write the panels of one frame.

        Args:
            frame: its name.
            condition: what it was seen under: `clean`, a cell such as `fog/3`, a domain of a stream.
            image: (H, W, 3) uint8 RGB.
            label: (H', W') uint8 train ids, 255 where ignored.
            prediction: (H'', W'') uint8 train ids.
        """
        height, width = label.shape
        size = (min(width, WIDTH), max(1, round(height * min(width, WIDTH) / width)))
        small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        shown, known = (cv2.resize(each, size, interpolation=cv2.INTER_NEAREST) for each in (prediction, label))
        error = np.where(known == IGNORE, IGNORED, np.where(shown == known, RIGHT, WRONG)).astype(np.uint8)
        panels = {
            "image.jpg": _encode_jpeg(small),
            "label.png": _encode_indexed(known, self._palette),
            "prediction.png": _encode_indexed(shown, self._palette),
            "error.png": _encode_indexed(error, ERROR_PALETTE),
        }
        stem = f"{FOLDER}/{len(self._index):02d}"
        for name, content in panels.items():
            write_atomically(self._folder / f"{stem}-{name}", content)
        files = {name.partition(".")[0]: f"{stem}-{name}" for name in panels}
        self._index.append({"frame": frame, "condition": condition, "files": files})

    def close(self) -> None:
        """Write the list of pictures."""
        write_atomically(self._folder / INDEX, json.dumps(self._index, indent=1))


def _encode_jpeg(image: Pixels) -> bytes:
    _, encoded = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return encoded.tobytes()


def _encode_indexed(ids: Pixels, palette: Sequence[Color]) -> bytes:
    """Return a PNG of a palette; ids beyond it are black."""
    picture = Image.fromarray(np.where(ids < len(palette), ids, len(palette)).astype(np.uint8), mode="P")
    picture.putpalette([value for color in (*palette, (0, 0, 0)) for value in color])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()
