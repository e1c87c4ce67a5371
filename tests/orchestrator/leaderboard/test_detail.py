"""What a row opens to, worked by hand: classes, rounds, reliability, pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.leaderboard.detail import build_detail
from orchestrator.record import StoredFile
from orchestrator.stages.frame_pictures import FramePictures
from tests.orchestrator.leaderboard.grids import build_cells, confuse, fill
from tests.orchestrator.leaderboard.sources import Records

NOTHING = Records({})


def test_classes_are_averaged_over_severities_and_runs(make_task, make_record) -> None:
    """Both classes of these counts have the same IoU: its tenths. Fog: (8 + 4) / 2 and (6 + 2) / 2, mean 5."""
    records = [
        make_record(make_task("grid", "benchmark", point={"seed": seed}), build_cells(clean, grid, night=3))
        for seed, clean, grid in ((0, 9, fill(8, 4, 5, 0)), (1, 7, fill(6, 2, 5, 0)))
    ]
    detail = build_detail(records, NOTHING)
    assert detail is not None
    assert detail.classes == ("road", "traffic light")
    assert {name: values[0] for name, values in detail.class_iou.items()} == {
        "clean": pytest.approx(0.8),
        "fog": pytest.approx(0.5),
        "gaussian_noise": pytest.approx(0.25),
        "night": pytest.approx(0.3),
    }
    assert detail.rounds == {}
    assert detail.pictures == ()


def test_a_class_that_occurs_nowhere_has_no_iou(make_task, make_record) -> None:
    record = make_record(make_task("clean"), {"clean": ({}, ((5, 0), (0, 0)))})
    detail = build_detail([record], NOTHING)
    assert detail is not None
    assert detail.class_iou == {"clean": (1.0, None)}


def test_a_stream_of_several_rounds_shows_them_by_domain(make_task, make_record) -> None:
    tenths = {(0, "fog"): 8, (0, "night"): 4, (1, "fog"): 6, (1, "night"): 2}
    cells = {f"{r}/{d}": ({"round": r, "domain": d}, confuse(value)) for (r, d), value in tenths.items()}
    detail = build_detail([make_record(make_task("weather", "stream"), cells)], NOTHING)
    assert detail is not None
    assert detail.rounds == {"fog": pytest.approx((0.8, 0.6)), "night": pytest.approx((0.4, 0.2))}
    assert detail.class_iou["fog"] == pytest.approx((0.7, 0.7))
    once = {name: cell for name, cell in cells.items() if name.startswith("0/")}
    single = build_detail([make_record(make_task("weather", "stream"), once)], NOTHING)
    assert single is not None
    assert single.rounds == {}


def test_reliability_is_pooled_over_corrupted_cells_and_runs(make_task, make_record) -> None:
    def count(pixels: float) -> tuple[tuple[float, ...], ...]:
        return tuple((0.0,) * 14 + (pixels * part,) for part in (1.0, 0.9, 0.8))

    records = []
    for seed in (0, 1):
        record = make_record(make_task("grid", "benchmark", point={"seed": seed}), build_cells(9, fill(8, 4, 5, 0)))
        cells = tuple(cell.model_copy(update={"calibration": count(10)}) for cell in record.cells)
        records.append(record.model_copy(update={"cells": cells}))
    detail = build_detail(records, NOTHING)
    assert detail is not None
    assert {part: [row[-1] for row in rows] for part, rows in detail.reliability.items()} == {
        "clean": pytest.approx([20, 18, 16]),
        "corrupted": pytest.approx([80, 72, 64]),
    }


def test_pictures_are_those_that_the_first_run_lists(make_task, make_record, tmp_path: Path) -> None:
    pictures = FramePictures(tmp_path, ((255, 0, 0), (0, 255, 0)))
    label = np.zeros((6, 8), np.uint8)
    pictures.add("frame7", "fog/3", np.zeros((6, 8, 3), np.uint8), label, label)
    pictures.close()
    task = make_task("clean")
    stored = StoredFile(sha256="0" * 64, size_bytes=1)
    record = make_record(task, {"clean": ({}, confuse(5))}, files={"frames/index.json": stored})
    detail = build_detail(
        [record], Records({}, files={(task.key, "frames/index.json"): tmp_path / "frames/index.json"})
    )
    assert detail is not None
    (picture,) = detail.pictures
    assert (picture.frame, picture.condition, picture.key) == ("frame7", "fog/3", task.key)
    assert set(picture.files) == {"image", "label", "prediction", "error"}
    assert all((tmp_path / name).is_file() for name in picture.files.values())
    assert json.loads((tmp_path / "frames/index.json").read_text())[0]["files"] == picture.files
    damaged = build_detail([record], NOTHING)
    assert damaged is not None
    assert damaged.pictures == ()


def test_a_row_without_results_opens_to_nothing() -> None:
    assert build_detail([], NOTHING) is None
