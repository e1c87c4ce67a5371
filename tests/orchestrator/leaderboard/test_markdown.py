"""Markdown for a README: notes, status, intervals and shared ranks, and no name that breaks out of its cell."""

from __future__ import annotations

from dataclasses import replace

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.forms import SELF_REPORTED_NOTE
from orchestrator.leaderboard.markdown import escape, to_markdown
from orchestrator.leaderboard.row import Score
from orchestrator.leaderboard.table import Table
from tests.orchestrator.leaderboard.rows import make_row


def build_board(*rows, details: tuple[str, ...] = ()) -> Board:
    table = Table("Clean", {"kind": "evaluate"}, ("mIoU", *details), details, rows)
    return Board("byhand", "full", "A question", False, (table,))


def test_an_interval_stands_behind_its_score() -> None:
    row = replace(make_row("a", {"mIoU": Score(0.6831, 0.0042, (0.68, 0.686), None, 0.671, 0.6944)}), rank=1)
    assert "| 1 | a | 1 | 68.3 ± 0.4 [67.1, 69.4] |" in to_markdown(build_board(row)).splitlines()


def test_rows_that_share_a_rank_say_so() -> None:
    scores = {"mIoU": Score(0.5, None, (0.5,))}
    rows = [replace(make_row(name, scores), rank=rank) for name, rank in (("a", 1), ("b", 1), ("c", 3))]
    lines = to_markdown(build_board(*rows)).splitlines()
    assert [line.split(" | ")[0] for line in lines if line.endswith("| 50.0 |")] == ["| 1=", "| 1=", "| 3"]


def test_a_self_reported_row_is_marked_and_explained() -> None:
    row = replace(make_row("a", {"mIoU": Score(0.5, None, (0.5,))}), rank=1, status="self-reported")
    text = to_markdown(build_board(row))
    assert "| 1 | a (self-reported) | 1 | 50.0 |" in text
    assert f"- {SELF_REPORTED_NOTE}." in text.splitlines()
    assert SELF_REPORTED_NOTE not in to_markdown(build_board(replace(row, status="reproduced")))


def test_a_warning_is_a_note() -> None:
    row = replace(make_row("a", {}), warnings=("its cells equal those of 'b'",))
    assert "- a: warning: its cells equal those of 'b'." in to_markdown(build_board(row)).splitlines()


def test_no_name_ends_its_cell_or_begins_a_link() -> None:
    hostile = "x | y\n| <img src=x> ![p](http://a.b)"
    row = replace(make_row(hostile, {"mIoU": Score(0.5, None, (0.5,))}), rank=1)
    (line,) = [line for line in to_markdown(build_board(row)).splitlines() if line.startswith("| 1 |")]
    assert line == r"| 1 | x \| y \| &lt;img src=x> !\[p\](http://a.b) | 1 | 50.0 |"
    assert escape("a*b*`c`\\|") == r"a\*b\*\`c\`\\\|"


def test_the_page_is_linked_where_there_is_one() -> None:
    board = build_board(make_row("a", {}))
    assert "(leaderboard.html)" in to_markdown(board, "leaderboard.html")
    assert "leaderboard.html" not in to_markdown(board)


def test_many_details_are_folded_and_few_are_not() -> None:
    row = make_row("a", {})
    assert "<details>" not in to_markdown(build_board(row, details=("IoU/a",)))
    text = to_markdown(build_board(row, details=tuple(f"IoU/{name}" for name in "abcd")))
    assert "<details><summary>4 more scores</summary>\n\n| # |" in text
    assert text.count("</details>") == 1
