"""The frames of folders and videos: their order, which are taken, and those that cannot be."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.errors import PrerequisiteError, SpecError
from adapt.tta.live.frames import Choice, open_frames


def test_a_folder_is_in_natural_order(clip: Path, draw) -> None:
    frames = list(open_frames(clip, Choice()))
    assert [frame.name for frame in frames] == [f"frame{n}" for n in range(1, 13)]
    assert [frame.index for frame in frames] == list(range(12))
    assert all(np.array_equal(frame.image, draw(frame.index)) for frame in frames)
    assert all(frame.problem is None and frame.note is None for frame in frames)


def test_names_of_digits_and_of_letters_have_an_order(tmp_path: Path, draw) -> None:
    for name in ("b2", "10", "a", "B10", "9", "x1y10", "x1y9"):
        cv2.imwrite(str(tmp_path / f"{name}.png"), draw(0))
    names = [frame.name for frame in open_frames(tmp_path, Choice())]
    assert names == ["9", "10", "a", "b2", "B10", "x1y9", "x1y10"]


def test_a_folder_holds_other_things_too(clip: Path) -> None:
    (clip / "notes.txt").write_text("no image")
    (clip / ".hidden.png").write_bytes(b"")
    (clip / "folder.png").mkdir()
    (clip / "SHOUT.JPG").write_bytes((clip / "frame1.png").read_bytes())
    assert [frame.name for frame in open_frames(clip, Choice())][-1] == "SHOUT"
    assert open_frames(clip, Choice()).total == 13


def test_images_of_one_stem_keep_their_suffixes(tmp_path: Path, draw) -> None:
    for name in ("a.png", "A.bmp", "b.png"):
        cv2.imwrite(str(tmp_path / name), draw(0))
    assert [frame.name for frame in open_frames(tmp_path, Choice())] == ["A.bmp", "a.png", "b"]


@pytest.mark.parametrize(
    ("every", "limit", "expected"),
    [
        (1, None, range(12)),
        (5, None, [0, 5, 10]),
        (5, 2, [0, 5]),
        (1, 3, [0, 1, 2]),
        (12, None, [0]),
        (1, 50, range(12)),
    ],
)
def test_every_and_limit(clip: Path, film: Path, draw, every: int, limit: int | None, expected) -> None:
    for path in (clip, film):
        opened = open_frames(path, Choice(every, limit))
        frames = list(opened)
        assert [frame.index for frame in frames] == list(expected)
        assert opened.total == len(frames)
        for frame in frames:  # JPEG changes a value by a little, another frame's square by 200
            assert np.abs(frame.image.astype(int) - draw(frame.index)).mean() < 6


def test_a_video_has_names_and_a_rate(film: Path) -> None:
    opened = open_frames(film, Choice(every=2))
    assert [frame.name for frame in opened][:2] == ["frame_000000", "frame_000002"]
    assert opened.fps == 10.0  # as long as the input's 20 a second
    assert next(iter(opened)).image.dtype == np.uint8, "it can be gone through again"


def test_a_frame_that_cannot_be_used_does_not_end_the_folder(clip: Path) -> None:
    (clip / "frame3.png").write_bytes(b"")
    cv2.imwrite(str(clip / "frame5.png"), np.zeros((4, 4), np.uint8))
    frames = list(open_frames(clip, Choice()))
    assert len(frames) == 12
    assert {frame.name: frame.problem for frame in frames if frame.image is None} == {
        "frame3": "the file is empty",
        "frame5": "it has one channel, and the network was trained on colour: --allow-gray repeats it",
    }
    allowed = list(open_frames(clip, Choice(allow_gray=True)))[4]
    assert allowed.problem is None
    assert allowed.note == "one channel repeated three times"


def test_what_is_no_input(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(SpecError, match=r"no video and no folder at .*nowhere"):
        open_frames(tmp_path / "nowhere", Choice())
    with pytest.raises(SpecError, match="single image"):
        open_frames(clip / "frame1.png", Choice())
    (tmp_path / "empty" / "inside").mkdir(parents=True)
    with pytest.raises(PrerequisiteError, match=r"holds no image \(.png"):
        open_frames(tmp_path / "empty", Choice())
    (tmp_path / "film.mp4").write_bytes(b"no film")
    with pytest.raises(PrerequisiteError, match=r"no frame in .*film.mp4"):
        open_frames(tmp_path / "film.mp4", Choice())


def test_a_video_cut_short_gives_what_is_there(film: Path) -> None:
    whole = film.read_bytes()
    film.write_bytes(whole[: int(0.8 * len(whole))])  # its header alone is more than half of it
    frames = list(open_frames(film, Choice()))
    assert 1 <= len(frames) < 12
