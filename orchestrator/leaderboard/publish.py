"""From a plan to its leaderboard: read the records, print the tables, write the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from adapt.errors import TaskError
from experiments.planning import Plan
from orchestrator.leaderboard.board import Board, build_board
from orchestrator.leaderboard.files import write_forms
from orchestrator.leaderboard.forms import print_board
from orchestrator.record import Record
from orchestrator.stages.counts_file import NAME as COUNTS
from orchestrator.store import Store

if TYPE_CHECKING:
    from rich.console import Console


def make_board(plan: Plan, store: Store) -> Board:
    """Return the leaderboard of a plan from the records in a store."""
    done = store.list_done()
    store.fetch_records(done & set(plan.graph.tasks))

    def find_record(key: str) -> Record | None:
        return store.read(key) if key in done else None

    def find_counts(key: str) -> Path | None:
        try:
            return store.verified_file(key, COUNTS)
        except TaskError:
            return None

    is_miniature = plan.facts.miniature_root is not None
    return build_board(plan.graph, find_record, miniature=is_miniature, find_counts=find_counts)


def publish(plan: Plan, store: Store, console: Console) -> tuple[Path, ...]:
    """Print the leaderboard and write its files; return them."""
    board = make_board(plan, store)
    print_board(board, console)
    files = write_forms(board, store.root / "leaderboards" / f"{plan.graph.name}-{plan.graph.variant}")
    for file in files:
        store.share(file)
        console.print(f"  {file}", highlight=False, soft_wrap=True)
    return files
