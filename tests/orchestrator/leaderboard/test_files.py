"""A folder holds every form of a leaderboard, each written whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.files import FORMS, choose_context, write_forms, write_page
from orchestrator.leaderboard.table import Table
from tests.orchestrator.leaderboard.rows import EVALUATION, STREAM, give, make_row


def test_files_are_written_whole(tmp_path: Path) -> None:
    table = Table("Clean", EVALUATION, ("mIoU",), (), (make_row("a", {"mIoU": give(0.5)}),))
    board = Board("byhand", "full", "A question", False, (table,))
    files = write_forms(board, tmp_path / "a" / "b")
    assert [file.name for file in files] == [f"leaderboard.{ending}" for ending in ("html", "md", "csv", "json", "tex")]
    assert [file.read_text() for file in files] == [write_page([board]), *(write(board) for _, write in FORMS.values())]
    assert len(list((tmp_path / "a" / "b").iterdir())) == 5
    assert "(leaderboard.html)" in files[1].read_text()


def test_what_papers_report_on_the_same_data_is_context_and_never_of_miniature_data() -> None:
    tables = (Table("Clean", EVALUATION, ("mIoU",), (), ()), Table("Stream", STREAM, ("mean mIoU",), (), ()))
    board = Board("byhand", "full", "A question", False, tables)
    assert {(table.kind, table.dataset) for table in choose_context([board])} == {
        ("evaluate", "cityscapes"), ("stream", "acdc"),
    }  # fmt: skip
    assert choose_context([replace(board, miniature=True)]) == ()
    assert "GTA to Cityscapes val" in write_page([board])
