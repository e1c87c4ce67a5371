"""A table of a leaderboard: the rows of one protocol, compared and ranked among each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from experiments.schema import GapSettings
from orchestrator.leaderboard.checks import find_warnings
from orchestrator.leaderboard.columns import MAIN, is_detail
from orchestrator.leaderboard.gap import add_gaps
from orchestrator.leaderboard.ranking import rank_rows
from orchestrator.leaderboard.reference import Sought, add_degradations
from orchestrator.leaderboard.row import Row


@dataclass(frozen=True)
class Table:
    """The rows of one protocol, best first; `columns[0]` is the score that ranks.

    `details` are the columns that are one cell of a corruption grid, or one class, each; the others fit a terminal.
    `reference` is the entry that CD, rCD, mCE and relative mCE are relative to; None where there are none.
    """

    title: str
    protocol: dict[str, Any]
    columns: tuple[str, ...]
    details: tuple[str, ...]
    rows: tuple[Row, ...]
    reference: str | None = None


def finish_table(
    title: str,
    protocol: dict[str, Any],
    rows: Sequence[Row],
    gap: GapSettings | None = None,
    sought: Sought | None = None,
) -> Table:
    """Compare the rows of one protocol with each other, check and rank them.

    Args:
        title: of the table.
        protocol: see `orchestrator.protocol`.
        rows: with the scores of their own records.
        gap: the stages between which the closed gap is measured, or None.
        sought: the reference of CD, rCD, mCE and relative mCE, or None.

    Returns:
        The table.
    """
    kind, compared, reference = protocol["kind"], list(rows), None
    main = MAIN[kind]
    if gap is not None:
        compared = add_gaps(compared, main, gap)
    if sought is not None and kind == "benchmark":
        compared, reference = add_degradations(compared, sought)
    found = find_warnings(compared, protocol)
    compared = [replace(row, warnings=(*row.warnings, *new)) for row, new in zip(compared, found, strict=True)]
    columns = tuple(dict.fromkeys((main, *(name for row in compared for name in row.scores))))
    details = tuple(name for name in columns if is_detail(kind, name))
    summary = tuple(name for name in columns if name not in details)
    return Table(title, protocol, (*summary, *details), details, rank_rows(compared, main), reference)
