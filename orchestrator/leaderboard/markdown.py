"""A leaderboard as Markdown that can stand in a README: shares in percent, details folded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.forms import (
    MINIATURE_NOTICE,
    list_notes,
    show_entry,
    show_interval,
    show_ranks,
    show_score,
    show_seeds,
)
from orchestrator.leaderboard.table import Table

MOST_DETAILS = 3  # columns of details that need no folding; ours


def to_markdown(board: Board, page: str | None = None) -> str:
    """Return a leaderboard as Markdown.

    Args:
        board: the leaderboard.
        page: where the page with all details lies, to be linked; None links nothing.
    """
    lines = [f"# {escape(board.experiment)} ({escape(board.profile)} profile)", "", escape(board.title), ""]
    if board.overrides:
        overrides = " ".join(board.overrides).replace("`", "'")
        lines += [f"Changed by overrides: `{overrides}`", ""]
    if board.miniature:
        lines += [f"> **{MINIATURE_NOTICE}**", ""]
    if page is not None:
        lines += [
            f"[The page]({page}) sorts and filters, and a row opens to its details and the command behind it.",
            "",
        ]
    for table in board.tables:
        lines += [f"## {escape(table.title)}", ""]
        lines += _to_lines(table, [column for column in table.columns if column not in table.details])
        lines += ["", *_fold_details(table), *(f"- {escape(note)}." for note in list_notes(table)), ""]
    return "\n".join(lines).rstrip() + "\n"


def escape(text: str) -> str:
    r"""Return a text that Markdown shows as it is: no cell ends, no link, tag or emphasis begins in it.

    Example:
        >>> escape("a|b <i> [x](y)")
        'a\\|b &lt;i> \\[x\\](y)'
    """
    plain = " ".join(text.split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\|`*\[\]])", r"\\\1", plain)


def _fold_details(table: Table) -> list[str]:
    if not table.details:
        return []
    lines = _to_lines(table, table.details)
    if len(table.details) <= MOST_DETAILS:
        return [*lines, ""]
    return [f"<details><summary>{len(table.details)} more scores</summary>", "", *lines, "", "</details>", ""]


def _to_lines(table: Table, columns: Sequence[str]) -> list[str]:
    names = " | ".join(escape(column) for column in columns)
    lines = [f"| # | entry | seeds | {names} |", "|---:|---|---:|" + "---:|" * len(columns)]
    for rank, row in zip(show_ranks(table.rows), table.rows, strict=True):
        scores = [(row.scores.get(column), column) for column in columns]
        cells = [" ".join(filter(None, (show_score(*each), show_interval(*each)))) for each in scores]
        fixed = f"{rank} | {escape(show_entry(row))} | {show_seeds(row)}"
        lines.append(f"| {fixed} | {' | '.join(cells)} |")
    return lines
