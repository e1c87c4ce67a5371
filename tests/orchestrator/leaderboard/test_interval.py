"""Intervals of mPC from the counts of every image, and every reason why there is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from adapt.scores.bootstrap import bootstrap_mean_corrupted
from orchestrator.leaderboard.interval import HIGH, LOW, SEED, add_intervals
from orchestrator.leaderboard.row import Row, Score, pool_scores
from orchestrator.record import Record
from orchestrator.scoring import score_record
from orchestrator.stages.counts_file import save_counts
from tests.orchestrator.leaderboard.grids import GRID

Counts = dict[str, NDArray[np.int64]]
NAMES = [f"{name}/{severity}" for name, severity in GRID]
FRAMES = [f"frame{index}" for index in range(6)]


def draw_counts(seed: int) -> Counts:
    """Counts of six images in every cell, the clean one too."""
    rng = np.random.default_rng(seed)
    return {name: rng.integers(1, 50, size=(len(FRAMES), 2, 2)) for name in ("clean", *NAMES)}


@pytest.fixture
def measure(make_task, make_record, tmp_path: Path) -> Callable[..., dict[str, Score]]:
    """Add the interval to the row of some runs, whose counts are written as the stage writes them."""

    def _measure(runs: list[Counts], frames: dict[int, list[str]] | None = None, lost: tuple[int, ...] = ()) -> Any:
        records: dict[str, Record] = {}
        files: dict[str, Path | None] = {}
        values = []
        for seed, counts in enumerate(runs):
            task = make_task("grid", "benchmark", point={"seed": seed})
            cells: dict[str, Any] = {}
            for name, each in counts.items():
                corrupted, _, severity = name.partition("/")
                axes = {"corruption": corrupted, "severity": int(severity)} if severity else {}
                cells[name] = (axes, tuple(map(tuple, each.sum(axis=0).tolist())))
            records[task.key] = make_record(task, cells, protocol={"cells": GRID})
            values.append(score_record(records[task.key])["mpc"])
            folder = tmp_path / str(seed)
            folder.mkdir()
            save_counts(folder, (frames or {}).get(seed, FRAMES), counts)
            files[task.key] = None if seed in lost else folder / "counts.npz"
        row = Row(
            rank=None, method="a", adaptation=None, axes={}, seeds=len(runs), runs=len(runs), architecture=None,
            parameters=None, scores={"mPC": pool_scores(values)}, reason=None, keys=tuple(records), trained_in="a",
        )  # fmt: skip
        (made,) = add_intervals([row], "mPC", records.get, files.__getitem__)
        assert made.scores["mPC"] == row.scores["mPC"]
        return made.scores

    return _measure


@pytest.mark.parametrize("runs", [1, 3])
def test_the_interval_is_that_of_the_mean_over_seeds(runs: int, measure) -> None:
    made = [draw_counts(seed) for seed in range(runs)]
    scores = measure(made)
    cells = [(str(name), int(severity)) for name, severity in GRID]
    grids = [{cell: counts[f"{cell[0]}/{cell[1]}"] for cell in cells} for counts in made]
    expected = bootstrap_mean_corrupted(grids, cells, SEED)
    assert scores["mPC"].mean == pytest.approx(expected.estimate)
    assert (scores[LOW].mean, scores[HIGH].mean) == (expected.low, expected.high)
    assert expected.low < expected.estimate < expected.high


def test_counts_that_are_gone_leave_no_interval(measure) -> None:
    scores = measure([draw_counts(seed) for seed in range(3)], lost=(1,))
    reason = "the counts of 1 of 3 runs are missing or damaged"
    assert [(scores[name].mean, scores[name].reason) for name in (LOW, HIGH)] == [(None, reason)] * 2


def test_runs_of_different_images_have_no_common_interval(measure) -> None:
    scores = measure([draw_counts(0), draw_counts(1)], frames={1: FRAMES[::-1]})
    assert scores[LOW].reason == "the runs of a row counted different images"


def test_a_row_without_mpc_has_no_interval(measure) -> None:
    counts = draw_counts(0)
    scores = measure([{name: each for name, each in counts.items() if name != "fog/2"}])
    assert list(scores) == ["mPC"]
