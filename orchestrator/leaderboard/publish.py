"""From a plan to its leaderboard: read the records, print the tables, write the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from experiments.planning import Plan
from orchestrator.leaderboard.board import Board, build_board
from orchestrator.leaderboard.forms import print_board, write_forms
from orchestrator.leaderboard.source import RecordSource, StoreSource
from orchestrator.store import Store

if TYPE_CHECKING:
    from rich.console import Console


def make_board(plan: Plan, source: RecordSource) -> Board:
    """Return the leaderboard of a plan from the records that a source has."""
    return build_board(plan.graph, source, miniature=plan.facts.miniature_root is not None)


def publish(plan: Plan, store: Store, console: Console) -> tuple[Path, ...]:
    """Print the leaderboard and write its files; return them."""
    board = make_board(plan, StoreSource(store, set(plan.graph.tasks)))
    print_board(board, console)
    files = write_forms(board, store.root / "leaderboards" / f"{plan.graph.name}-{plan.graph.variant}")
    for file in files:
        store.share(file)
        console.print(f"  {file}", highlight=False, soft_wrap=True)
    return files
