"""Pictures of fixed frames: which frames, and what their pixels say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from adapt.benchmark.unit import GridCell
from adapt.tta.stream import Step
from orchestrator.stages.benchmark import choose_cells
from orchestrator.stages.frame_pictures import ERROR_PALETTE, INDEX, WIDTH, FramePictures, choose_frames
from orchestrator.stages.stream import PICTURED_DOMAINS, choose_steps

RED, GREEN, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 0)


def test_frames_are_spread_evenly() -> None:
    assert choose_frames(233) == [58, 174]
    assert choose_frames(12, 3) == [2, 6, 10]
    assert choose_frames(1, 3) == [0]
    assert choose_frames(0) == []


def test_panels_show_labels_predictions_and_errors(tmp_path: Path) -> None:
    """Of four quarters one is right, one wrong, one ignored and one predicted as a class without a colour."""
    label = np.zeros((40, 40), np.uint8)
    label[:20, 20:] = 1
    label[20:, :20] = 255
    prediction = np.zeros((40, 40), np.uint8)
    prediction[20:, 20:] = 7
    pictures = FramePictures(tmp_path, (RED, GREEN))
    pictures.add("a", "clean", np.full((40, 40, 3), (10, 200, 90), np.uint8), label, prediction)
    assert not (tmp_path / INDEX).exists()  # only a whole folder has a list
    pictures.close()
    (listed,) = json.loads((tmp_path / INDEX).read_text())

    def corners(panel: str) -> list[tuple[int, ...]]:
        pixels = np.asarray(Image.open(tmp_path / listed["files"][panel]).convert("RGB"))
        return [tuple(pixels[y, x].tolist()) for y in (5, 35) for x in (5, 35)]

    right, wrong, ignored = ERROR_PALETTE
    assert corners("label") == [RED, GREEN, BLACK, RED]
    assert corners("prediction") == [RED, RED, RED, BLACK]
    assert corners("error") == [right, wrong, ignored, wrong]
    assert np.abs(np.array(corners("image")) - (10, 200, 90)).max() <= 3  # a JPEG, red first


def test_large_frames_are_shrunk_and_small_ones_are_not(tmp_path: Path) -> None:
    pictures = FramePictures(tmp_path, (RED,))
    for width, height, expected in ((960, 480, (WIDTH, WIDTH // 2)), (64, 48, (64, 48))):
        label = np.zeros((height, width), np.uint8)
        pictures.add("a", "clean", np.zeros((height // 2, width // 2, 3), np.uint8), label, label[::2, ::2])
        pictures.close()
        files = json.loads((tmp_path / INDEX).read_text())[-1]["files"]
        assert {Image.open(tmp_path / name).size for name in files.values()} == {expected}


def test_a_benchmark_shows_one_corruption_of_each_family_at_its_highest_severity() -> None:
    cells = [GridCell("clean", "test", None, None)]
    cells += [GridCell(f"{n}/{s}", "test", n, s) for n in ("fog", "snow", "gaussian_noise") for s in (1, 5, 3)]
    assert [cell.name for cell in choose_cells(cells)] == ["fog/5", "gaussian_noise/5"]


def test_a_stream_shows_the_last_frame_of_each_domain_in_the_first_and_last_round() -> None:
    def walk(rounds: int, domains: list[str]) -> list[Step]:
        return [Step(r, d, d, f"{i}", None, None, None) for r in range(rounds) for d in domains for i in range(3)]

    assert choose_steps(walk(1, ["fog", "night"])) == {2: "fog", 5: "night"}
    assert choose_steps(walk(3, ["fog"])) == {2: "fog, round 1", 8: "fog, round 3"}
    assert len(choose_steps(walk(1, [str(number) for number in range(20)]))) == PICTURED_DOMAINS
