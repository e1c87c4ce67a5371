"""Rows of tables made by hand: a grid of three corruptions at two severities, an evaluation, a stream of three rounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from adapt.scores.bootstrap import RESAMPLES
from orchestrator.leaderboard.row import Provenance, Resamples, Row, Score

CORRUPTED = ("gaussian_noise", "fog", "contrast")
BENCHMARK: dict[str, Any] = {
    "kind": "benchmark",
    "inference": "whole image",
    "dataset": {"type": "cityscapes", "split": "val", "fingerprint": "f" * 8},
    "limit": None,
    "protocol": "three",
    "cells": [[name, severity] for name in CORRUPTED for severity in (1, 2)],
    "seed": 0,
}
EVALUATION: dict[str, Any] = {"kind": "evaluate", "dataset": {"type": "cityscapes", "split": "val"}, "limit": None}
OWN: dict[str, Any] = {**EVALUATION, "dataset": {"type": "folder", "split": "all", "fingerprint": "f" * 8}}
STREAM: dict[str, Any] = {
    "kind": "stream",
    "stream": {"kind": "continual", "rounds": 3, "domains": [{"dataset": "fog"}, {"dataset": "night"}]},
    "datasets": {"fog": {"type": "acdc"}, "night": {"type": "acdc"}},
}
PROVENANCE = Provenance("segshift sweep byhand", experiment="byhand")
RESAMPLED = Resamples("images", (0.4,) * RESAMPLES)


def give(*values: float | None, std: float | None = None) -> Score:
    """Return the score of runs with these values."""
    present = [value for value in values if value is not None]
    mean = sum(present) / len(present) if present and len(present) == len(values) else None
    return Score(mean, std, values)


def make_row(method: str, scores: Mapping[str, Score], **fields: Any) -> Row:
    """Return a row that is not ranked yet."""
    made: dict[str, Any] = {
        "rank": None, "method": method, "adaptation": None, "axes": {}, "seeds": 1, "runs": 1, "architecture": "Toy",
        "parameters": 7, "scores": dict(scores), "reason": None, "keys": (f"key-{method}",), "trained_in": "training",
    }  # fmt: skip
    return Row(**(made | fields))


def make_grid(clean: float, *cells: float) -> dict[str, Score]:
    """Return the scores of one run under `BENCHMARK`, worked by hand: means of pairs, then of the three."""
    names = [f"{name}/{severity}" for name, severity in BENCHMARK["cells"]]
    noise, fog, contrast = ((cells[place] + cells[place + 1]) / 2 for place in (0, 2, 4))
    mpc = (noise + fog + contrast) / 3
    means = {
        "mPC": mpc, "rPC": mpc / clean, "clean": clean, "worst": min(noise, fog, contrast), "mPC fixed pixels": mpc,
        "mPC noise": noise, "mPC weather": fog, "mPC digital": contrast,
    }  # fmt: skip
    return {name: give(value) for name, value in {**means, **dict(zip(names, cells, strict=True))}.items()}
