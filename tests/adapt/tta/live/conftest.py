"""Frames of a moving square, as images and as a video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray


def draw_frame(index: int, width: int = 64, height: int = 48) -> NDArray[np.uint8]:
    """A picture (H, W, 3) RGB: green, with a red square that moves right."""
    image = np.zeros((height, width, 3), np.uint8)
    image[...] = (20, 160, 40)
    left = 4 * index % (width - 16)
    image[8:24, left : left + 16] = (220, 30, 10)
    return image


@pytest.fixture
def draw() -> Callable[..., NDArray[np.uint8]]:
    return draw_frame


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twelve images, frame1.png to frame12.png."""
    folder = tmp_path / "clip"
    folder.mkdir()
    for index in range(12):
        cv2.imwrite(str(folder / f"frame{index + 1}.png"), draw_frame(index)[..., ::-1])
    return folder


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """The same twelve pictures as a video of 20 frames a second."""
    path = tmp_path / "film.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    for index in range(12):
        writer.write(np.ascontiguousarray(draw_frame(index)[..., ::-1]))
    writer.release()
    return path
