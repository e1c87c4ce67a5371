"""Scores derived from a record's cells: the only place where counts become mIoU, mPC and the rest."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from adapt.benchmark.unit import CLEAN
from adapt.scores.calibration import ece
from adapt.scores.confusion import iou_per_class, mean_iou
from adapt.scores.grid import Cell as GridCell
from adapt.scores.robustness import (
    corrupted_class_iou,
    generalization_ability,
    mean_corrupted,
    relative_corrupted,
    worst_class,
)
from adapt.scores.temporal import ClipScore, Ratio, score_temporal
from adapt.tta.summary import summarise
from corruptions.catalog import corruption
from orchestrator.record import Cell, Clip, Record


def read_confusion(cell: Cell) -> NDArray[np.int64] | None:
    """Return a cell's counts as (K, K) int64, or None where it has no score."""
    return None if cell.confusion is None else np.array(cell.confusion, np.int64)


def score_cell(cell: Cell) -> float | None:
    """Return the mIoU in [0, 1] of one cell, or None."""
    confusion = read_confusion(cell)
    return None if confusion is None else mean_iou(confusion)


def score_record(record: Record) -> dict[str, float | None]:
    """Return every score of a record by name; a score that cannot be had is None.

    `evaluate`: `miou`, `iou/<class>`. `benchmark`: `clean_miou`, `miou/<corruption>/<severity>`, `mpc`, `rpc`, `gam` (the
    worst corruption's mean), `mpc_fixed_pixels` (without the corruptions that move pixels under their labels),
    `mpc_family/<family>`, `worst_class` (the lowest IoU of a class, averaged over the corrupted cells as mPC is);
    `miou_shift/<name>` and their mean `mean_shift` where real shifts were measured; `ece` (clean) and `ece_corrupted` (of
    the pixels of all corrupted cells) where calibration was counted. A mean is None where one of its cells is missing.
    `stream`: `miou/<round>/<domain>`, `round_miou/<round>`, `mean_miou`, `drift`, `forgetting`; `ece`,
    `ece/<round>/<domain>` where calibration was counted; `tc`, `vc_<n>`, `perceptual` where they were measured. A failed
    task and a stage that scores nothing have none.
    """
    if record.status != "done":
        return {}
    if record.kind == "evaluate":
        return _score_evaluation(record)
    if record.kind == "benchmark":
        return _score_benchmark(record)
    if record.kind == "stream":
        return _score_stream(record)
    return {}


def _score_evaluation(record: Record) -> dict[str, float | None]:
    (cell,) = record.cells
    confusion = read_confusion(cell)
    if confusion is None:
        return {"miou": None}
    ious = iou_per_class(confusion)
    per_class = {
        f"iou/{plain_name(name)}": None if np.isnan(iou) else float(iou)
        for name, iou in zip(record.classes, ious, strict=True)
    }
    return {"miou": mean_iou(confusion), **per_class}


def score_subset(record: Record, classes: Collection[str]) -> float | None:
    """Return the mean IoU of an evaluation over some of its classes, or None where none of them occurs.

    The counts are those of all classes: a pixel of a class that is left out still counts against the class that it was
    taken for, as in the published numbers for SYNTHIA.
    """
    confusion = read_confusion(record.cells[0])
    if confusion is None:
        return None
    ious = iou_per_class(confusion)[[index for index, name in enumerate(record.classes) if name in classes]]
    defined = ious[~np.isnan(ious)]
    return float(defined.mean()) if defined.size else None


def read_clean(record: Record) -> float | None:
    """Return the mIoU in [0, 1] of a benchmark's clean cell, or None."""
    return next((score_cell(cell) for cell in record.cells if cell.name == CLEAN), None)


def read_grid(record: Record) -> dict[GridCell, float]:
    """Return the mIoU in [0, 1] of the corrupted cells of a benchmark by (corruption, severity), of those that have one."""
    scores = {place: score_cell(cell) for cell in record.cells if (place := _find_place(cell)) is not None}
    return {place: score for place, score in scores.items() if score is not None}


def list_wanted(record: Record) -> list[GridCell]:
    """Return every (corruption, severity) that a complete benchmark of this record's protocol has."""
    return [(str(name), int(severity)) for name, severity in (record.protocol or {}).get("cells", ())]


def _find_place(cell: Cell) -> GridCell | None:
    """Return the corruption and the severity that a cell stands at; None for the clean one and for shifts."""
    return (str(cell.axes["corruption"]), int(cell.axes["severity"])) if "corruption" in cell.axes else None


def _score_benchmark(record: Record) -> dict[str, float | None]:
    clean, grid, wanted = read_clean(record), read_grid(record), list_wanted(record)
    complete = bool(wanted) and set(wanted) <= set(grid)
    fixed = [cell for cell in wanted if not corruption(cell[0]).moves_pixels]
    families = dict.fromkeys(corruption(name).family for name, _ in wanted)
    return {
        "clean_miou": clean,
        "mpc": _average(grid, wanted),
        "rpc": relative_corrupted(grid, clean, wanted) if complete and clean else None,
        "gam": generalization_ability(grid, wanted) if complete else None,
        "mpc_fixed_pixels": _average(grid, fixed),
        "worst_class": _score_worst_class(record, wanted) if complete else None,
        **{
            f"mpc_family/{family}": _average(grid, [cell for cell in wanted if corruption(cell[0]).family == family])
            for family in families
        },
        **_score_shifts(record),
        **_score_corrupted_calibration(record, wanted),
        **{f"miou/{cell.name}": score_cell(cell) for cell in record.cells if _find_place(cell) is not None},
    }


def _average(grid: dict[GridCell, float], cells: Sequence[GridCell]) -> float | None:
    """Return the mPC over some cells, or None where there is none or one of them has no score."""
    return mean_corrupted(grid, cells) if cells and set(cells) <= set(grid) else None


def _score_worst_class(record: Record, wanted: Sequence[GridCell]) -> float | None:
    """Return the IoU of the class that fares worst over the corrupted cells, all of which have counts."""
    counts = {place: read_confusion(cell) for cell in record.cells if (place := _find_place(cell)) is not None}
    ious = {place: iou_per_class(confusion) for place, confusion in counts.items() if confusion is not None}
    worst = worst_class(corrupted_class_iou(ious, wanted))
    return None if worst is None else worst[1]


def _score_shifts(record: Record) -> dict[str, float | None]:
    """Return the mIoU under each real shift and their mean, None where one has no score; nothing where there is no shift."""
    scores = {str(cell.axes["shift"]): score_cell(cell) for cell in record.cells if "shift" in cell.axes}
    wanted = dict.fromkeys((*(record.protocol or {}).get("shifts", ()), *scores))
    if not wanted:
        return {}
    found = [score for name in wanted if (score := scores.get(name)) is not None]
    mean = fmean(found) if len(found) == len(wanted) else None
    return {"mean_shift": mean, **{f"miou_shift/{plain_name(name)}": scores.get(name) for name in wanted}}


def _score_corrupted_calibration(record: Record, wanted: Sequence[GridCell]) -> dict[str, float | None]:
    """Return the calibration error on clean images and of the pixels of all corrupted ones; nothing where not counted."""
    counts = {
        cell.name: np.array(cell.calibration, np.float64) for cell in record.cells if cell.calibration is not None
    }
    if not counts:
        return {}
    bins = {place: counts[cell.name] for cell in record.cells if cell.name in counts and (place := _find_place(cell))}
    complete = bool(wanted) and set(wanted) <= set(bins)
    return {
        "ece": ece(counts[CLEAN]) if CLEAN in counts else None,
        "ece_corrupted": ece(np.sum([bins[cell] for cell in wanted], axis=0)) if complete else None,
    }


def _score_stream(record: Record) -> dict[str, float | None]:
    nothing = np.zeros((1, 1), np.int64)  # a cell without counts stays, so that no mean hides it
    counts = {
        (int(cell.axes["round"]), str(cell.axes["domain"])): nothing if confusion is None else confusion
        for cell in record.cells
        for confusion in (read_confusion(cell),)
    }
    if not counts:
        return {"mean_miou": None, "drift": None, "forgetting": None}
    summary = summarise(counts)
    cells = {f"miou/{round_}/{plain_name(domain)}": score for (round_, domain), score in summary.cells.items()}
    means = {"mean_miou": summary.mean, "drift": summary.drift, "forgetting": summary.forgetting}
    rounds = {f"round_miou/{round_}": score for round_, score in summary.rounds.items()}
    return {**means, **rounds, **cells, **_score_calibration(record), **_score_video(record)}


def _score_calibration(record: Record) -> dict[str, float | None]:
    """Return the calibration error of each cell and of all their pixels; nothing where it was not counted."""
    counts = {
        f"ece/{cell.axes['round']}/{plain_name(str(cell.axes['domain']))}": np.array(cell.calibration, np.float64)
        for cell in record.cells
        if cell.calibration is not None
    }
    if not counts:
        return {}
    pooled = ece(np.sum(list(counts.values()), axis=0)) if len(counts) == len(record.cells) else None
    return {"ece": pooled, **{name: ece(bins) for name, bins in counts.items()}}


def _score_video(record: Record) -> dict[str, float | None]:
    """Return how steady the predictions of all clips are; nothing where that was not measured."""
    clips = [read_clip(clip) for cell in record.cells for clip in cell.clips]
    if not clips:
        return {}
    return {name: score.value for name, score in score_temporal(clips).items()}


def read_clip(clip: Clip) -> ClipScore:
    """Return the counts of a clip as they were measured."""
    return ClipScore(
        name=clip.name,
        frames=clip.frames,
        intersection=np.array(clip.intersection, np.int64),
        union=np.array(clip.union, np.int64),
        vc={length: Ratio(*ratio) for length, ratio in clip.vc.items()},
        perceptual=None if clip.perceptual is None else Ratio(*clip.perceptual),
    )


def plain_name(name: str) -> str:
    """Return a name in the characters that MLflow allows in a metric."""
    return re.sub(r"[^A-Za-z0-9_\-./ ]", "_", name)
