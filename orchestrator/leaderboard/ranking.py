"""The ranks of a table: best first, and one rank for rows that cannot be told apart.

A row shares the rank of the best row of its group unless a paired bootstrap over images tells the two apart: the 95 %
interval of their difference leaves 0 out. Ranks therefore never run against the scores, and a long chain of close rows is
not one group: each is compared with the group's best. Rows that counted different images, or kept no counts of them,
share a rank only where their scores are equal. A row with a hole, in a run or in a cell, is not ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from adapt.scores.bootstrap import give_interval
from orchestrator.leaderboard.row import Row


def rank_rows(rows: Sequence[Row], main: str) -> tuple[Row, ...]:
    """Order rows best first, and unranked ones last with a reason.

    Args:
        rows: of one table.
        main: the column that ranks; more is better.

    Returns:
        New rows.
    """
    ranked: list[Row] = []
    best: Row | None = None  # of the group that shares a rank
    judged = [row for row in rows if _is_complete(row, main)]
    for row in sorted(judged, key=lambda row: -(_read(row, main) or 0.0)):
        if best is None or not are_tied(best, row, main):
            best = replace(row, rank=len(ranked) + 1)
        ranked.append(replace(row, rank=best.rank))
    return (*ranked, *(_explain(row, main) for row in rows if not _is_complete(row, main)))


def are_tied(first: Row, second: Row, main: str) -> bool:
    """Say whether two ranked rows cannot be told apart by the score that ranks them."""
    if _read(first, main) == _read(second, main):
        return True
    one, other = first.resamples, second.resamples
    if one is None or other is None or one.images != other.images or len(one.scores) != len(other.scores):
        return False
    difference = (_read(first, main) or 0.0) - (_read(second, main) or 0.0)
    resampled = np.array(one.scores, np.float64) - np.array(other.scores, np.float64)
    if np.isnan(resampled).all():
        return False
    _, low, high = give_interval(np.array([difference, *resampled]))
    return low <= 0.0 <= high


def _is_complete(row: Row, main: str) -> bool:
    """Say whether a row can be ranked: it has its score, no run without one, and no reason against it, whatever it states."""
    return row.reason is None and _read(row, main) is not None and None not in row.scores[main].values


def _read(row: Row, main: str) -> float | None:
    return row.scores[main].mean if main in row.scores else None


def _explain(row: Row, main: str) -> Row:
    """Give an unranked row a reason where it has none: its runs are there, but a score that ranks them is not."""
    lacking = sum(score is None for score in row.scores[main].values) if main in row.scores else row.runs
    reason = row.reason or f"{lacking} of {row.runs} runs have no {main}: a cell that it needs is missing or empty"
    return replace(row, rank=None, reason=reason)
