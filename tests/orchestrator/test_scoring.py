"""Scores from cells: every number worked by hand from 2 x 2 counts."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.record import Clip, Record
from orchestrator.scoring import score_cell, score_record

# rows = label, columns = prediction; IoU = diagonal / (row + column - diagonal)
PERFECT = ((4, 0), (0, 4))  # 4/4 and 4/4: 1
GOOD = ((3, 1), (1, 3))  # 3/5 and 3/5: 0.6
POOR = ((1, 2), (2, 1))  # 1/5 and 1/5: 0.2
UNEQUAL = ((1, 1), (0, 3))  # 1/2 and 3/4: 0.625
ABSENT = ((5, 0), (0, 0))  # 5/5, and a class that occurs nowhere and does not count: 1
EMPTY = ((0, 0), (0, 0))  # no pixel: none


@pytest.mark.parametrize(
    ("confusion", "miou"),
    [(PERFECT, 1.0), (GOOD, 0.6), (POOR, 0.2), (UNEQUAL, 0.625), (ABSENT, 1.0), (EMPTY, None), (None, None)],
)
def test_miou_of_a_cell(confusion, miou: float | None, make_task, make_record) -> None:
    (cell,) = make_record(make_task("clean"), {"clean": ({}, confusion)}).cells
    assert score_cell(cell) == (None if miou is None else pytest.approx(miou))


def test_an_evaluation_has_miou_and_the_iou_of_each_class(make_task, make_record) -> None:
    record = make_record(make_task("clean"), {"clean": ({}, UNEQUAL)})
    assert score_record(record) == {"miou": 0.625, "iou/road": 0.5, "iou/traffic light": 0.75}


def test_a_class_that_occurs_nowhere_has_no_iou(make_task, make_record) -> None:
    record = make_record(make_task("clean"), {"clean": ({}, ABSENT)})
    assert score_record(record) == {"miou": 1.0, "iou/road": 1.0, "iou/traffic light": None}


def test_a_failed_task_and_a_training_stage_have_no_scores(make_task, make_record) -> None:
    cells = {"clean": ({}, GOOD)}
    assert score_record(make_record(make_task("clean"), cells, failure="no luck")) == {}
    assert score_record(make_record(make_task("source_only", "train"), cells)) == {}


def test_a_missing_evaluation_is_none_and_not_zero(make_task, make_record) -> None:
    assert score_record(make_record(make_task("clean"), {"clean": ({}, None)})) == {"miou": None}


GRID = [["fog", 1], ["fog", 2], ["brightness", 1]]


def grid_cells(**changes):
    cells = {
        "clean": ({}, PERFECT),
        "fog/1": ({"corruption": "fog", "severity": 1}, GOOD),
        "fog/2": ({"corruption": "fog", "severity": 2}, POOR),
        "brightness/1": ({"corruption": "brightness", "severity": 1}, PERFECT),
    }
    return cells | changes


def test_mpc_weighs_corruptions_and_not_cells(make_task, make_record) -> None:
    """Fog: (0.6 + 0.2) / 2 = 0.4; brightness: 1; mPC = (0.4 + 1) / 2 = 0.7, not the mean 0.6 of the three cells."""
    record = make_record(make_task("corruption", "benchmark"), grid_cells(), protocol={"cells": GRID})
    scores = score_record(record)
    assert scores["mpc"] == pytest.approx(0.7)
    assert scores["rpc"] == pytest.approx(0.7)
    assert scores["clean_miou"] == 1.0
    assert scores["miou/fog/1"] == pytest.approx(0.6)
    assert "miou/clean" not in scores
    assert not [name for name in scores if "shift" in name or "ece" in name], "nothing of the kind was measured"


def test_rpc_is_relative_to_the_clean_score(make_task, make_record) -> None:
    """Clean 0.6: rPC = 0.7 / 0.6 = 7/6."""
    cells = grid_cells(clean=({}, GOOD))
    record = make_record(make_task("corruption", "benchmark"), cells, protocol={"cells": GRID})
    assert score_record(record)["rpc"] == pytest.approx(7 / 6)


def test_corruptions_that_move_pixels_are_left_out_of_the_fixed_mean(make_task, make_record) -> None:
    """Elastic transform moves pixels under their labels: mPC = (1 + 0.2) / 2, without it 1."""
    cells = {
        "clean": ({}, PERFECT),
        "brightness/1": ({"corruption": "brightness", "severity": 1}, PERFECT),
        "elastic_transform/1": ({"corruption": "elastic_transform", "severity": 1}, POOR),
    }
    protocol = {"cells": [["brightness", 1], ["elastic_transform", 1]]}
    scores = score_record(make_record(make_task("corruption", "benchmark"), cells, protocol=protocol))
    assert scores["mpc"] == pytest.approx(0.6)
    assert scores["mpc_fixed_pixels"] == pytest.approx(1.0)


def test_the_worst_corruption_is_averaged_over_its_severities(make_task, make_record) -> None:
    """Fog at (0.6 + 0.2) / 2 = 0.4 is worse than brightness at 1; its worst cell alone would be 0.2."""
    record = make_record(make_task("corruption", "benchmark"), grid_cells(), protocol={"cells": GRID})
    assert score_record(record)["gam"] == pytest.approx(0.4)


def test_an_incomplete_grid_has_no_mean(make_task, make_record) -> None:
    task = make_task("corruption", "benchmark")
    missing = {name: cell for name, cell in grid_cells().items() if name != "fog/2"}
    empty = grid_cells(**{"fog/2": ({"corruption": "fog", "severity": 2}, None)})
    for cells in (missing, empty):
        scores = score_record(make_record(task, cells, protocol={"cells": GRID}))
        assert [scores[name] for name in ("mpc", "rpc", "gam", "mpc_fixed_pixels", "worst_class")] == [None] * 5
        assert (scores["mpc_family/weather"], scores["mpc_family/digital"]) == (None, 1.0)
        assert scores["miou/fog/1"] == pytest.approx(0.6)


def test_a_grid_without_a_clean_score_has_no_relative_one(make_task, make_record) -> None:
    task = make_task("corruption", "benchmark")
    for clean in (None, ((0, 4), (4, 0))):  # none, and 0: a division by it says nothing
        scores = score_record(make_record(task, grid_cells(clean=({}, clean)), protocol={"cells": GRID}))
        assert scores["rpc"] is None
        assert scores["mpc"] == pytest.approx(0.7)


def test_families_are_averaged_apart(make_task, make_record) -> None:
    """Weather: fog at (0.6 + 0.2) / 2 = 0.4 and snow at 1: 0.7; digital: brightness at 1; blur: 0.6."""
    cells = grid_cells(
        **{
            "snow/1": ({"corruption": "snow", "severity": 1}, PERFECT),
            "motion_blur/3": ({"corruption": "motion_blur", "severity": 3}, GOOD),
        }
    )
    protocol = {"cells": [["motion_blur", 3], *GRID, ["snow", 1]]}
    scores = score_record(make_record(make_task("corruption", "benchmark"), cells, protocol=protocol))
    families = {name: score for name, score in scores.items() if name.startswith("mpc_family/")}
    assert families == {
        "mpc_family/blur": pytest.approx(0.6),
        "mpc_family/weather": pytest.approx(0.7),
        "mpc_family/digital": 1.0,
    }


def test_the_worst_class_is_that_of_the_mean_over_the_corrupted_cells(make_task, make_record) -> None:
    """UNEQUAL: 1/2 and 3/4. Fog: road (1/2 + 3/4) / 2 = 5/8, light (3/4 + 1/2) / 2 = 5/8; brightness: road 1/2, light 3/4.

    Road: (5/8 + 1/2) / 2 = 9/16; the clean cell, at 1/5 each, is not looked at.
    """
    mirrored = ((3, 0), (1, 1))
    cells = grid_cells(
        clean=({}, POOR),
        **{
            "fog/1": ({"corruption": "fog", "severity": 1}, UNEQUAL),
            "fog/2": ({"corruption": "fog", "severity": 2}, mirrored),
            "brightness/1": ({"corruption": "brightness", "severity": 1}, UNEQUAL),
        },
    )
    record = make_record(make_task("corruption", "benchmark"), cells, protocol={"cells": GRID})
    assert score_record(record)["worst_class"] == pytest.approx(9 / 16)


def shift_cells(**shifts):
    return {f"shift/{name}": ({"shift": name}, confusion) for name, confusion in shifts.items()}


def test_real_shifts_stand_beside_the_grid(make_task, make_record) -> None:
    """0.2 and 0.6: mean 0.4. They touch nothing of the grid."""
    task, protocol = make_task("corruption", "benchmark"), {"cells": GRID, "shifts": {"fog": {}, "night": {}}}
    alone = score_record(make_record(task, grid_cells(), protocol=protocol | {"shifts": {}}))
    cells = grid_cells(**shift_cells(night=POOR, fog=GOOD))
    scores = score_record(make_record(task, cells, protocol=protocol))
    shifts = {name: score for name, score in scores.items() if name not in alone}
    assert shifts == {
        "mean_shift": pytest.approx(0.4),
        "miou_shift/fog": pytest.approx(0.6),
        "miou_shift/night": pytest.approx(0.2),
    }
    assert {name: score for name, score in scores.items() if name in alone} == alone


@pytest.mark.parametrize(
    ("listed", "shifts"),
    [
        ({"fog": {}, "night": {}}, {"fog": GOOD}),
        ({"fog": {}, "night": {}}, {"fog": GOOD, "night": EMPTY}),
        ({"fog": {}}, {"fog": GOOD, "night": None}),
    ],
)
def test_a_shift_without_a_score_leaves_the_mean_without_one(listed, shifts, make_task, make_record) -> None:
    protocol = {"cells": GRID, "shifts": listed}
    cells = grid_cells(**shift_cells(**shifts))
    scores = score_record(make_record(make_task("corruption", "benchmark"), cells, protocol=protocol))
    assert (scores["mean_shift"], scores["miou_shift/night"]) == (None, None)
    assert scores["miou_shift/fog"] == pytest.approx(0.6)


def stream_cells(*values):
    names = [("1/fog", 1, "fog"), ("1/night", 1, "night"), ("2/fog", 2, "fog"), ("2/night", 2, "night")]
    return {
        name: ({"round": round_, "domain": domain}, value)
        for (name, round_, domain), value in zip(names, values, strict=False)
    }


def test_a_stream_has_the_mean_of_its_rounds_and_their_drift(make_task, make_record) -> None:
    """Round 1: (1 + 0.6) / 2 = 0.8; round 2: (1 + 0.2) / 2 = 0.6; mean 0.7, drift -0.2; night lost 0.4, fog nothing."""
    record = make_record(make_task("weather", "stream"), stream_cells(PERFECT, GOOD, PERFECT, POOR))
    assert score_record(record) == {
        "mean_miou": pytest.approx(0.7),
        "drift": pytest.approx(-0.2),
        "forgetting": pytest.approx(0.2),
        "round_miou/1": pytest.approx(0.8),
        "round_miou/2": pytest.approx(0.6),
        "miou/1/fog": 1.0,
        "miou/1/night": pytest.approx(0.6),
        "miou/2/fog": 1.0,
        "miou/2/night": pytest.approx(0.2),
    }


def test_a_stream_of_one_round_has_no_drift(make_task, make_record) -> None:
    scores = score_record(make_record(make_task("weather", "stream"), stream_cells(PERFECT, GOOD)))
    assert scores["drift"] is None
    assert scores["forgetting"] is None
    assert scores["mean_miou"] == pytest.approx(0.8)


def test_a_gap_in_a_stream_is_not_averaged_over(make_task, make_record) -> None:
    scores = score_record(make_record(make_task("weather", "stream"), stream_cells(PERFECT, EMPTY)))
    assert scores["mean_miou"] is None
    scores = score_record(make_record(make_task("weather", "stream"), stream_cells(PERFECT, None)))
    assert scores["mean_miou"] is None


def bins(pixels: float, confidence: float, correct: float) -> tuple[tuple[float, ...], ...]:
    """Calibration counts with all pixels in one of the 15 bins."""
    return tuple((0.0,) * 9 + (value,) + (0.0,) * 5 for value in (pixels, confidence, correct))


def with_cells(record: Record, *changes: dict[str, Any]) -> Record:
    cells = tuple(cell.model_copy(update=change) for cell, change in zip(record.cells, changes, strict=True))
    return record.model_copy(update={"cells": cells})


def test_calibration_is_pooled_over_pixels_and_told_by_cell(make_task, make_record) -> None:
    """Fog: 10 pixels, confidence 0.6, half right: 0.1. Night: 30 pixels, confidence 0.6, 24 right: 0.2.

    Pooled: 40 pixels, confidence 24, 29 right: 5 / 40 = 0.125; not the mean 0.15 of the two.
    """
    record = make_record(make_task("weather", "stream"), stream_cells(GOOD, GOOD))
    assert not [name for name in score_record(record) if "ece" in name], "nothing was counted"
    record = with_cells(record, {"calibration": bins(10, 6, 5)}, {"calibration": bins(30, 18, 24)})
    scores = score_record(record)
    assert scores["ece"] == pytest.approx(0.125)
    assert scores["ece/1/fog"] == pytest.approx(0.1)
    assert scores["ece/1/night"] == pytest.approx(0.2)


def test_calibration_that_a_cell_lacks_is_not_averaged_over(make_task, make_record) -> None:
    record = make_record(make_task("weather", "stream"), stream_cells(GOOD, GOOD))
    scores = score_record(with_cells(record, {"calibration": bins(10, 6, 5)}, {}))
    assert (scores["ece"], scores["ece/1/fog"]) == (None, pytest.approx(0.1))


def test_the_calibration_of_a_benchmark_is_that_of_clean_and_of_all_corrupted_pixels(make_task, make_record) -> None:
    """Clean: 10 pixels, confidence 0.6, half right: 0.1.

    Corrupted: 10, 20 and 10 pixels, confidence 6, 12 and 6, right 5, 12 and 3: 40 pixels, 24, 20: 0.1, where the mean of the
    cells would be (0.1 + 0 + 0.3) / 3. The shift counts in neither.
    """
    cells = grid_cells(**shift_cells(night=GOOD))
    record = make_record(make_task("corruption", "benchmark"), cells, protocol={"cells": GRID})
    measured = [{"calibration": bins(*n)} for n in ((10, 6, 5), (10, 6, 5), (20, 12, 12), (10, 6, 3), (90, 54, 0))]
    scores = score_record(with_cells(record, *measured))
    assert {name: score for name, score in scores.items() if "ece" in name} == {
        "ece": pytest.approx(0.1),
        "ece_corrupted": pytest.approx(0.1),
    }
    scores = score_record(with_cells(record, *measured[:2], {}, *measured[3:]))
    assert (scores["ece"], scores["ece_corrupted"]) == (pytest.approx(0.1), None)
    scores = score_record(with_cells(record, {}, *measured[1:]))
    assert (scores["ece"], scores["ece_corrupted"]) == (None, pytest.approx(0.1))


def test_video_is_scored_over_the_clips_of_all_cells(make_task, make_record) -> None:
    """TC of the clips: (1/2 + 3/3) / 2 = 0.75 and 1/4 (the other class occurs nowhere): 0.5.

    VC_8: 1.5 over 3 windows; no window of 16.
    """
    first = Clip(name="a..b", frames=9, intersection=(1, 3), union=(2, 3), vc={8: (1.0, 2), 16: (0.0, 0)})
    second = Clip(name="c..d", frames=8, intersection=(1, 0), union=(4, 0), vc={8: (0.5, 1), 16: (0.0, 0)})
    record = make_record(make_task("weather", "stream"), stream_cells(GOOD, GOOD))
    assert "tc" not in score_record(record)
    scores = score_record(with_cells(record, {"clips": (first,)}, {"clips": (second,)}))
    assert scores["tc"] == pytest.approx(0.5)
    assert scores["vc_8"] == pytest.approx(0.5)
    assert scores["vc_16"] is None
    assert "perceptual" not in scores
    seen = first.model_copy(update={"perceptual": (1.8, 3)})
    assert score_record(with_cells(record, {"clips": (seen,)}, {}))["perceptual"] == pytest.approx(0.6)


def test_names_are_spelt_in_what_mlflow_allows(make_task, make_record) -> None:
    cells = {"1/a@b=c": ({"round": 1, "domain": "a@b=c"}, GOOD)}
    assert "miou/1/a_b_c" in score_record(make_record(make_task("weather", "stream"), cells))


def test_a_domain_called_round_is_no_mean_of_a_round(make_task, make_record) -> None:
    """Round 1: (1 + 0.6) / 2 = 0.8."""
    cells = {name: ({"round": 1, "domain": name}, value) for name, value in (("round", PERFECT), ("fog", GOOD))}
    scores = score_record(make_record(make_task("weather", "stream"), cells))
    assert (scores["miou/1/round"], scores["round_miou/1"]) == (1.0, pytest.approx(0.8))


def test_a_round_with_a_gap_has_no_mean(make_task, make_record) -> None:
    scores = score_record(make_record(make_task("weather", "stream"), stream_cells(PERFECT, GOOD, PERFECT, EMPTY)))
    assert (scores["round_miou/1"], scores["round_miou/2"]) == (pytest.approx(0.8), None)
