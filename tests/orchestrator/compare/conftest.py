"""Runs with counts of every image, written into a store as the stages write them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from orchestrator.compare.side import Side
from orchestrator.leaderboard.source import StoreSource
from orchestrator.record import Record
from orchestrator.stages.counts_file import NAME as COUNTS_FILE
from orchestrator.stages.counts_file import save_counts
from orchestrator.stages.stage import FRAMES_FILE
from orchestrator.store import Store

Counts = Mapping[str, NDArray[np.int64]]

GRID = [["fog", 1], ["fog", 2], ["gaussian_noise", 1]]
CLASSES = ("road", "car", "sky")
FRAMES = tuple(f"frame{index}" for index in range(8))


def draw_counts(
    cells: Sequence[str], accuracy: float, seed: int = 0, frames: int = len(FRAMES)
) -> dict[str, NDArray[np.int64]]:
    """Counts of a model on labels that depend on `seed` alone, cell by cell."""
    found = {}
    for place, cell in enumerate(cells):
        rng = np.random.default_rng((seed, place))
        labels = np.random.default_rng(seed).integers(3, 60, size=(frames, len(CLASSES)))
        right = rng.random((frames, len(CLASSES))) * 0.4 - 0.2 + accuracy
        counts = np.zeros((frames, len(CLASSES), len(CLASSES)), np.int64)
        for k in range(len(CLASSES)):
            hit = np.clip(np.round(labels[:, k] * right[:, k]), 0, labels[:, k]).astype(np.int64)
            counts[:, k, k] = hit
            counts[:, k, (k + 1) % len(CLASSES)] = labels[:, k] - hit
        found[cell] = counts
    return found


def name_axes(kind: str, cell: str) -> dict[str, str | int]:
    head, _, tail = cell.partition("/")
    if kind == "stream":
        return {"round": int(head), "domain": tail}
    if cell == "clean":
        return {}
    return {"shift": tail} if head == "shift" else {"corruption": head, "severity": int(tail)}


@pytest.fixture
def finish(store: Store, make_record) -> Callable[..., Record]:
    """Commit the record of a task with the counts of its images."""

    def commit(task: Any, counts: Counts, frames: Sequence[str] = FRAMES, **fields: Any) -> Record:
        folder = store.folder(task.key)
        folder.mkdir(parents=True)
        save_counts(folder, frames, counts)
        if task.kind == "stream":
            steps = [
                {"round": int(cell.split("/")[0]), "domain": cell.split("/")[1], "dataset": "night", "frame": name}
                for cell in counts
                for name in frames
            ]
            (folder / FRAMES_FILE).write_text("".join(json.dumps(step) + "\n" for step in steps))
        cells = {
            name: (name_axes(task.kind, name), tuple(map(tuple, each.sum(axis=0).tolist())))
            for name, each in counts.items()
        }
        protocol = {
            "kind": task.kind,
            "limit": None,
            "dataset": {"split": "val"},
            **({"cells": GRID} if task.kind == "benchmark" else {}),
        }
        given = {"classes": CLASSES, "protocol": protocol, "files": store.list_files(task.key), **fields}
        record: Record = make_record(task, cells, **given)
        store.commit(record)
        return store.read(task.key)

    return commit


@pytest.fixture
def make_side(store: Store) -> Callable[..., Side]:
    """Make a side of committed records."""

    def make(name: str, *records: Record, **fields: Any) -> Side:
        source = StoreSource(store, {record.key for record in records})
        return Side(name, "A table", records[0].protocol or {}, records, source.find_file, **fields)

    return make


CELLS = {
    "evaluate": ("clean",),
    "benchmark": ("clean", "fog/1", "fog/2", "gaussian_noise/1", "shift/other"),
    "stream": ("0/night", "0/rain", "1/night", "1/rain"),
}


@pytest.fixture
def compare_kind(make_task, finish, make_side) -> Callable[..., tuple[Side, Side]]:
    """Make a baseline and a better one, of a kind, over some seeds."""

    def make(kind: str, runs: int = 1, accuracies: tuple[float, float] = (0.5, 0.6)) -> tuple[Side, Side]:
        sides = []
        for stage, accuracy in zip(("plain", "better"), accuracies, strict=True):
            records = []
            for seed in range(runs):
                task = make_task(stage, kind, point={"seed": seed})
                counts = draw_counts(CELLS[kind], accuracy + 0.02 * seed)
                records.append(finish(task, counts))
            sides.append(make_side(stage, *records))
        return sides[0], sides[1]

    return make


def read_counts(side: Side, place: int = 0) -> dict[str, NDArray[np.int64]]:
    file = side.find_file(side.records[place].key, COUNTS_FILE)
    assert file is not None
    with np.load(file) as arrays:
        return {name.removeprefix("cell:"): arrays[name] for name in arrays.files if name.startswith("cell:")}
