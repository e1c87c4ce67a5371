"""What is written of each frame."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.errors import TaskError
from adapt.tta.live import video
from adapt.tta.live.folder import prepare_folder
from adapt.tta.live.frames import LiveFrame
from adapt.tta.live.output import FrameResult, Output
from adapt.tta.live.pictures import overlay_classes

CLASSES, PALETTE = ["grass", "square"], ((0, 200, 0), (200, 0, 0))


def open_output(folder: Path, compare: bool = False) -> Output:
    prepare_folder(folder)
    return Output(folder, CLASSES, PALETTE, 10.0, "tent", compare)


def read_lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def predict(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] > 100).astype(np.uint8)


def test_labels_are_exact_and_overlays_close(tmp_path: Path, draw) -> None:
    output = open_output(tmp_path)
    image = draw(2)
    result = FrameResult(
        LiveFrame(4, "a", image, note="converted"),
        predict(image),
        loss=0.25,
        updates=1,
        skipped=2,
        notes={"kept": 0.5},
        was_reset=True,
        recovered="loss",
        seconds=0.1,
    )
    output.write(result)
    output.close()
    label = cv2.imread(str(tmp_path / "labels" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert label.dtype == np.uint8
    assert np.array_equal(label, predict(image))
    overlay = cv2.imread(str(tmp_path / "overlays" / "a.jpg"))[..., ::-1]
    assert np.abs(overlay.astype(int) - overlay_classes(image, predict(image), PALETTE)).mean() < 4
    assert read_lines(tmp_path) == [
        {
            "index": 4,
            "name": "a",
            "size": [64, 48],
            "converted": "converted",
            "loss": 0.25,
            "updates": 1,
            "skipped": 2,
            "notes": {"kept": 0.5},
            "was_reset": True,
            "recovered": "loss",
            "seconds": 0.1,
        }
    ]
    assert output.problems == []


@pytest.mark.parametrize("compare", [False, True])
def test_the_video_shows_the_panels(tmp_path: Path, draw, compare: bool) -> None:
    output = open_output(tmp_path, compare)
    for index in range(3):
        image = draw(index)
        nothing = np.zeros((48, 64), np.uint8) if compare else None
        output.write(FrameResult(LiveFrame(index, f"f{index}", image), predict(image), nothing))
    output.close()
    assert output.video.frames == 3
    capture = cv2.VideoCapture(str(output.video.path))
    sheet = capture.read()[1][..., ::-1]
    panels = [draw(0), overlay_classes(draw(0), predict(draw(0)), PALETTE)]
    if compare:
        panels.insert(1, overlay_classes(draw(0), np.zeros((48, 64), np.uint8), PALETTE))
    for place, panel in enumerate(panels):
        shown = sheet[26 : 26 + 240, place * 326 : place * 326 + 320]
        assert np.abs(shown.astype(int) - cv2.resize(panel, (320, 240))).mean() < 8
    assert sheet.shape[1] == 320 * len(panels) + 6 * (len(panels) - 1)


def test_a_frame_of_another_size_is_left_out_of_the_video_alone(tmp_path: Path, draw) -> None:
    output = open_output(tmp_path)
    for index, width in enumerate((64, 80, 64)):
        image = draw(index, width)
        output.write(FrameResult(LiveFrame(index, f"f{index}", image), predict(image)))
    output.close()
    assert output.video.frames == 2
    assert sorted(path.name for path in (tmp_path / "labels").iterdir()) == ["f0.png", "f1.png", "f2.png"]
    (problem,) = output.problems
    assert (problem.frame, problem.text) == (
        "f1",
        "it is 80x48 and the first frame 64x48: it is left out of the video",
    )
    assert [line.get("problem") for line in read_lines(tmp_path)] == [None, problem.text, None]


def test_a_frame_that_cannot_be_used_is_listed(tmp_path: Path, draw) -> None:
    output = open_output(tmp_path)
    output.write(FrameResult(LiveFrame(0, "bad", None, problem="the file is empty")))
    output.write(FrameResult(LiveFrame(1, "good", draw(1)), predict(draw(1))))
    output.close()
    assert read_lines(tmp_path)[0] == {"index": 0, "name": "bad", "problem": "the file is empty"}
    assert [(problem.frame, problem.text) for problem in output.problems] == [("bad", "the file is empty")]
    assert [path.name for path in (tmp_path / "labels").iterdir()] == ["good.png"]


def test_without_a_codec_all_else_is_written(tmp_path: Path, draw, monkeypatch) -> None:
    monkeypatch.setattr(video, "CONTAINERS", ((".mp4", "xyz0"),))
    output = open_output(tmp_path)
    for index in range(2):
        output.write(FrameResult(LiveFrame(index, f"f{index}", draw(index)), predict(draw(index))))
    output.close()
    assert output.video is None
    assert len(list((tmp_path / "labels").iterdir())) == 2
    (problem,) = output.problems
    assert problem.frame == "f0"
    assert "there is no video: OpenCV" in problem.text


def test_what_is_written_can_be_read_before_the_end(tmp_path: Path, draw) -> None:
    output = open_output(tmp_path)
    output.write(FrameResult(LiveFrame(0, "f0", draw(0)), predict(draw(0))))
    assert len(read_lines(tmp_path)) == 1
    output.close()


def test_a_folder_that_takes_no_more_is_named(tmp_path: Path, draw) -> None:
    output = open_output(tmp_path)
    (tmp_path / "labels").rmdir()
    with pytest.raises(TaskError, match="could not take the results of 'f0'"):
        output.write(FrameResult(LiveFrame(0, "f0", draw(0)), predict(draw(0))))
    output.close()
