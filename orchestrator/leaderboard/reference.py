"""What the rows of a benchmark lose relative to a named row: CD, rCD, mCE and relative mCE.

CD and rCD follow Kamann & Rother, who take noise at severities 1 to 3 only. mCE and relative mCE take the whole grid, with
the error 1 - mIoU, so that they equal CD and rCD under a protocol without noise above severity 3.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from statistics import fmean
from typing import NamedTuple

from adapt.scores.degradation import (
    Reference,
    corruption_degradation,
    mean_corruption_error,
    mean_degradation,
    mean_relative_degradation,
    relative_mean_corruption_error,
)
from adapt.scores.grid import Cell
from corruptions.catalog import corruption
from orchestrator.leaderboard.row import Row, Score, pool_scores

NOISE_SEVERITIES = (1, 2, 3)  # Kamann & Rother, CVPR 2020 (arXiv:1908.05005): what their means over noise hold

_DETAIL = "CD/"  # and the name of a corruption


class _Run(NamedTuple):
    """The mIoU of one run, clean and by cell; or its errors."""

    clean: float
    cells: dict[Cell, float]

    def to_errors(self) -> _Run:
        return _Run(1.0 - self.clean, {cell: 1.0 - miou for cell, miou in self.cells.items()})


class Sought(NamedTuple):
    """What rows are compared with.

    Attributes:
        title: what it is a row of, for reasons: a stage, and where its tasks stand.
        is_sought: says of a row whether it is the one that is sought.
        cells: the (corruption, severity) of the protocol.
    """

    title: str
    is_sought: Callable[[Row], bool]
    cells: Sequence[Cell]


def add_degradations(rows: list[Row], sought: Sought) -> tuple[list[Row], str | None]:
    """Add CD, rCD, mCE and relative mCE, and the CD of each corruption, to the rows of a table.

    Each run is compared with the mean over the runs of the reference, cell by cell; a row shows the mean over its runs.

    Args:
        rows: the rows of one table of benchmarks.
        sought: the reference.

    Returns:
        New rows, whose scores are None with a reason where there is nothing to compare with; and the name of the
        reference, or None where the table has no such row, or several.
    """
    found = [row for row in rows if sought.is_sought(row)]
    if len(found) != 1:
        count = "no row" if not found else f"{len(found)} rows"
        return _explain(rows, f"{count} of {sought.title} to compare with in this table"), None
    name, asked, cells = found[0].entry, found[0].runs, sought.cells
    runs = [run for run in _read_runs(found[0], cells) if run is not None]
    if len(runs) < asked:
        lacking = f"{asked - len(runs)} of {asked} runs of the reference '{name}'"
        return _explain(rows, f"{lacking} have no result, or lack a cell: an incomplete grid is no reference"), name
    base = _Run(fmean(run.clean for run in runs), {cell: fmean(run.cells[cell] for run in runs) for cell in cells})
    problems = _list_problems(base, name, cells)
    return [_compare(row, base, name, cells, problems) for row in rows], name


def is_relative(column: str) -> bool:
    """Say whether a column is relative to the reference of its table."""
    return column in _MEASURES or column.startswith(_DETAIL)


def limit_noise(cells: Sequence[Cell]) -> list[Cell]:
    """Leave out noise above severity 3, as Kamann & Rother do."""
    return [cell for cell in cells if corruption(cell[0]).family != "noise" or cell[1] in NOISE_SEVERITIES]


def _limit(column: str, cells: Sequence[Cell]) -> list[Cell]:
    """Return the cells that a column takes, which averages over noise as Kamann & Rother do.

    Raises:
        ValueError: there are none.
    """
    few = limit_noise(cells)
    if not few:
        raise ValueError(f"{column} takes noise at severities 1 to 3, and this protocol has none of them")
    return few


def _measure_cd(run: _Run, base: _Run, name: str, cells: Sequence[Cell]) -> float:
    return mean_degradation(run.cells, Reference(name, *base), _limit("CD", cells))


def _measure_rcd(run: _Run, base: _Run, name: str, cells: Sequence[Cell]) -> float:
    return mean_relative_degradation(run.cells, run.clean, Reference(name, *base), _limit("rCD", cells))


def _measure_mce(run: _Run, base: _Run, name: str, cells: Sequence[Cell]) -> float:
    return mean_corruption_error(run.to_errors().cells, Reference(name, *base.to_errors()), cells)


def _measure_relative_mce(run: _Run, base: _Run, name: str, cells: Sequence[Cell]) -> float:
    clean, errors = run.to_errors()
    return relative_mean_corruption_error(errors, clean, Reference(name, *base.to_errors()), cells)


_MEASURES: dict[str, Callable[[_Run, _Run, str, Sequence[Cell]], float]] = {
    "CD": _measure_cd,
    "rCD": _measure_rcd,
    "mCE": _measure_mce,
    "relative mCE": _measure_relative_mce,
}


def _list_problems(base: _Run, name: str, cells: Sequence[Cell]) -> dict[str, str]:
    """Return column -> why nothing can be measured relative to this reference, where that is so."""
    problems = {}
    for column, measure in _MEASURES.items():
        try:
            measure(base, base, name, cells)
        except ValueError as error:
            problems[column] = str(error)
    return problems


def _compare(row: Row, base: _Run, name: str, cells: Sequence[Cell], problems: dict[str, str]) -> Row:
    runs = _read_runs(row, cells)
    scores = {
        column: Score(None, None, (), problems[column])
        if column in problems
        else pool_scores([None if run is None else measure(run, base, name, cells) for run in runs])
        for column, measure in _MEASURES.items()
    }
    if "CD" not in problems:
        few = limit_noise(cells)
        details = [
            None if run is None else corruption_degradation(run.cells, Reference(name, *base), few) for run in runs
        ]
        for corrupted in dict.fromkeys(corrupted for corrupted, _ in few):
            values = [None if degradations is None else degradations[corrupted] for degradations in details]
            scores[f"{_DETAIL}{corrupted}"] = pool_scores(values)
    return replace(row, scores={**row.scores, **scores})


def _read_runs(row: Row, cells: Sequence[Cell]) -> list[_Run | None]:
    """Return the mIoU of each run of a row; None for one that has no result or lacks a cell."""
    columns = ["clean", *(f"{corrupted}/{severity}" for corrupted, severity in cells)]
    scores = [row.scores[column].values if column in row.scores else () for column in columns]
    runs: list[_Run | None] = []
    for number in range(row.runs):
        values = [value for each in scores if number < len(each) and (value := each[number]) is not None]
        whole = bool(cells) and len(values) == len(columns)
        runs.append(_Run(values[0], dict(zip(cells, values[1:], strict=True))) if whole else None)
    return runs


def _explain(rows: list[Row], reason: str) -> list[Row]:
    missing = dict.fromkeys(_MEASURES, Score(None, None, (), reason))
    return [replace(row, scores={**row.scores, **missing}) for row in rows]
