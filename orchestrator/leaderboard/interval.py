"""The interval of each row's mPC over the choice of images, from the counts of every image beside the records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapt.scores.bootstrap import bootstrap_mean_corrupted
from adapt.scores.grid import Cell
from orchestrator.leaderboard.row import Row, Score
from orchestrator.record import FindRecord
from orchestrator.scoring import list_wanted

FindCounts = Callable[[str], Path | None]
"""The key of a task to its file of counts, or None where that is gone or damaged."""

LOW, HIGH = "mPC/95% low", "mPC/95% high"
SEED = 0  # of the resampling, so that a leaderboard that is made again is the same


def add_intervals(rows: list[Row], main: str, find_record: FindRecord, find_counts: FindCounts) -> list[Row]:
    """Add the bounds of the 95% bootstrap interval of mPC to the rows that have one, as details.

    An image that is drawn is drawn in all cells and under all seeds: the interval is that of the row's mean.

    Args:
        rows: the rows of one table of benchmarks.
        main: the column of mPC.
        find_record: key -> record, or None where there is none.
        find_counts: key -> its file of counts, or None.

    Returns:
        New rows; bounds are None with a reason where counts are missing.
    """
    return [
        replace(row, scores={**row.scores, **_measure(row, find_record, find_counts)})
        if main in row.scores and row.scores[main].mean is not None
        else row
        for row in rows
    ]


def _measure(row: Row, find_record: FindRecord, find_counts: FindCounts) -> dict[str, Score]:
    record = find_record(row.keys[0])
    files = [file for key in row.keys if (file := find_counts(key)) is not None]
    if record is None or len(files) < len(row.keys):
        return _explain(f"the counts of {len(row.keys) - len(files)} of {len(row.keys)} runs are missing or damaged")
    if len({_read_frames(file) for file in files}) > 1:
        return _explain("the runs of a row counted different images")
    cells = list_wanted(record)
    interval = bootstrap_mean_corrupted((_read_counts(file, cells) for file in files), cells, SEED)
    return {LOW: Score(interval.low, None, ()), HIGH: Score(interval.high, None, ())}


def _read_frames(file: Path) -> tuple[str, ...]:
    """Return the names of the images that were counted, in order."""
    with np.load(file, allow_pickle=False) as arrays:
        return tuple(arrays["frames"].tolist())


def _read_counts(file: Path, cells: Sequence[Cell]) -> dict[Cell, NDArray[np.int64]]:
    """Return the counts of every image, int64 (N, K, K), in each of some cells."""
    with np.load(file, allow_pickle=False) as arrays:
        return {(name, severity): arrays[f"cell:{name}/{severity}"] for name, severity in cells}


def _explain(reason: str) -> dict[str, Score]:
    return dict.fromkeys((LOW, HIGH), Score(None, None, (), reason))
