"""Leaderboards as one HTML file that opens from disk: tables that sort and fold, and rows that open."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.forms import MINIATURE_NOTICE
from orchestrator.leaderboard.page.pictures import FindPicture, fill_album
from orchestrator.leaderboard.page.render import render_page
from orchestrator.leaderboard.page.section import KINDS, STATUS, describe_data, describe_table
from orchestrator.leaderboard.row import Picture

if TYPE_CHECKING:
    from orchestrator.leaderboard.published import PublishedTable


def find_no_picture(picture: Picture, panel: str) -> Path | None:
    """Find nothing: a page without pictures."""
    return None


def to_html(
    boards: Sequence[Board], published: Sequence[PublishedTable] = (), find_picture: FindPicture = find_no_picture
) -> str:
    """Return leaderboards as one self-contained page.

    A table is a section: two protocols are never one ranking. The tables are readable without a script; with it they
    sort, filter and fold, and a row opens to its curves, heat maps, pictures and provenance.

    Args:
        boards: of any experiments and profiles.
        published: scores from papers, shown below as context and never ranked with the rows.
        find_picture: finds the file of a picture's panel; the default shows none.
    """
    album = fill_album([table.rows for board in boards for table in board.tables], find_picture)
    sections = [
        {
            "name": _name_board(board, boards),
            "title": board.title,
            "profile": board.profile,
            "miniature": board.miniature,
            "overrides": board.overrides,
            "tables": [describe_table(_name_board(board, boards), table) for table in board.tables],
        }
        for board in boards
    ]
    data = [describe_data(_name_board(board, boards), table, album) for board in boards for table in board.tables]
    return render_page(
        "leaderboard.html.j2",
        styles=("leaderboard.css",),
        scripts=("leaderboard.js", "opened.js"),
        boards=sections,
        published=[_describe_published(table) for table in published],
        filters=_list_filters(boards, data),
        data={"tables": data, "images": album.images},
        notice=MINIATURE_NOTICE,
        left_out=sum(album.left_out.values()),
    )


def _name_board(board: Board, boards: Sequence[Board]) -> str:
    """Return the experiment, and its profile where another board is of the same experiment."""
    alone = sum(other.experiment == board.experiment for other in boards) == 1
    return board.experiment if alone else f"{board.experiment} ({board.profile})"


def _list_filters(boards: Sequence[Board], data: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the lists to choose from that have anything to choose: key, label, and (value, text) of each choice."""
    tables = [table for board in boards for table in board.tables]
    rows = [row for table in tables for row in table.rows]
    kinds = {str(table.protocol.get("kind", "")) for table in tables}
    choices = {
        "kind": ("Protocol", [(kind, KINDS.get(kind, kind)) for kind in sorted(kinds)]),
        "table": (
            "Table",
            [(str(item["id"]), table.title) for item, table in zip(data, tables, strict=True)],
        ),
        "data": ("Data set", _pair(name for item in data for name in item["data"])),
        "architecture": ("Architecture", _pair(row.architecture for row in rows)),
        "method": ("Method", _pair(name for row in rows for name in (row.method, row.adaptation))),
        "status": ("Status", [(status, STATUS[status]) for status in sorted({row.status for row in rows})]),
    }
    return [{"key": k, "label": label, "choices": found} for k, (label, found) in choices.items() if len(found) > 1]


def _pair(names: Any) -> list[tuple[str, str]]:
    return [(name, name) for name in sorted({name for name in names if name}, key=str.lower)]


def _describe_published(table: PublishedTable) -> dict[str, Any]:
    """Return a table from a paper as text; the best of no column is marked, for nothing here was measured by us."""
    rows = [
        {"name": row.name, "values": ["–" if value is None else f"{value:g}" for value in row.values]}
        for row in table.rows
    ]
    return {
        "title": table.title,
        "kind": KINDS.get(table.kind, table.kind),
        "dataset": table.dataset,
        "source": table.source,
        "url": table.url,
        "columns": table.columns,
        "rows": rows,
        "note": table.note,
    }
