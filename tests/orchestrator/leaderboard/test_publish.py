"""The leaderboard of a plan from its store: records, and the counts beside them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from orchestrator.leaderboard.publish import make_board
from orchestrator.leaderboard.row import Row
from orchestrator.leaderboard.source import StoreSource
from orchestrator.stages.counts_file import NAME, save_counts
from orchestrator.store import Store


@pytest.fixture
def make_row(make_task, make_record, make_graph, make_plan, store: Store) -> Any:
    """Commit a benchmark of two images to the store, and return the row of it as the board has it."""

    def _make(damage: bool = False) -> Row:
        task = make_task("grid", "benchmark")
        counts = np.array([[[5, 0], [0, 5]], [[0, 5], [5, 0]]])
        total = tuple(map(tuple, counts.sum(axis=0).tolist()))
        cells = {"clean": ({}, total), "fog/1": ({"corruption": "fog", "severity": 1}, total)}
        folder = store.folder(task.key)
        folder.mkdir(parents=True)
        save_counts(folder, ["x", "y"], {"clean": counts, "fog/1": counts})
        record = make_record(task, cells, protocol={"cells": [["fog", 1]]}, files=store.list_files(task.key))
        store.commit(record)
        if damage:
            (folder / NAME).write_bytes(b"not what was written")
        (table,) = make_board(make_plan(make_graph(task)), StoreSource(store, {task.key})).tables
        return table.rows[0]

    return _make


def test_a_board_reads_the_counts_beside_the_records(make_row) -> None:
    """A resample of an image that is all right and one that is all wrong may hold either twice."""
    scores = make_row().scores
    assert scores["mPC"].mean == pytest.approx(1 / 3)
    assert (scores["mPC"].low, scores["mPC"].high) == (0.0, 1.0)


def test_damaged_counts_are_said_and_cost_nothing_else(make_row) -> None:
    row = make_row(damage=True)
    assert row.scores["mPC"].mean == pytest.approx(1 / 3)
    assert row.scores["mPC"].low is None
    assert row.warnings[0] == f"no interval: the file {NAME} of task {row.keys[0]} is missing or damaged"
    assert row.rank == 1
