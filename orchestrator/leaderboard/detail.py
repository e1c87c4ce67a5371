"""What a row opens to: its classes under each condition, its rounds, its reliability and its pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapt.benchmark.unit import CLEAN
from adapt.scores.confusion import average_defined, iou_per_class
from orchestrator.leaderboard.row import Detail, Picture
from orchestrator.leaderboard.source import RecordSource
from orchestrator.record import Cell, Record
from orchestrator.scoring import read_confusion, score_cell
from orchestrator.stages.stage import FRAME_PICTURES


def build_detail(records: Sequence[Record], source: RecordSource) -> Detail | None:
    """Gather what the runs of a row measured beside its scores.

    Args:
        records: of its runs, of one protocol; those that have a result.
        source: finds their pictures.

    Returns:
        Means over the runs; None where no run has a result.
    """
    if not records:
        return None
    return Detail(
        classes=records[0].classes,
        class_iou={condition: _average(runs) for condition, runs in _gather_classes(records).items()},
        rounds=_gather_rounds(records),
        reliability=_pool_reliability(records),
        pictures=_list_pictures(records[0], source),
    )


def _gather_classes(records: Sequence[Record]) -> dict[str, list[NDArray[np.float64]]]:
    """Return condition -> (K,) IoU of each run: the mean over the cells of the condition, nan where a class occurs in none."""
    conditions: dict[str, list[NDArray[np.float64]]] = {}
    for record in records:
        cells: dict[str, list[NDArray[np.float64]]] = {}
        for cell in record.cells:
            confusion = read_confusion(cell)
            if confusion is not None:
                cells.setdefault(_name_condition(cell), []).append(iou_per_class(confusion))
        for condition, ious in cells.items():
            conditions.setdefault(condition, []).append(average_defined(ious))
    return conditions


def _name_condition(cell: Cell) -> str:
    for axis in ("corruption", "domain", "shift"):
        if axis in cell.axes:
            return str(cell.axes[axis])
    return CLEAN


def _average(runs: Sequence[NDArray[np.float64]]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else float(value) for value in average_defined(runs))


def _gather_rounds(records: Sequence[Record]) -> dict[str, tuple[float | None, ...]]:
    """Return domain -> mIoU in each round, where a stream has several rounds."""
    scores: dict[str, dict[int, list[float | None]]] = {}
    for record in records:
        for cell in record.cells:
            if "round" in cell.axes:
                rounds = scores.setdefault(str(cell.axes["domain"]), {})
                rounds.setdefault(int(cell.axes["round"]), []).append(score_cell(cell))
    if not scores or max(len(rounds) for rounds in scores.values()) < 2:
        return {}
    numbers = sorted({number for rounds in scores.values() for number in rounds})
    return {
        domain: tuple(_average_known(rounds.get(number, ())) for number in numbers) for domain, rounds in scores.items()
    }


def _average_known(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def _pool_reliability(records: Sequence[Record]) -> dict[str, tuple[tuple[float, ...], ...]]:
    """Return the counts of a reliability diagram, pooled over runs, cells and severities."""
    pooled: dict[str, NDArray[np.float64]] = {}
    for record in records:
        for cell in record.cells:
            if cell.calibration is not None:
                part = "stream" if record.kind == "stream" else CLEAN if cell.name == CLEAN else "corrupted"
                counts = np.array(cell.calibration, np.float64)
                pooled[part] = pooled[part] + counts if part in pooled else counts
    return {part: tuple(tuple(row) for row in counts.tolist()) for part, counts in pooled.items()}


def _list_pictures(record: Record, source: RecordSource) -> tuple[Picture, ...]:
    """Return the pictures of fixed frames; none of a record that is older than they are."""
    if FRAME_PICTURES not in record.files:
        return ()
    file = source.find_file(record.key, FRAME_PICTURES)
    if file is None:
        return ()
    return tuple(
        Picture(frame=each["frame"], condition=each["condition"], key=record.key, files=each["files"])
        for each in json.loads(file.read_text(encoding="utf-8"))
    )
