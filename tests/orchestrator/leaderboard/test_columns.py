"""The columns of streams: order, which are details, and that measures of another kind are other columns.

Those of benchmarks stand in test_board_benchmark.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.leaderboard.columns import is_detail, select_scores
from orchestrator.record import Clip, Record

GOOD = ((3, 1), (1, 3))  # 0.6
POOR = ((1, 2), (2, 1))  # 0.2
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
    cells = {f"{r}/fog": ({"round": r, "domain": "fog"}, value) for r, value in enumerate((GOOD, POOR))}
    record = make_record(make_task("weather", "stream", **settings), cells, metrics=metrics)
    full = tuple(cell.model_copy(update={"calibration": BINS, "clips": (CLIP,)}) for cell in record.cells)
    return record.model_copy(update={"cells": full, "peak_memory_bytes": 2_500_000_000}) if metrics else record


def test_all_that_was_measured_is_shown_in_order(make_task, make_record) -> None:
    scores = select_scores(build(make_task, make_record, METRICS, temporal={}), {})
    assert scores == {
        "mean mIoU": pytest.approx(0.4),
        "drift": pytest.approx(-0.4),
        "forgetting": pytest.approx(0.4),
        "fog": pytest.approx(0.4),
        "round 1": pytest.approx(0.6),
        "round 2": pytest.approx(0.2),
        "TC": 0.5,
        "VC2": 0.5,
        "perceptual": 0.25,
        "ECE": pytest.approx(0.1),
        "purity": 0.75,
        "models": 2.0,
        "frames/s": 12.5,
        "GFLOPs/frame": 3.0,
        "updates": 7.0,
        "skipped": 1.0,
        "peak memory (GB)": 2.5,
    }
    shown = [name for name in scores if not is_detail("stream", name)]
    assert shown == ["mean mIoU", "drift", "forgetting", "fog", "TC"]


def test_the_memory_of_a_gpu_is_a_column_of_its_own(make_task, make_record) -> None:
    record = build(make_task, make_record, METRICS).model_copy(update={"peak_gpu_memory_bytes": 1_500_000_000})
    memory = {name: value for name, value in select_scores(record, {}).items() if "memory" in name}
    assert memory == {"peak GPU memory (GB)": 1.5}
    assert all(is_detail("stream", name) for name in memory)


def test_a_stream_of_one_round_has_no_columns_of_rounds(make_task, make_record) -> None:
    record = make_record(make_task("weather", "stream"), {"0/fog": ({"round": 0, "domain": "fog"}, GOOD)})
    assert list(select_scores(record, {})) == ["mean mIoU", "fog"]


def test_an_old_record_shows_what_it_has(make_task, make_record) -> None:
    shown = list(select_scores(build(make_task, make_record, {}), {}))
    assert shown == ["mean mIoU", "drift", "forgetting", "fog", "round 1", "round 2"]


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
        ("stream", "round 10", True),
        ("stream", "round", False),
        ("benchmark", "fog/3", True),
        ("benchmark", "mPC", False),
        ("benchmark", "mPC weather", False),
        ("benchmark", "shift night", False),
        ("benchmark", "relative mCE", False),
        ("benchmark", "CD/fog", True),
        ("evaluate", "IoU/road", True),
    ],
)
def test_details_are_left_to_the_files(kind: str, column: str, detail: bool) -> None:
    assert is_detail(kind, column) is detail
