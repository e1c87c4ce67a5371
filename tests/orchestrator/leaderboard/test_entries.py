"""A folder of entries: what is exported makes the same tables again; what is added is checked, marked and never doubled."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from adapt.errors import SpecError
from adapt.scores.bootstrap import RESAMPLES
from experiments.schema import GapSettings
from orchestrator.leaderboard.aggregates import list_grid
from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.entries import (
    add_entries,
    build_board_of,
    export_entries,
    list_entry_files,
    read_entries,
)
from orchestrator.leaderboard.entry import read_entry
from orchestrator.leaderboard.forms import to_csv
from orchestrator.leaderboard.markdown import to_markdown
from orchestrator.leaderboard.reference import Sought
from orchestrator.leaderboard.row import Provenance, Resamples, Row, Score
from orchestrator.leaderboard.table import Table, finish_table
from orchestrator.leaderboard.verify import verify_entries
from tests.orchestrator.leaderboard.rows import (
    BENCHMARK,
    EVALUATION,
    OWN,
    PROVENANCE,
    RESAMPLED,
    STREAM,
    give,
    make_grid,
    make_row,
)

GRIDS = (
    (0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3),
    (0.7, 0.3, 0.2, 0.5, 0.4, 0.6, 0.4),
    (0.75, 0.1, 0.2, 0.2, 0.1, 0.3, 0.1),
)
OUTSIDE: dict[str, Any] = {
    "method": "SegFormer-B5",
    "provenance": {"source": "A. Author, 2025", "command": "python test.py"},
    "protocol": {"kind": "evaluate", "dataset": "cityscapes", "split": "val"},
    "scores": {"mIoU": 0.824},
}


def build_rows() -> list[Row]:
    """Three rows of a grid, of which two cannot be told apart."""
    means = ((0, 0.4), (10, 0.4), (0, 1 / 6))
    resamples = [
        Resamples("same", tuple(mean + 0.001 * ((n * 7 + k) % 20) for n in range(RESAMPLES))) for k, mean in means
    ]
    return [
        make_row(name, make_grid(*grid), provenance=PROVENANCE, resamples=drawn)
        for name, grid, drawn in zip(("a", "b", "c"), GRIDS, resamples, strict=True)
    ]


def build_tables() -> tuple[Table, ...]:
    rounds = {
        "mean mIoU": 0.4,
        "drift": -0.2,
        "fog": 0.45,
        "night": 0.35,
        "round 1": 0.5,
        "round 2": 0.4,
        "round 3": 0.3,
    }
    stream = make_row(
        "a", {name: give(value) for name, value in rounds.items()}, adaptation="tent", provenance=PROVENANCE
    )
    classes = {"mIoU": give(0.6, 0.7, std=0.0707), "IoU/road": give(0.7, 0.8), "IoU/sky": give(0.5, 0.6)}
    clean = make_row("a", classes, seeds=2, runs=2, provenance=PROVENANCE)
    hole = make_row("hole", {"mIoU": give(0.5, None)}, seeds=1, runs=2, reason="1 of 2 runs", provenance=PROVENANCE)
    empty = make_row("nothing", {}, seeds=0, runs=2, reason="2 of 2 runs have no result", provenance=PROVENANCE)
    sought = Sought("'a'", lambda row: row.method == "a", list_grid(BENCHMARK))
    return (
        finish_table("Corruptions (three): cityscapes val", BENCHMARK, build_rows(), sought=sought),
        finish_table("Test-time stream (continual, 3 rounds): fog, night", STREAM, [stream]),
        finish_table("Clean: cityscapes val", EVALUATION, [clean, hole, empty]),
    )


@pytest.fixture
def board() -> Board:
    return Board("byhand", "full", "A question", False, build_tables())


def write(file: Path, **changes: Any) -> Path:
    file.write_text(json.dumps(OUTSIDE | changes))
    return file


def test_what_is_exported_makes_the_same_tables_again(board: Board, tmp_path: Path) -> None:
    files = export_entries(board, tmp_path / "entries")
    assert len(files) == 6  # the row without any result is left out
    grid, stream, clean = build_board_of(read_entries([tmp_path / "entries"]), "x", "t", reference="a").tables
    assert (grid, stream) == board.tables[:2]
    assert clean == replace(board.tables[2], rows=board.tables[2].rows[:2])
    assert [row.rank for row in grid.rows] == [1, 1, 3]
    assert grid.reference == "a"


def test_exporting_twice_changes_nothing_and_a_new_result_replaces_the_old(board: Board, tmp_path: Path) -> None:
    texts = [file.read_text() for file in export_entries(board, tmp_path)]
    assert [file.read_text() for file in export_entries(board, tmp_path)] == texts
    better = [replace(row, scores=make_grid(0.9, *GRIDS[0][1:]), keys=("new",)) for row in build_rows()[:1]]
    again = replace(board, tables=(finish_table(board.tables[0].title, BENCHMARK, better),))
    (file,) = export_entries(again, tmp_path)
    assert read_entry(file).scores["clean"].mean == 0.9
    assert len(list_entry_files([tmp_path])) == 6


def test_a_row_of_another_experiment_or_hand_is_never_replaced(board: Board, tmp_path: Path) -> None:
    other = Provenance("segshift sweep other", experiment="other")
    row = replace(build_rows()[0], provenance=other, keys=("other",))
    export_entries(replace(board, tables=(finish_table("t", BENCHMARK, [row]),)), tmp_path)
    with pytest.raises(SpecError, match="'a' is there already, of experiment 'other'"):
        export_entries(board, tmp_path)
    assert len(list_entry_files([tmp_path])) == 1  # nothing was written


def test_a_row_from_outside_is_marked_whatever_it_says_of_itself(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.json", status="reproduced")
    (added,) = add_entries([file], tmp_path / "entries")
    assert read_entry(added).status == "self-reported"
    assert verify_entries([tmp_path / "entries"]).errors == ()


def test_the_short_form_of_a_protocol_is_no_protocol_of_ours(board: Board, tmp_path: Path) -> None:
    export_entries(board, tmp_path / "entries")
    add_entries([write(tmp_path / "mine.json")], tmp_path / "entries")
    tables = build_board_of(read_entries([tmp_path / "entries"]), "x", "t").tables
    methods = {table.title: [row.method for row in table.rows] for table in tables if table.title.startswith("Clean")}
    assert sorted(methods.values()) == [["SegFormer-B5"], ["a", "hole"]]
    assert all("(protocol " in title for title in methods)


def test_a_row_from_outside_under_our_complete_protocol_is_ranked_with_ours(board: Board, tmp_path: Path) -> None:
    export_entries(board, tmp_path / "entries")
    add_entries([write(tmp_path / "mine.json", protocol=EVALUATION)], tmp_path / "entries")
    table = build_board_of(read_entries([tmp_path / "entries"]), "x", "t").tables[-1]
    assert [(row.rank, row.method, row.status) for row in table.rows] == [
        (1, "SegFormer-B5", "self-reported"), (2, "a", "reproduced"), (None, "hole", "reproduced"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"provenance": {"command": "x"}}, "provenance.source: say where the numbers come from"),
        ({"provenance": None}, "provenance.source: say where the numbers come from"),
        (
            {"protocol": OWN, "scores": {"mIoU": 0.9, "IoU/road": 0.5, "IoU/sky": 0.5}},
            "mIoU is 90.00, but its cells give 50.00",
        ),
        ({"provenance": {"source": " "}}, "provenance.source: say where the numbers come from"),
        ({"scores": {"mIoU": 82.4}}, "in percent? shares lie in [0, 1]"),
    ],
)
def test_nothing_is_written_when_one_of_several_is_wrong(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    good, bad = write(tmp_path / "good.json", method="good"), write(tmp_path / "bad.json", **changes)
    with pytest.raises(SpecError) as caught:
        add_entries([good, bad], tmp_path / "entries")
    assert said in str(caught.value)
    assert str(bad) in str(caught.value)
    assert not (tmp_path / "entries").exists()


def test_a_row_is_never_there_twice(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1.json"), write(tmp_path / "2.json", scores={"mIoU": 0.9})
    with pytest.raises(SpecError, match="twice among these files"):
        add_entries([first, second], tmp_path / "entries")
    add_entries([first], tmp_path / "entries")
    with pytest.raises(SpecError, match="is there already, in "):
        add_entries([second], tmp_path / "entries")
    (file,) = list_entry_files([tmp_path / "entries"])
    assert read_entry(file).scores["mIoU"].mean == 0.824
    (tmp_path / "entries" / "copy.json").write_text(file.read_text())
    with pytest.raises(SpecError, match="is there 2 times: remove all but one"):
        build_board_of(read_entries([tmp_path / "entries"]), "x", "t")


def test_a_hole_from_outside_is_shown_and_not_ranked(tmp_path: Path) -> None:
    scores = {name: score.mean for name, score in make_grid(*GRIDS[0]).items() if "/" in name or name == "clean"}
    file = write(tmp_path / "a.json", protocol=BENCHMARK, scores={**scores, "fog/2": {"mean": None, "reason": "lost"}})
    add_entries([file], tmp_path / "entries")
    ((row,),) = [table.rows for table in build_board_of(read_entries([tmp_path / "entries"]), "x", "t").tables]
    assert (row.rank, row.reason) == (None, "no score of fog/2")
    assert row.scores["mPC noise"].mean if "mPC noise" in row.scores else row.scores["fog/1"].mean


def read_cells(*grid: float) -> dict[str, float | None]:
    """Return what an outsider tells of a grid: clean and cells."""
    return {name: score.mean for name, score in make_grid(*grid).items() if "/" in name or name == "clean"}


def build(tmp_path: Path, **compared: Any) -> tuple[Table, ...]:
    return build_board_of(read_entries([tmp_path / "entries"]), "x", "t", **compared).tables


def test_what_was_added_can_be_read_again_also_where_runs_are_not_told_apart(tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", protocol=BENCHMARK, runs=3, seeds=3, scores=read_cells(*GRIDS[0]))
    (added,) = add_entries([file], tmp_path / "entries")
    assert read_entry(added).scores["mPC"] == Score(pytest.approx(0.4), None, ())
    assert verify_entries([tmp_path / "entries"]).errors == ()
    assert build(tmp_path)[0].rows[0].rank == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"scores": {**read_cells(*GRIDS[0]), "mPC": 0.95, "fog/1": None, "fog/2": None}},
        {"scores": {"clean": 0.97, "fog/1": 0.9, "mPC": 0.95}, "reason": "cells lost"},
        {"seeds": 1, "runs": 3, "scores": {**read_cells(*GRIDS[0]), "mPC": {"mean": 0.4, "values": [0.4, None, None]}}},
    ],
)
def test_no_incomplete_grid_takes_a_rank_from_ours(board: Board, tmp_path: Path, changes: dict[str, Any]) -> None:
    export_entries(board, tmp_path / "entries")
    add_entries([write(tmp_path / "a.json", protocol=BENCHMARK, **changes)], tmp_path / "entries")
    ranks = {row.method: row.rank for row in build(tmp_path)[0].rows}
    assert ranks == {"a": 1, "b": 1, "c": 3, "SegFormer-B5": None}


def test_resamples_from_outside_do_not_bear_on_ranks(board: Board, tmp_path: Path) -> None:
    export_entries(board, tmp_path / "entries")
    close = read_cells(0.8, *(0.99 * value for value in GRIDS[0][1:]))
    drawn = {"images": "same", "scores": [0.0, 1.0] * (RESAMPLES // 2)}  # would be tied with every row
    add_entries([write(tmp_path / "a.json", protocol=BENCHMARK, scores=close, resamples=drawn)], tmp_path / "entries")
    assert {row.method: row.rank for row in build(tmp_path)[0].rows} == {"a": 1, "b": 1, "SegFormer-B5": 3, "c": 4}


def test_a_row_from_outside_changes_neither_the_title_nor_the_reference_of_our_table(
    board: Board, tmp_path: Path
) -> None:
    export_entries(board, tmp_path / "entries")
    claims = {"title": "WINNERS OF 2026", "keys": ["key-a"], "trained_in": "training"}
    file = write(tmp_path / "a.json", method="0 first", protocol=BENCHMARK, scores=read_cells(*GRIDS[2]), **claims)
    add_entries([file], tmp_path / "entries")
    table = build(tmp_path, reference="a")[0]
    assert table.title == board.tables[0].title
    assert table.reference == "a"
    assert all(row.scores["CD"].mean is not None for row in table.rows)


def test_a_reference_of_somebodys_word_is_refused(board: Board, tmp_path: Path) -> None:
    export_entries(board, tmp_path / "entries")
    add_entries([write(tmp_path / "mine.json")], tmp_path / "entries")
    with pytest.raises(SpecError, match="'SegFormer-B5' is self-reported: CD and mCE are relative to a reproduced row"):
        build(tmp_path, reference="SegFormer-B5")


def test_the_closed_gap_is_measured_again_between_the_stages_that_are_named(tmp_path: Path) -> None:
    means = {"source_only": 0.4, "adapted": 0.55, "oracle": 0.6}
    rows = [
        make_row(name, {"mIoU": give(mean)}, trained_in=name, provenance=PROVENANCE, resamples=RESAMPLED)
        for name, mean in means.items()
    ]
    gap = GapSettings(source="source_only", oracle="oracle")
    table = finish_table("Clean: cityscapes val", EVALUATION, rows, gap)
    export_entries(Board("byhand", "full", "t", False, (table,)), tmp_path / "entries")
    claim = write(tmp_path / "a.json", protocol=EVALUATION, trained_in="oracle", scores={"mIoU": 0.5})
    assert build(tmp_path, gap=gap) == (table,)
    add_entries([claim], tmp_path / "entries")
    (again,) = build(tmp_path, gap=gap)
    closed = {row.method: row.scores["gap closed"].mean for row in again.rows}
    assert closed == pytest.approx({"source_only": 0.0, "adapted": 0.75, "oracle": 1.0, "SegFormer-B5": 0.5})
    with pytest.raises(
        SpecError, match=r"--gap: unknown stage that trained a reproduced row 'orakel'. Did you mean 'oracle'"
    ):
        build(tmp_path, gap=GapSettings(source="source_only", oracle="orakel"))


def test_miniature_and_real_entries_are_never_one_page(board: Board, tmp_path: Path) -> None:
    export_entries(board, tmp_path / "real")
    export_entries(replace(board, miniature=True), tmp_path / "toy")
    assert build_board_of(read_entries([tmp_path / "toy"]), "x", "t").miniature
    with pytest.raises(SpecError, match="6 of 12 entries are of miniature data"):
        build_board_of(read_entries([tmp_path / "real", tmp_path / "toy"]), "x", "t")


def test_a_reference_that_nobody_is_called_by_is_named(board: Board, tmp_path: Path) -> None:
    export_entries(board, tmp_path)
    with pytest.raises(SpecError, match=r"no entry is called 'holes'. Did you mean 'hole'"):
        build_board_of(read_entries([tmp_path]), "x", "t", reference="holes")


def test_a_place_that_is_nowhere_is_named(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="there is no such file or folder"):
        read_entries([tmp_path / "nowhere"])
    assert read_entries([tmp_path]) == []


def test_every_wrong_file_of_a_folder_is_named_at_once(tmp_path: Path) -> None:
    for number in range(7):
        (tmp_path / f"{number}.json").write_text("[]")
    with pytest.raises(SpecError) as caught:
        read_entries([tmp_path])
    assert str(caught.value).count("an entry is one object") == 5
    assert "... and 2 more." in str(caught.value)


@pytest.mark.parametrize("count", [300, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])])
def test_thousands_of_entries_are_verified_and_built(tmp_path: Path, count: int) -> None:
    cells = [tuple(round(0.3 + ((n * k) % 251) / 600, 4) for k in (3, 5, 7, 11, 13, 17)) for n in range(count)]
    rows = [make_row(f"row {n}", make_grid(0.75, *grid), provenance=PROVENANCE) for n, grid in enumerate(cells)]
    table = Table("Corruptions", BENCHMARK, ("mPC",), (), tuple(rows))
    assert len(export_entries(Board("many", "full", "t", False, (table,)), tmp_path / "entries")) == count
    report = verify_entries([tmp_path / "entries"])
    assert (report.entries, report.tables, report.errors) == (count, 1, ())
    alike = Counter(cells)  # the numbers begin again after 251 rows
    doubled = sum(alike[grid] > 1 and len(set(grid)) >= 3 for grid in cells)
    assert sum("its cells equal those of" in warning for warning in report.warnings) == doubled > 90
    made = build_board_of(read_entries([tmp_path / "entries"]), "many", "t")
    means = [row.scores["mPC"].mean for row in made.tables[0].rows]
    assert means == sorted(means, reverse=True)
    assert to_csv(made).count("\n") == 1 + count * len(made.tables[0].columns)
    assert to_markdown(made).count("\n| ") >= 2 * count
