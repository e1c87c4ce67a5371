"""`segshift leaderboard`: every form, several experiments, and the actions on entries."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import join_action
from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.entries import export_entries
from orchestrator.leaderboard.table import Table
from orchestrator.mlflow_server import default_uri
from tests.orchestrator.leaderboard.rows import BENCHMARK, PROVENANCE, RESAMPLED, make_grid, make_row

TINY = Path(__file__).parents[1] / "tiny.yaml"
NAMES = ["leaderboard.csv", "leaderboard.html", "leaderboard.json", "leaderboard.md", "leaderboard.tex"]
OUTSIDE: dict[str, Any] = {
    "method": "SegFormer-B5",
    "provenance": {"source": "A. Author, 2025"},
    "protocol": {"kind": "evaluate", "dataset": "cityscapes", "split": "val"},
    "scores": {"mIoU": 0.824},
}


def export(folder: Path) -> list[Path]:
    grid = make_grid(0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3)
    rows = (make_row("a", grid, provenance=PROVENANCE, resamples=RESAMPLED),)
    return list(export_entries(Board("b", "full", "t", False, (Table("t", BENCHMARK, ("mPC",), (), rows),)), folder))


def test_every_form_can_be_piped(segshift) -> None:
    done = {
        form: segshift("leaderboard", TINY, "--form", form) for form in ("html", "markdown", "csv", "json", "latex")
    }
    assert {outcome.code for outcome in done.values()} == {1}  # nothing has run yet
    assert done["html"].out.startswith("<!doctype html>")
    assert done["markdown"].out.startswith("# tiny")
    assert next(csv.reader(io.StringIO(done["csv"].out)))[0] == "experiment"
    assert json.loads(done["json"].out)["experiment"] == "tiny"
    assert r"\begin{tabular}" in done["latex"].out


def test_files_go_where_they_are_wanted_and_not_into_the_store(segshift, tmp_path: Path) -> None:
    done = segshift("leaderboard", TINY, "--output", "board")
    assert done.code == 1
    assert sorted(file.name for file in (tmp_path / "board").iterdir()) == NAMES
    assert not (tmp_path / "store" / "leaderboards").exists()
    segshift("leaderboard", TINY, "--output", "one", "--form", "latex")
    assert [file.name for file in (tmp_path / "one").iterdir()] == ["leaderboard.tex"]


def test_several_experiments_have_folders_of_their_own_and_one_page(segshift, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    shutil.copy(TINY, other)
    done = segshift("leaderboard", TINY, "--output", "board", other)
    (said,) = done.err.splitlines()
    assert said.endswith("holds no result yet. `segshift sweep` makes some; --store names another.")
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    folders = sorted(folder.name for folder in (tmp_path / "board").iterdir() if folder.is_dir())
    assert len(folders) == 2
    assert sorted(file.name for file in (tmp_path / "board" / folders[0]).iterdir()) == NAMES
    assert "tiny" in page
    assert "other" in page
    again = segshift("leaderboard", TINY, TINY)
    assert (again.code, "this experiment is named twice" in again.err) == (2, True)


def test_an_experiment_without_results_exports_nothing_and_says_so(segshift, tmp_path: Path) -> None:
    done = segshift("leaderboard", "export", TINY, "--entries", "entries")
    assert done.code == 1
    assert "0 entries; 6 rows have no result yet" in done.out
    assert not (tmp_path / "entries").exists()


def test_a_row_from_outside_is_added_verified_and_shown(segshift, tmp_path: Path) -> None:
    export(tmp_path / "entries")
    (tmp_path / "mine.json").write_text(json.dumps(OUTSIDE))
    added = segshift("leaderboard", "add", "mine.json", "--entries", "entries")
    assert (added.code, added.err) == (0, "")
    verified = segshift("leaderboard", "verify", "entries")
    assert (verified.code, verified.out) == (0, "2 entries of 2 protocols: 0 errors, 0 warnings\n")
    built = segshift(
        "leaderboard", "build", "entries", "--output", "board", "--title", "Ours and others'", "--reference", "a"
    )
    assert (built.code, built.err) == (0, "")
    assert sorted(file.name for file in (tmp_path / "board").iterdir()) == NAMES
    page = (tmp_path / "board" / "leaderboard.html").read_text()
    assert "SegFormer-B5" in page
    assert "GTA to Cityscapes val" in page  # what papers report on the same data
    lines = (tmp_path / "board" / "leaderboard.md").read_text().splitlines()
    assert "| 1 | SegFormer-B5 (self-reported) | 1 | 82.4 |" in lines
    gapless = segshift("leaderboard", "build", "entries", "--output", "board", "--gap", "training", "oracle")
    assert (gapless.code, "unknown stage that trained a reproduced row 'oracle'" in gapless.err) == (2, True)


def test_errors_have_exit_codes_and_are_printed_whole(segshift, tmp_path: Path) -> None:
    (file,) = export(tmp_path / "entries")
    data = json.loads(file.read_text())
    data["scores"]["mPC"] = 0.43
    file.write_text(json.dumps(data))
    verified = segshift("leaderboard", "verify", "entries")
    assert verified.code == 1
    assert (
        f"error: entries/{file.name}: mPC is 43.00, but its cells give 40.00: mend the one that is wrong."
        in verified.out
    )
    (tmp_path / "bad.json").write_text(json.dumps({**OUTSIDE, "scores": {"mIoU": 103}}))
    added = segshift("leaderboard", "add", "bad.json", "--entries", "entries")
    assert added.code == 2
    assert "bad.json: scores.mIoU.mean: 103 is impossible: neither a share nor a percentage." in added.err
    assert len(list((tmp_path / "entries").iterdir())) == 1


def test_warnings_fail_only_where_that_is_wanted(segshift, tmp_path: Path) -> None:
    rows = (make_row("a", make_grid(0.7, *(0.02, 0.021) * 3), provenance=PROVENANCE, resamples=RESAMPLED),)
    export_entries(Board("b", "full", "t", False, (Table("t", BENCHMARK, ("mPC",), (), rows),)), tmp_path / "entries")
    assert segshift("leaderboard", "verify", "entries").code == 0
    strict = segshift("leaderboard", "verify", "entries", "--strict")
    assert strict.code == 1
    assert "warning: " in strict.out


def test_every_form_from_an_mlflow_server_equals_that_from_the_store(segshift, mirrored, tiny: Path) -> None:
    store, _, _ = mirrored
    for form in ("json", "csv", "html"):
        here = segshift("leaderboard", tiny, "--store", store.root, "--form", form)
        there = segshift("leaderboard", tiny, "--mlflow", default_uri(store), "--form", form)
        assert (there.code, there.err) == (0, "")
        assert there.out == here.out
        assert here.out.count("daformer") > 1
    nowhere = segshift("leaderboard", tiny, "--mlflow")
    assert (nowhere.code, "no MLflow server is named" in nowhere.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "joined"),
    [
        (["leaderboard", "add", "a"], ["leaderboard add", "a"]),
        (["--verbose", "leaderboard", "verify"], ["--verbose", "leaderboard verify"]),
        (["leaderboard", "gta2cityscapes"], ["leaderboard", "gta2cityscapes"]),
        (["store", "verify"], ["store", "verify"]),
        (["leaderboard"], ["leaderboard"]),
        ([], []),
    ],
)
def test_an_action_is_told_from_an_experiment(words: list[str], joined: list[str]) -> None:
    assert join_action(words) == joined


@pytest.mark.parametrize("action", ["export", "add", "verify", "build", "schema"])
def test_every_action_has_help(segshift, action: str) -> None:
    done = segshift("leaderboard", action, "--help")
    assert done.code == 0
    assert f"segshift leaderboard {action}" in done.out
