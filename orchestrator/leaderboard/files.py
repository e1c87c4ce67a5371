"""The files of a leaderboard: one for each form, side by side in a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from adapt.atomic import write_atomically
from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.forms import to_csv, to_json
from orchestrator.leaderboard.latex import to_latex
from orchestrator.leaderboard.markdown import to_markdown

STEM = "leaderboard"

# Form -> the end of its file's name, and what writes it.
FORMS: dict[str, tuple[str, Callable[[Board], str]]] = {
    "markdown": ("md", to_markdown),
    "csv": ("csv", to_csv),
    "json": ("json", to_json),
    "latex": ("tex", to_latex),
}


def write_forms(board: Board, folder: Path) -> tuple[Path, ...]:
    """Write every form of a leaderboard into a folder; return the files."""
    return tuple(write_form(board, folder, form) for form in FORMS)


def write_form(board: Board, folder: Path, form: str) -> Path:
    """Write one form of a leaderboard into a folder; return the file."""
    folder.mkdir(parents=True, exist_ok=True)
    ending, write = FORMS[form]
    file = folder / f"{STEM}.{ending}"
    write_atomically(file, write(board))
    return file
