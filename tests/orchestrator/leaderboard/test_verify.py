"""A folder of entries is verified: what cannot be true is an error, what should be looked at a warning."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.entries import export_entries
from orchestrator.leaderboard.entry import name_file, parse_entry
from orchestrator.leaderboard.row import Row
from orchestrator.leaderboard.table import Table
from orchestrator.leaderboard.verify import Report, verify_entries
from tests.orchestrator.leaderboard.rows import BENCHMARK, PROVENANCE, RESAMPLED, give, make_grid, make_row

GRID = (0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3)
OTHER = (0.7, 0.3, 0.2, 0.5, 0.4, 0.6, 0.4)


def export(folder: Path, *rows: Row) -> list[Path]:
    own = tuple(replace(row, provenance=PROVENANCE, resamples=RESAMPLED) for row in rows)
    return list(export_entries(Board("b", "full", "t", False, (Table("t", BENCHMARK, ("mPC",), (), own),)), folder))


def edit(file: Path, **changes: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_sound_entries_pass(tmp_path: Path) -> None:
    export(tmp_path, make_row("a", make_grid(*GRID)), make_row("b", make_grid(*OTHER)))
    assert verify_entries([tmp_path]) == Report(2, 1, (), ())


@pytest.mark.parametrize(
    ("scores", "errors", "warnings"),
    [
        (make_grid(*GRID) | {"mPC": give(0.43)}, ["mPC is 43.00, but its cells give 40.00"], []),
        (make_grid(*OTHER), [], ["its cells equal those of 'other'"]),
        (make_grid(0.7, *(0.02, 0.021) * 3), [], ["near chance on nearly all: 3 of 3"]),
        (make_grid(0.5, 0.2, 0.1, 0.6, 0.5, 0.54, 0.3), [], ["far above clean (50.00): fog/1 60.00"]),
    ],
)
def test_known_errors_of_published_leaderboards_are_found(
    tmp_path: Path, scores: dict[str, Any], errors: list[str], warnings: list[str]
) -> None:
    file, _ = export(tmp_path, make_row("a", scores), make_row("other", make_grid(*OTHER)))
    report = verify_entries([tmp_path])
    own = [text for text in report.warnings if str(file) in text]
    assert len(report.errors) == len(errors)
    assert all(text.startswith(f"{file}: {said}") for text, said in zip(report.errors, errors, strict=True))
    assert len(own) == len(warnings)
    assert all(said in text for text, said in zip(own, warnings, strict=True))


def test_a_key_that_stands_there_twice_is_an_error_and_the_others_are_checked(tmp_path: Path) -> None:
    file, _ = export(tmp_path, make_row("a", make_grid(*GRID)), make_row("b", make_grid(*OTHER)))
    file.write_text(file.read_text().replace('"fog/2": {', '"fog/1": {'))
    report = verify_entries([tmp_path])
    assert report.entries == 1
    assert report.errors == (f"{file}: scores.fog/1: this key stands there twice: remove one of the two.",)


def test_copies_and_renamed_files_are_errors(tmp_path: Path) -> None:
    (file,) = export(tmp_path, make_row("a", make_grid(*GRID)))
    (tmp_path / "copy.json").write_text(file.read_text())
    report = verify_entries([tmp_path])
    assert len(report.errors) == 2
    assert "is there 2 times" in report.errors[0]
    assert f"is to be called {file.name}" in report.errors[1]


def test_an_edited_name_no_longer_fits_its_file(tmp_path: Path) -> None:
    (file,) = export(tmp_path, make_row("a", make_grid(*GRID)))
    edit(file, method="better than a")
    (error,) = verify_entries([file]).errors
    assert "this entry is to be called better-than-a-" in error


SELF_REPORTED: dict[str, Any] = {
    "method": "X",
    "protocol": {"kind": "evaluate", "dataset": "cityscapes", "split": "val"},
    "scores": {"mIoU": 0.8},
}


def place(folder: Path, **changes: Any) -> Path:
    """Put an entry among others by hand, under the name that it is to have."""
    text = json.dumps(SELF_REPORTED | changes)
    file = folder / name_file(parse_entry(text, "x"))
    file.write_text(text)
    return file


@pytest.mark.parametrize("source", [None, "", "  "])
def test_a_row_of_nobody_is_an_error_also_where_it_was_not_added(tmp_path: Path, source: str | None) -> None:
    file = place(tmp_path, provenance={"source": source})
    assert verify_entries([tmp_path]).errors == (
        f"{file}: provenance.source: say where the numbers come from: a paper, a page, a person.",
    )


@pytest.mark.parametrize("lacking", [{"keys": []}, {"provenance": {"command": "x"}}, {"provenance": None}])
def test_a_row_that_calls_itself_reproduced_names_its_tasks_and_its_experiment(
    tmp_path: Path, lacking: dict[str, Any]
) -> None:
    (file,) = export(tmp_path, make_row("a", make_grid(*GRID)))
    edit(file, **lacking)
    (error,) = verify_entries([tmp_path]).errors
    assert error.startswith(f"{file}: status: 'reproduced', but without the tasks")


def test_a_reproduced_row_without_resamples_is_to_be_looked_at(tmp_path: Path) -> None:
    (file,) = export(tmp_path, make_row("a", make_grid(*GRID)))
    edit(file, resamples=None)
    report = verify_entries([tmp_path])
    assert report.errors == ()
    assert report.warnings == (f"{file}: reproduced, but without the resamples by which ranks are compared.",)


@pytest.mark.parametrize(
    "broken",
    [
        '{"a":' * 700 + "1" + "}" * 700,
        '{"schema_version": ' + "1" * 5000 + "}",
        json.dumps(SELF_REPORTED | {"scores": {"mIoU": {"values": [10**400]}}}),
        json.dumps(SELF_REPORTED | {"protocol": {**BENCHMARK, "cells": [[["a"], 1]]}}),
        json.dumps(SELF_REPORTED | {"protocol": {**BENCHMARK, "shifts": 5}}),
    ],
)
def test_a_broken_file_does_not_hide_what_is_wrong_with_another(tmp_path: Path, broken: str) -> None:
    sound = export(tmp_path, make_row("a", make_grid(*GRID) | {"mPC": give(0.43)}))[0]
    (tmp_path / "broken.json").write_text(broken)
    errors = verify_entries([tmp_path]).errors
    assert len(errors) == 2
    assert errors[0].startswith(f"{tmp_path / 'broken.json'}: ")
    assert errors[1].startswith(f"{sound}: mPC is 43.00")
