"""The files of a leaderboard: one for each form, side by side in a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from adapt.atomic import write_atomically
from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.forms import to_csv, to_json
from orchestrator.leaderboard.html import find_no_picture, to_html
from orchestrator.leaderboard.latex import to_latex
from orchestrator.leaderboard.markdown import to_markdown
from orchestrator.leaderboard.page.pictures import FindPicture
from orchestrator.leaderboard.published import PublishedTable, choose_published

PAGE = "leaderboard.html"

# Form -> its file, and what writes it; the page comes beside them and shows several leaderboards if need be.
FORMS: dict[str, tuple[str, Callable[[Board], str]]] = {
    "markdown": ("leaderboard.md", lambda board: to_markdown(board, PAGE)),
    "csv": ("leaderboard.csv", to_csv),
    "json": ("leaderboard.json", to_json),
    "latex": ("leaderboard.tex", to_latex),
}


def write_forms(board: Board, folder: Path, find_picture: FindPicture = find_no_picture) -> tuple[Path, ...]:
    """Write every form of a leaderboard into a folder; return the files, the page first."""
    texts = {PAGE: write_page([board], find_picture)}
    texts |= {name: write(board) for name, write in FORMS.values()}
    return tuple(write_file(folder / name, text) for name, text in texts.items())


def write_page(boards: Sequence[Board], find_picture: FindPicture = find_no_picture) -> str:
    """Return leaderboards as one page, with what papers report on the same data beside them."""
    return to_html(boards, choose_context(boards), find_picture)


def choose_context(boards: Sequence[Board]) -> tuple[PublishedTable, ...]:
    """Return the published tables of the kinds of protocol and data sets that leaderboards of real data have."""
    pairs = set()
    for table in (table for board in boards if not board.miniature for table in board.tables):
        datasets = [*table.protocol.get("datasets", {}).values(), table.protocol.get("dataset", {})]
        pairs |= {(str(table.protocol["kind"]), str(dataset.get("type"))) for dataset in datasets}
    return choose_published(pairs)


def write_file(file: Path, text: str) -> Path:
    """Write a file whole, and the folders that it lies in where they are missing; return it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(file, text)
    return file
