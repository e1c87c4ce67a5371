"""The columns of a table: which scores of a record it shows, in which order, and how their numbers are printed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import get_args

from corruptions.catalog import Family
from orchestrator.leaderboard.reference import is_relative
from orchestrator.leaderboard.row import pool_scores
from orchestrator.record import Record
from orchestrator.scoring import score_record, score_subset

MAIN = {"evaluate": "mIoU", "benchmark": "mPC", "stream": "mean mIoU"}  # by kind: the score that ranks

SPEED, COST, UPDATES, SKIPPED, MODELS = "frames/s", "GFLOPs/frame", "updates", "skipped", "models"
MEMORY, GPU_MEMORY = "peak memory (GB)", "peak GPU memory (GB)"

# Columns that are no share of something, and so no percentage -> digits after the point.
NUMBERS = {SPEED: 2, COST: 2, UPDATES: 0, SKIPPED: 0, MODELS: 1, MEMORY: 2, GPU_MEMORY: 2}

# Columns that say what happened, of which neither more nor less is better.
_NEUTRAL = (UPDATES, SKIPPED, MODELS, "corrected")
_LOWER = re.compile(r"ECE( .*)?|forgetting|parameters")

# Scores of every benchmark, and of one with real shifts or with calibration -> their columns.
_BENCHMARK = {
    "mpc": "mPC",
    "rpc": "rPC",
    "clean_miou": "clean",
    "gam": "worst",
    "mpc_fixed_pixels": "mPC fixed pixels",
    "worst_class": "worst class",
}
_MEASURED = {"mean_shift": "mean shift", "ece": "ECE", "ece_corrupted": "ECE corrupted"}

# Metrics of a training on noisy labels -> their columns.
_TRAINING = {
    "miou_best": "best mIoU",
    "iou_el": "IoU_el",
    "iou_m": "IoU_m",
    "corrected_share": "corrected",
    "correction_precision": "precision",
    "correction_recall": "recall",
}

_STREAM_DETAILS = re.compile(r"round \d+|(ECE|purity|VC\d+|perceptual)( .*)?")
_STREAM = re.compile(r"mean mIoU|drift|forgetting|TC( \(.*\))?")
_SIGNED = ("drift", "forgetting")  # differences of two shares


def select_scores(record: Record, subsets: Mapping[str, tuple[str, ...]]) -> dict[str, float | None]:
    """Return the scores of a record that a table shows, the one that ranks first.

    Args:
        record: of a scored task.
        subsets: name of a column -> the classes that it is the mean IoU of; for evaluations.
    """
    scores = score_record(record)
    if record.kind == "evaluate":
        fewer = {name: score_subset(record, classes) for name, classes in subsets.items()}
        classes = {f"IoU/{name.removeprefix('iou/')}": v for name, v in scores.items() if name.startswith("iou/")}
        return {"mIoU": scores["miou"], **fewer, **classes}
    if record.kind == "benchmark":
        return _select_benchmark(scores)
    return _select_stream(record, scores)


def select_training(record: Record | None) -> dict[str, float | None]:
    """Return the columns that say how a network's training took noisy labels; none where that was not looked at.

    Args:
        record: of the task that trained the network, or None.
    """
    metrics = {} if record is None else record.metrics
    return {column: metrics[name] for name, column in _TRAINING.items() if name in metrics}


def _select_benchmark(scores: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the columns of a benchmark: its means, real shifts and calibration, then cell by cell."""

    def select(prefix: str, title: str) -> dict[str, float | None]:
        named = {name.removeprefix(prefix): score for name, score in scores.items() if name.startswith(prefix)}
        return {f"{title}{name}": score for name, score in named.items()}

    return {
        **{column: scores[name] for name, column in _BENCHMARK.items()},
        **select("mpc_family/", "mPC "),
        **select("miou_shift/", "shift "),
        **{column: scores[name] for name, column in _MEASURED.items() if name in scores},
        **select("miou/", ""),
    }


def _select_stream(record: Record, scores: Mapping[str, float | None]) -> dict[str, float | None]:
    """Return the columns of a stream: mIoU over it, then by domain and round, video, calibration and what it cost."""
    domains: dict[str, list[float | None]] = {}
    for name, score in scores.items():
        if name.startswith("miou/"):
            domains.setdefault(name.split("/", 2)[2], []).append(score)
    means = {domain: pool_scores(values).mean for domain, values in domains.items()}
    rounds = [score for name, score in scores.items() if name.startswith("round_miou/")]
    over_rounds = ("drift", "forgetting") if len(rounds) > 1 else ()
    by_round = {f"round {number}": score for number, score in enumerate(rounds, 1)} if len(rounds) > 1 else {}
    video = {
        _name_video(name, record): score
        for name, score in scores.items()
        if name in ("tc", "perceptual") or name.startswith("vc_")
    }
    flops = record.metrics.get("flops_per_frame")
    cost = {
        "ECE": scores.get("ece"),
        "purity": record.metrics.get("purity"),
        MODELS: record.metrics.get("models"),
        SPEED: record.metrics.get("frames_per_second"),
        COST: None if flops is None else flops / 1e9,
        UPDATES: record.metrics.get("updates"),
        SKIPPED: record.metrics.get("skipped"),
        **_measure_memory(record),
    }
    measured = {name: value for name, value in cost.items() if value is not None}
    return {
        "mean mIoU": scores["mean_miou"],
        **{name: scores[name] for name in over_rounds},
        **means,
        **by_round,
        **video,
        **measured,
    }


def _measure_memory(record: Record) -> dict[str, float]:
    """Return the peak of the memory that the network lay in, in GB (1e9 bytes); that of a GPU is a column of its own."""
    if record.peak_gpu_memory_bytes:
        return {GPU_MEMORY: record.peak_gpu_memory_bytes / 1e9}
    return {MEMORY: record.peak_memory_bytes / 1e9} if record.peak_memory_bytes is not None else {}


def _name_video(score: str, record: Record) -> str:
    """Name the column of a temporal score: one that is measured in another way is another column, not another table."""
    temporal = record.settings.get("temporal") or {}
    if score == "tc":
        flow = temporal.get("flow", "dis")
        return "TC" if flow == "dis" else f"TC ({flow})"
    if score == "perceptual":
        return score
    return score.upper().replace("_", "") + (" (last window dropped)" if temporal.get("drop_last") else "")


def is_detail(kind: str, column: str) -> bool:
    """Say whether a column is left to the files: a cell of a grid, a class, a round, a bound, or what a stream cost."""
    if kind == "stream":
        return column in NUMBERS or _STREAM_DETAILS.fullmatch(column) is not None
    return "/" in column


def is_lower_better(column: str) -> bool:
    """Say whether less of a column is better: what is lost, how far confidence is off, what it costs."""
    return is_relative(column) or column in (COST, MEMORY, GPU_MEMORY) or _LOWER.fullmatch(column) is not None


def has_best(column: str) -> bool:
    """Say whether the values of a column can be ordered from best to worst at all."""
    return column not in _NEUTRAL


def is_known(kind: str, column: str) -> bool:
    """Say whether a table of a kind may have a column, apart from those that its protocol names: cells, classes, domains."""
    if column in _TRAINING.values():
        return True
    if kind == "benchmark":
        named = (*_BENCHMARK.values(), *_MEASURED.values(), *(f"mPC {family}" for family in get_args(Family)))
        return column in named
    if kind == "stream":
        return _STREAM.fullmatch(column) is not None or is_detail(kind, column)
    return column == MAIN[kind]


def list_known(kind: str) -> list[str]:
    """List what an error offers in place of a column that is unknown."""
    named = {"benchmark": (*_BENCHMARK.values(), *_MEASURED.values()), "stream": ("mean mIoU", *_SIGNED, "TC")}
    return [*named.get(kind, (MAIN[kind],)), *(NUMBERS if kind == "stream" else ())]


def bound_values(column: str) -> tuple[float, float]:
    """Return the least and the greatest value that a column can have; see `is_lower_better` for which is the better end."""
    if column in _SIGNED:
        return -1.0, 1.0
    return 0.0, math.inf if column in NUMBERS or column == _BENCHMARK["rpc"] else 1.0
