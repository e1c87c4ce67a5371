"""The intervals of a row's scores over the choice of images, and its main score under each resample, for ranks.

They are made from the counts of every image beside the records. An image that is drawn is drawn in all cells that show it,
under all seeds and for all rows: intervals are of a row's mean over seeds, and the difference of two rows is paired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.scores.bootstrap import draw_resamples, give_interval, score_resamples
from adapt.scores.grid import group_cells
from corruptions.catalog import corruption
from orchestrator.leaderboard.columns import MAIN
from orchestrator.leaderboard.row import Resamples, Row
from orchestrator.leaderboard.source import RecordSource
from orchestrator.record import Record
from orchestrator.scoring import list_wanted, plain_name
from orchestrator.stages.counts_file import NAME as COUNTS
from orchestrator.stages.stage import FRAMES_FILE

SEED = 0  # of the resampling, so that a leaderboard that is made again is the same
TOLERANCE = 1e-9  # between a score from the record's counts and from those of its images, both exact up to rounding

Drawn = Mapping[str, NDArray[np.float64]]
"""Cell -> (1 + R,) its mIoU as it is and in each resample, the mean over runs."""


def add_intervals(rows: Sequence[Row], kind: str, source: RecordSource) -> list[Row]:
    """Add the bounds of the 95 % bootstrap interval to the scores of rows, and the resamples of the score that ranks.

    Args:
        rows: of one table.
        kind: `evaluate`, `benchmark` or `stream`.
        source: finds their records and counts.

    Returns:
        New rows; one whose counts cannot be used has a warning instead.
    """
    return [_add(row, kind, source) for row in rows]


def _add(row: Row, kind: str, source: RecordSource) -> Row:
    main = MAIN[kind]
    if main not in row.scores or row.scores[main].mean is None:
        return row
    records = [record for key in row.keys if (record := source.find_record(key)) is not None]
    try:
        runs = [_Counts(record, source) for record in records]
        drawn = _score_columns(records[0], _draw(runs))
        images = {run.digest() for run in runs}
        if len(images) > 1:
            raise _UnusableError("the runs of this row counted different images")
        wrong = [
            column
            for column, scores in drawn.items()
            if (mean := row.scores[column].mean) is not None and abs(mean - float(scores[0])) > TOLERANCE
        ]
        if wrong:
            raise _UnusableError(f"the counts of the images and the record disagree on {wrong[0]}")
    except _UnusableError as error:
        return replace(row, warnings=(*row.warnings, f"no interval: {error}"))
    scores = dict(row.scores)
    for column, values in drawn.items():
        if scores[column].mean is not None:
            _, low, high = give_interval(values)
            scores[column] = replace(scores[column], low=low, high=high)
    (digest,) = images
    return replace(row, scores=scores, resamples=Resamples(digest, tuple(np.round(drawn[main][1:], 7).tolist())))


class _UnusableError(Exception):
    """Why there is no interval."""


class _Counts:
    """The counts of every image of one run, read a cell at a time."""

    def __init__(self, record: Record, source: RecordSource) -> None:
        file = source.find_file(record.key, COUNTS)
        if file is None:
            raise _UnusableError(f"the file {COUNTS} of task {record.key} is missing or damaged")
        self._file = file
        self.cells = tuple(cell.name for cell in record.cells)
        self.frames = self._list_frames(record, source)
        self._labels = hashlib.sha256()

    def _list_frames(self, record: Record, source: RecordSource) -> dict[str, tuple[str, ...]]:
        """Return cell -> the names of its images, in the order of its counts."""
        if record.kind == "stream":
            return _read_stream_frames(record, source)
        with np.load(self._file, allow_pickle=False) as arrays:
            named = {name: tuple(arrays[name].tolist()) for name in arrays.files if name.startswith("frames")}
        return {cell: named.get(f"frames:{cell}", named["frames"]) for cell in self.cells}

    def read(self, cell: str) -> NDArray[np.int64]:
        """Return the counts of a cell, (N, K, K); all cells are read once, in their order."""
        with np.load(self._file, allow_pickle=False) as arrays:
            counts: NDArray[np.int64] | None = arrays[f"cell:{cell}"] if f"cell:{cell}" in arrays.files else None
        if counts is None or len(counts) != len(self.frames[cell]):
            raise _UnusableError(f"{COUNTS} lacks images of the cell {cell}")
        self._labels.update(json.dumps([cell, self.frames[cell]]).encode())
        self._labels.update(counts.sum(axis=2).tobytes())
        return counts

    def digest(self) -> str:
        """Return what is equal for two runs that counted the same labels of the same images in the cells that were read."""
        return self._labels.hexdigest()[:32]


def _read_stream_frames(record: Record, source: RecordSource) -> dict[str, tuple[str, ...]]:
    file = source.find_file(record.key, FRAMES_FILE)
    if file is None:
        raise _UnusableError(f"the file {FRAMES_FILE} of task {record.key} is missing or damaged")
    frames: dict[str, list[str]] = {}
    for line in _read_lines(file):
        frames.setdefault(f"{line['round']}/{line['domain']}", []).append(f"{line['dataset']}/{line['frame']}")
    return {cell: tuple(names) for cell, names in frames.items()}


def _read_lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line]


def _draw(runs: Sequence[_Counts]) -> Drawn:
    """Score each cell under the same resamples: cells that show the same images, in whatever order, draw them alike."""
    places: dict[tuple[str, ...], int] = {}
    drawn = {}
    for cell in runs[0].cells:
        names = runs[0].frames[cell]
        if any(len(run.frames[cell]) != len(names) for run in runs):
            raise _UnusableError("the runs of this row counted different images")
        number = places.setdefault(tuple(sorted(names)), len(places))
        weights = draw_resamples(len(names), SEED if number == 0 else (SEED, number))
        order = np.empty(len(names), np.int64)
        order[np.argsort(np.array(names), kind="stable")] = np.arange(len(names))
        drawn[cell] = np.mean([score_resamples(run.read(cell), weights[:, order]) for run in runs], axis=0)
    return drawn


def _score_columns(record: Record, drawn: Drawn) -> Drawn:
    """Return the columns whose resamples follow from those of the cells, by the formulas of `orchestrator.scoring`."""
    if record.kind == "evaluate":
        (scores,) = drawn.values()
        return {"mIoU": scores}
    if record.kind == "benchmark":
        return _score_benchmark(record, drawn)
    rounds: dict[int, list[NDArray[np.float64]]] = {}
    domains: dict[str, list[NDArray[np.float64]]] = {}
    for cell, scores in drawn.items():
        round_, _, domain = cell.partition("/")
        rounds.setdefault(int(round_), []).append(scores)
        domains.setdefault(plain_name(domain), []).append(scores)
    by_round = {f"round {place}": np.mean(rounds[number], axis=0) for place, number in enumerate(sorted(rounds), 1)}
    return {
        "mean mIoU": np.mean(list(by_round.values()), axis=0),
        **(by_round if len(by_round) > 1 else {}),
        **{name: np.mean(scores, axis=0) for name, scores in domains.items()},
    }


def _score_benchmark(record: Record, drawn: Drawn) -> Drawn:
    wanted = list_wanted(record)
    means = {
        name: np.mean([drawn[f"{name}/{severity}"] for _, severity in cells], axis=0)
        for name, cells in group_cells(wanted).items()
    }
    families: dict[str, list[NDArray[np.float64]]] = {}
    for name, scores in means.items():
        families.setdefault(f"mPC {corruption(name).family}", []).append(scores)
    return {
        "mPC": np.mean(list(means.values()), axis=0),
        "clean": drawn["clean"],
        **{family: np.mean(scores, axis=0) for family, scores in families.items()},
        **{f"{name}/{severity}": drawn[f"{name}/{severity}"] for name, severity in wanted},
        **{
            f"shift {plain_name(str(cell.axes['shift']))}": drawn[cell.name]
            for cell in record.cells
            if "shift" in cell.axes
        },
    }
