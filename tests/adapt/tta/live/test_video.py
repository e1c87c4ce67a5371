"""A video is written by the first codec that works, and can be read again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.errors import PrerequisiteError
from adapt.tta.live import video
from adapt.tta.live.video import CONTAINERS, VideoFile


def read(path: Path) -> list[np.ndarray]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        is_good, frame = capture.read()
        if not is_good:
            return frames
        frames.append(frame[..., ::-1])


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda container: container[1])
def test_every_container_can_be_read_again(tmp_path: Path, draw, container, monkeypatch, capfd) -> None:
    monkeypatch.setattr(video, "CONTAINERS", (container,))
    file = VideoFile(tmp_path / "film", (64, 48), 12.5)
    for index in range(8):
        file.write(draw(index))
    file.close()
    assert (file.path, file.codec, file.frames, file.fps) == (tmp_path / f"film{container[0]}", container[1], 8, 12.5)
    frames = read(file.path)
    assert len(frames) == 8
    for index, frame in enumerate(frames):
        assert np.abs(frame.astype(int) - draw(index)).mean() < 12
    assert cv2.VideoCapture(str(file.path)).get(cv2.CAP_PROP_FPS) == pytest.approx(12.5, rel=0.01)
    assert capfd.readouterr().err == ""


def test_the_next_is_tried_where_one_fails(tmp_path: Path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(video, "CONTAINERS", ((".mp4", "VP80"), (".avi", "MJPG")))  # mp4 takes no VP8
    file = VideoFile(tmp_path / "film", (64, 48), 10)
    file.close()
    assert file.path.suffix == ".avi"
    assert not (tmp_path / "film.mp4").exists()
    assert capfd.readouterr().err == ""


def test_none_works(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"can write no video.*VP80 in .webm"):
        VideoFile(tmp_path / "nowhere" / "film", (64, 48), 10)
