"""A folder holds every form of a leaderboard, each written whole."""

from __future__ import annotations

from pathlib import Path

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.files import FORMS, write_forms
from orchestrator.leaderboard.table import Table
from tests.orchestrator.leaderboard.rows import EVALUATION, give, make_row


def test_files_are_written_whole(tmp_path: Path) -> None:
    table = Table("Clean", EVALUATION, ("mIoU",), (), (make_row("a", {"mIoU": give(0.5)}),))
    board = Board("byhand", "full", "A question", False, (table,))
    files = write_forms(board, tmp_path / "a" / "b")
    assert [file.name for file in files] == [f"leaderboard.{ending}" for ending in ("md", "csv", "json", "tex")]
    assert [file.read_text() for file in files] == [write(board) for _, write in FORMS.values()]
    assert len(list((tmp_path / "a" / "b").iterdir())) == 4
