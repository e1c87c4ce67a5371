"""The intervals of a row's scores over the choice of images, and its main score under each resample, for ranks.

They are made from the counts of every image beside the records. An image that is drawn is drawn in all cells that show it,
under all seeds and for all rows: intervals are of a row's mean over seeds, and the difference of two rows is paired.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from adapt.errors import PrerequisiteError
from adapt.scores.bootstrap import give_interval, score_resamples
from adapt.scores.grid import group_cells
from corruptions.catalog import corruption
from orchestrator.image_counts import ImageCounts, ImageDraws, MissingCountsError, describe_images
from orchestrator.leaderboard.columns import MAIN
from orchestrator.leaderboard.row import Resamples, Row
from orchestrator.leaderboard.source import RecordSource
from orchestrator.record import Record
from orchestrator.scoring import list_wanted, plain_name

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
        cells, digest = _draw(records, source)
    except (MissingCountsError, PrerequisiteError) as error:
        return replace(row, warnings=(*row.warnings, f"no interval: {error}"))
    drawn = _score_columns(records[0], cells)
    scores = dict(row.scores)
    for column, values in drawn.items():
        if scores[column].mean is not None:
            _, low, high = give_interval(values)
            scores[column] = replace(scores[column], low=low, high=high)
    return replace(row, scores=scores, resamples=Resamples(digest, tuple(np.round(drawn[main][1:], 7).tolist())))


def _draw(records: Sequence[Record], source: RecordSource) -> tuple[Drawn, str]:
    """Score each cell under the same resamples: cells that show the same images, in whatever order, draw them alike.

    Returns:
        The scores, and a digest of the images.

    Raises:
        MissingCountsError: counts are gone, or the runs counted other images.
        PrerequisiteError: counts do not add up to those of their record.
    """
    runs = [ImageCounts(record, source.find_file) for record in records]
    draws, drawn, digests = ImageDraws(), {}, []
    for cell in (cell.name for cell in records[0].cells):
        counts = [run.read(cell) for run in runs]
        seen = {describe_images(run.frames[cell], each) for run, each in zip(runs, counts, strict=True)}
        if len(seen) > 1:
            raise MissingCountsError("the runs of this row counted different images")
        digests += [cell, *seen]
        weights = draws.draw(runs[0].frames[cell])
        drawn[cell] = np.mean([score_resamples(each, weights) for each in counts], axis=0)
    return drawn, hashlib.sha256(json.dumps(digests).encode()).hexdigest()[:32]


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
