"""The columns of streams: order, which are details, and that measures of another kind are other columns."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.leaderboard.columns import is_detail, select_scores
from orchestrator.record import Clip, Record

GOOD = ((3, 1), (1, 3))
BINS = tuple((0.0,) * 14 + (value,) for value in (10.0, 9.0, 8.0))  # confidence 0.9, accuracy 0.8
CLIP = Clip(name="a..b", frames=2, intersection=(1, 0), union=(2, 0), vc={2: (0.5, 1)}, perceptual=(0.25, 1))
METRICS = {
    "frames_per_second": 12.5,
    "flops_per_frame": 3e9,
    "updates": 7.0,
    "skipped": 1.0,
    "models": 2.0,
    "purity": 0.75,
}


def build(make_task: Any, make_record: Any, metrics: dict[str, float], **settings: Any) -> Record:
    cells = {f"{r}/fog": ({"round": r, "domain": "fog"}, GOOD) for r in (0, 1)}
    record = make_record(make_task("weather", "stream", **settings), cells, metrics=metrics)
    full = tuple(cell.model_copy(update={"calibration": BINS, "clips": (CLIP,)}) for cell in record.cells)
    return record.model_copy(update={"cells": full}) if metrics else record


def test_all_that_was_measured_is_shown_in_order(make_task, make_record) -> None:
    scores = select_scores(build(make_task, make_record, METRICS, temporal={}), {})
    assert scores == {
        "mean mIoU": pytest.approx(0.6),
        "drift": 0.0,
        "forgetting": 0.0,
        "fog": pytest.approx(0.6),
        "TC": 0.5,
        "VC2": 0.5,
        "perceptual": 0.25,
        "ECE": pytest.approx(0.1),
        "purity": 0.75,
        "models": 2.0,
        "frames/s": 12.5,
        "GFLOPs/frame": 3.0,
        "updates": 7.0,
    }
    assert [name for name in scores if not is_detail("stream", name)] == list(scores)[:5]


def test_an_old_record_shows_what_it_has(make_task, make_record) -> None:
    assert list(select_scores(build(make_task, make_record, {}), {})) == ["mean mIoU", "drift", "forgetting", "fog"]


def test_video_that_is_measured_in_another_way_is_another_column(make_task, make_record) -> None:
    record = build(make_task, make_record, METRICS, temporal={"flow": "farneback", "drop_last": True})
    video = [name for name in select_scores(record, {}) if "TC" in name or "VC" in name]
    assert video == ["TC (farneback)", "VC2 (last window dropped)"]
    assert is_detail("stream", "VC2 (last window dropped)")
    assert not is_detail("stream", "TC (farneback)")


@pytest.mark.parametrize(
    ("kind", "column", "detail"),
    [
        ("stream", "acdc/fog/3", False),
        ("stream", "GFLOPs/frame", True),
        ("benchmark", "fog/3", True),
        ("benchmark", "mPC", False),
        ("evaluate", "IoU/road", True),
    ],
)
def test_details_are_left_to_the_files(kind: str, column: str, detail: bool) -> None:
    assert is_detail(kind, column) is detail
