"""From a plan to its leaderboard: read the records, print the tables, write the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.planning import Plan
from orchestrator.leaderboard.board import Board, build_board
from orchestrator.leaderboard.files import write_forms
from orchestrator.leaderboard.forms import print_board
from orchestrator.leaderboard.page.pictures import FindPicture
from orchestrator.leaderboard.row import Picture
from orchestrator.leaderboard.source import RecordSource, StoreSource
from orchestrator.store import Store

if TYPE_CHECKING:
    from rich.console import Console


def make_board(plan: Plan, source: RecordSource) -> Board:
    """Return the leaderboard of a plan from the records that a source has."""
    return build_board(plan.graph, source, miniature=plan.facts.miniature_root is not None)


def publish(plan: Plan, store: Store, console: Console) -> tuple[Path, ...]:
    """Print the leaderboard and write its files into the store; return them."""
    source = StoreSource(store, set(plan.graph.tasks))
    board = make_board(plan, source)
    print_board(board, console)
    folder = store.root / "leaderboards" / f"{plan.graph.name}-{plan.graph.variant}"
    files = write_forms(board, folder, look_in(source))
    for file in files:
        store.share(file)
    list_files(files, console)
    return files


def look_in(source: RecordSource) -> FindPicture:
    """Return what finds the pictures of rows in a source."""

    def find_picture(picture: Picture, panel: str) -> Path | None:
        return source.find_file(picture.key, picture.files[panel])

    return find_picture


def list_files(files: tuple[Path, ...], console: Console) -> None:
    """Print the paths of files, each whole on a line of its own."""
    for file in files:
        console.print(f"  {file}", highlight=False, soft_wrap=True)
