"""The detail columns of a table in groups that fold: by family of corruption, by class, by round, by what they cost."""

from __future__ import annotations

import re
from collections.abc import Sequence

from corruptions.catalog import corruption
from corruptions.errors import CorruptionError
from orchestrator.leaderboard.columns import NUMBERS

_CELL = re.compile(r"(?P<corruption>[^/]+)/(?P<severity>\d+)")

# Beginnings of the columns of streams that are neither a domain nor a cost -> their group.
_STREAM = (("round ", "by round"), ("ECE", "calibration"), ("purity", "reservoir"), ("TC", "video"), ("VC", "video"))


def group_columns(kind: str, columns: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return group -> columns, in the order of the first of each.

    Args:
        kind: of the table: `evaluate`, `benchmark` or `stream`.
        columns: its detail columns.
    """
    groups: dict[str, list[str]] = {}
    for column in columns:
        groups.setdefault(_name_group(kind, column), []).append(column)
    return {group: tuple(members) for group, members in groups.items()}


def split_cell(column: str) -> tuple[str, int] | None:
    """Return the corruption and the severity that a column is a cell of; None where it is none."""
    match = _CELL.fullmatch(column)
    return (match["corruption"], int(match["severity"])) if match else None


def find_family(name: str) -> str:
    """Return the family of a corruption; `other` where the catalogue does not know it, as in a row from outside."""
    try:
        return corruption(name).family
    except CorruptionError:
        return "other"


def _name_group(kind: str, column: str) -> str:
    if column in NUMBERS:
        return "cost"
    if column.startswith("IoU/"):
        return "by class"
    if column.startswith("CD/"):
        return "CD by corruption"
    if kind == "stream":
        return next((group for start, group in _STREAM if column.startswith(start)), "other")
    cell = split_cell(column)
    return "other" if cell is None else find_family(cell[0])
