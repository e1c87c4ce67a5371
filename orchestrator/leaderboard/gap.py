"""How much of the gap between a source-only network and an oracle each row of a table closes."""

from __future__ import annotations

from dataclasses import replace

from experiments.schema import GapSettings
from orchestrator.leaderboard.row import Row, Score

GAP = "gap closed"


def add_gaps(rows: list[Row], main: str, gap: GapSettings) -> list[Row]:
    """Add the column "gap closed" to the rows of a table, after the score that ranks.

    It is (row - source) / (oracle - source) on the means over seeds: 0 is the source-only network, 1 the oracle. The two
    are rows of the same table, with the same test-time adaptation and at the same point of the axes that they share.

    Args:
        rows: the rows of one table.
        main: the score that ranks them.
        gap: the stages that trained the two.

    Returns:
        New rows; None with a reason where the gap is not defined.
    """
    return [replace(row, scores=_insert(row.scores, main, measure_gap(row, rows, main, gap))) for row in rows]


def measure_gap(row: Row, rows: list[Row], main: str, gap: GapSettings) -> Score:
    """Measure how much of the gap one row closes; see `add_gaps`."""
    ends = []
    for stage in (gap.source, gap.oracle):
        found = [other for other in rows if other.trained_in == stage and _is_alike(other, row)]
        if len(found) != 1:
            count = "no row" if not found else f"{len(found)} rows"
            return _missing(f"{count} of stage '{stage}' to compare with in this table")
        mean = _read_mean(found[0], main)
        if mean is None:
            return _missing(f"stage '{stage}' has no complete {main}")
        ends.append(mean)
    source, oracle = ends
    own = _read_mean(row, main)
    if own is None:
        return _missing(f"no complete {main}")
    if oracle <= source:
        return _missing(f"there is no gap: '{gap.oracle}' is not better than '{gap.source}'")
    return Score((own - source) / (oracle - source), None, ())


def _is_alike(other: Row, row: Row) -> bool:
    shared = set(other.axes) & set(row.axes)
    return other.adaptation == row.adaptation and all(other.axes[axis] == row.axes[axis] for axis in shared)


def _read_mean(row: Row, main: str) -> float | None:
    return row.scores[main].mean if main in row.scores else None


def _missing(reason: str) -> Score:
    return Score(None, None, (), reason)


def _insert(scores: dict[str, Score], main: str, gap: Score) -> dict[str, Score]:
    first = {main: scores[main]} if main in scores else {}
    return {**first, GAP: gap, **{name: score for name, score in scores.items() if name != main}}
