"""Tables of benchmarks: their columns, the row that they are relative to, and intervals, worked by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from experiments.graph import Graph
from experiments.schema import LeaderboardStage
from experiments.task import Task
from orchestrator.leaderboard.board import build_board
from orchestrator.leaderboard.table import Table
from orchestrator.record import Record
from orchestrator.stages.counts_file import save_counts
from tests.orchestrator.leaderboard.grids import GRID, build_cells, confuse, fill
from tests.orchestrator.leaderboard.sources import Records

BINS = tuple((0.0,) * 14 + (value,) for value in (10.0, 9.0, 8.0))  # confidence 0.9, accuracy 0.8


def compare(graph: Graph, reference: Any, *needs: str) -> Graph:
    return replace(
        graph, leaderboards={"board": LeaderboardStage(kind="leaderboard", needs=needs, reference=reference)}
    )


@pytest.fixture
def networks(make_task) -> dict[str, list[Task]]:
    return {
        name: [make_task(name, "train", point={"seed": seed}, seed=seed, label=name) for seed in (0, 1)]
        for name in ("a", "b")
    }


@pytest.fixture
def build(make_task, make_graph, make_record, networks) -> Callable[..., list[Table]]:
    """Build the tables of (network, grid) pairs: the stage `grid_<network>` scores each seed of it, clean at 0.8."""

    def _build(*runs: tuple[str, list[dict[Any, Any]]], reference: str | None = None, **fields: Any) -> list[Table]:
        records: dict[str, Record] = {}
        tasks: list[Task] = []
        for name, grids in runs:
            for trained, grid in zip(networks[name], grids, strict=False):
                task = make_task(f"grid_{name}", "benchmark", point=dict(trained.point), needs=trained)
                records[task.key] = make_record(task, build_cells(8, grid), protocol={"cells": GRID}, **fields)
                tasks += [trained, task]
        graph = compare(make_graph(*tasks), reference, *(f"grid_{name}" for name, _ in runs))
        return list(build_board(graph, Records(records), miniature=False).tables)

    return _build


def read(table: Table, column: str) -> dict[str, float | None]:
    return {row.entry: row.scores[column].mean for row in table.rows}


def test_a_benchmark_is_ranked_by_mpc(make_task, make_graph, make_record, networks) -> None:
    """Fog 0.6 and contrast 0.2: mPC 0.4 of clean 1. Both classes fare alike. The shifts: 0.5 and 0.3."""
    a = networks["a"][0]
    task = make_task("corruption", "benchmark", point={"seed": 0}, needs=a)
    cells = build_cells(10, {("fog", 1): 6, ("contrast", 2): 2}, night=5, rain=3)
    record = make_record(task, cells, protocol={"cells": [["fog", 1], ["contrast", 2]], "shifts": ["night", "rain"]})
    counted = tuple(cell.model_copy(update={"calibration": BINS}) for cell in record.cells)
    record = record.model_copy(update={"cells": counted})
    (table,) = build_board(make_graph(a, task), Records({task.key: record}), miniature=False).tables
    scores = {name: score.mean for name, score in table.rows[0].scores.items()}
    assert table.columns == tuple(scores)
    assert scores == {
        "mPC": pytest.approx(0.4),
        "rPC": pytest.approx(0.4),
        "clean": 1.0,
        "worst": pytest.approx(0.2),
        "mPC fixed pixels": pytest.approx(0.4),
        "worst class": pytest.approx(0.4),
        "mPC weather": pytest.approx(0.6),
        "mPC digital": pytest.approx(0.2),
        "shift night": pytest.approx(0.5),
        "shift rain": pytest.approx(0.3),
        "mean shift": pytest.approx(0.4),
        "ECE": pytest.approx(0.1),
        "ECE corrupted": pytest.approx(0.1),
        "fog/1": pytest.approx(0.6),
        "contrast/2": pytest.approx(0.2),
    }
    assert table.details == ("fog/1", "contrast/2")
    assert table.title == "Corruptions (quick): cityscapes val"
    assert table.reference is None


def test_shifts_and_calibration_have_columns_only_where_they_were_measured(build) -> None:
    (table,) = build(("a", [fill(4, 4, 4, 4)]))
    assert not [name for name in table.columns if "shift" in name or "ECE" in name or "CD" in name]


def test_an_incomplete_grid_is_shown_and_not_ranked(build) -> None:
    (table,) = build(("a", [fill(6, 6, None, 2)]))
    (row,) = table.rows
    assert (row.rank, row.scores["mPC"].mean) == (None, None)
    assert row.scores["fog/1"].mean == pytest.approx(0.6)
    assert row.scores["mPC weather"].mean == pytest.approx(0.6)
    assert row.reason is not None
    assert "mPC" in row.reason


def test_rows_are_compared_with_the_row_that_the_leaderboard_names(build) -> None:
    """Errors of b: fog 0.2 + 0.6, noise 0.5 at severity 1 and 1 at 5; of a: 0.3 + 0.5, 0.4 and 0.6.

    CD: fog 0.8 / 0.8 = 1, noise 0.4 / 0.5 = 0.8; mean 0.9. mCE: noise (0.4 + 0.6) / (0.5 + 1) = 2/3; 5/6.
    """
    runs = (("a", [fill(7, 5, 6, 4)]), ("b", [fill(8, 4, 5, 0)]))
    (table,) = build(*runs, reference="grid_b")
    assert table.reference == "b"
    assert read(table, "CD") == {"a": pytest.approx(0.9), "b": pytest.approx(1.0)}
    assert read(table, "mCE")["a"] == pytest.approx(5 / 6)
    assert read(table, "CD/gaussian_noise") == {"a": pytest.approx(0.8), "b": pytest.approx(1.0)}
    relative = ["CD", "rCD", "mCE", "relative mCE"]
    assert [name for name in table.columns if name not in table.details][-4:] == relative
    assert table.details[-2:] == ("CD/fog", "CD/gaussian_noise")
    assert all(read(table, name)["b"] == pytest.approx(1.0) for name in relative)
    (plain,) = build(*runs)
    assert [row.entry for row in plain.rows] == [row.entry for row in table.rows], "the main score ranks all the same"


def test_the_reference_is_the_row_at_the_point_that_is_named(make_task, make_graph, make_record) -> None:
    """One stage scores two networks; either can be the reference, with both of its runs. Errors: a 0.4, b 0.8 of each cell."""
    tasks, records = [], {}
    for name, tenths in (("a", 6), ("b", 2)):
        for seed in (0, 1):
            trained = make_task("trained", "train", point={"net": name, "seed": seed}, seed=seed, label=name)
            task = make_task("grid", "benchmark", point=dict(trained.point), needs=trained)
            records[task.key] = make_record(task, build_cells(8, fill(*[tenths] * 4)), protocol={"cells": GRID})
            tasks += [trained, task]
    for net, other, ratio in (("a", "b", 2.0), ("b", "a", 0.5)):
        graph = compare(make_graph(*tasks), {"stage": "grid", "at": {"net": net}}, "grid")
        (table,) = build_board(graph, Records(records), miniature=False).tables
        assert table.reference is not None
        assert table.reference.startswith(net)
        found = {row.entry[0]: row.scores["CD"] for row in table.rows}
        assert found[net].values == (pytest.approx(1.0), pytest.approx(1.0))
        assert found[other].mean == pytest.approx(ratio)
    (table,) = build_board(compare(make_graph(*tasks), "grid", "grid"), Records(records), miniature=False).tables
    assert table.reference is None
    assert table.rows[0].scores["CD"].reason == "2 rows of stage 'grid' to compare with in this table"


def test_a_table_of_another_protocol_says_that_it_has_no_reference(
    make_task, make_graph, make_record, networks
) -> None:
    a, b = networks["a"][0], networks["b"][0]
    tasks = [make_task("grid_a", "benchmark", needs=a), make_task("grid_b", "benchmark", needs=b, limit=3)]
    records = {
        task.key: make_record(task, build_cells(8, fill(4, 4, 4, 4)), protocol={"cells": GRID}) for task in tasks
    }
    graph = compare(make_graph(a, b, *tasks), "grid_a", "grid_a", "grid_b")
    first, second = build_board(graph, Records(records), miniature=False).tables
    assert (first.reference, second.reference) == ("a", None)
    assert read(first, "CD") == {"a": pytest.approx(1.0)}
    score = second.rows[0].scores["CD"]
    assert (score.mean, score.reason) == (None, "no row of stage 'grid_a' to compare with in this table")
    json.dumps(build_board(graph, Records(records), miniature=False).to_json(), allow_nan=False)


def test_each_table_has_the_reference_of_its_own(make_task, make_graph, make_record, networks) -> None:
    """Two leaderboards show both stages, and each names another one."""
    a, b = networks["a"][0], networks["b"][0]
    tasks = [make_task("grid_a", "benchmark", needs=a), make_task("grid_b", "benchmark", needs=b, limit=3)]
    records = {
        task.key: make_record(task, build_cells(8, fill(4, 4, 4, 4)), protocol={"cells": GRID}) for task in tasks
    }
    boards = {
        name: LeaderboardStage(kind="leaderboard", needs=("grid_a", "grid_b"), reference=f"grid_{name}")
        for name in "ab"
    }
    graph = replace(make_graph(a, b, *tasks), leaderboards=boards)
    assert [table.reference for table in build_board(graph, Records(records), miniature=False).tables] == ["a", "b"]


def test_only_benchmarks_are_compared_with_a_reference(make_task, make_graph, make_record, networks) -> None:
    a = networks["a"][0]
    clean, grid = make_task("clean", needs=a), make_task("grid_a", "benchmark", needs=a)
    records = {
        clean.key: make_record(clean, {"clean": ({}, confuse(5))}),
        grid.key: make_record(grid, build_cells(8, fill(4, 4, 4, 4)), protocol={"cells": GRID}),
    }
    graph = compare(make_graph(a, clean, grid), "grid_a", "clean", "grid_a")
    first, second = build_board(graph, Records(records), miniature=False).tables
    assert ("CD" in first.columns, "CD" in second.columns) == (False, True)


def test_scores_of_a_benchmark_have_intervals(make_task, make_graph, make_record, networks, tmp_path: Path) -> None:
    """Of two images, one all right and one all wrong, a resample holds either twice or both."""
    a = networks["a"][0]
    task = make_task("grid_a", "benchmark", needs=a)
    counts = np.array([[[5, 0], [0, 5]], [[0, 5], [5, 0]]])
    total = tuple(map(tuple, counts.sum(axis=0).tolist()))
    cells = {"clean": ({}, total), "fog/1": ({"corruption": "fog", "severity": 1}, total)}
    record = make_record(task, cells, protocol={"cells": [["fog", 1]]})
    save_counts(tmp_path, ["x", "y"], {"clean": counts, "fog/1": counts})
    graph = make_graph(a, task)
    source = Records({task.key: record}, files={(task.key, "counts.npz"): tmp_path / "counts.npz"})
    (table,) = build_board(graph, source, miniature=False).tables
    (row,) = table.rows
    assert table.details == ("fog/1",)
    for column in ("mPC", "fog/1", "clean"):
        assert row.scores[column].mean == pytest.approx(1 / 3)
        assert (row.scores[column].low, row.scores[column].high) == (0.0, 1.0)
    assert row.scores["rPC"].low is None  # a ratio is not resampled
