"""A row of a corruption benchmark, cell by cell: its means over severities, and the refusal of a row that lacks a cell.

A *cell* is a pair such as ("fog", 3); a row maps each cell of a protocol to a score or an error in [0, 1]. Every
function takes the protocol's cells beside the row and refuses a row that lacks one: a mean over what happens to be
there compares with nothing. Cells outside the protocol are left out. Values are found by name, whatever their order.

Where severities are averaged, each corruption is averaged first and the corruptions then weigh the same, as published
tables do, also where noise has three severities and the others five.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np

Cell = tuple[str, int]
Row = Mapping[Cell, float | None]

_SHOWN = 4  # missing cells that an error lists before it counts the rest; ours, chosen to stay readable


def average_severities(row: Row, cells: Sequence[Cell], name: str = "the row") -> dict[str, float]:
    """Average each corruption over its severities, once the row is known to be complete and in [0, 1].

    Args:
        row: Score or error of each cell, in [0, 1].
        cells: The protocol's cells.
        name: What an error calls the row.

    Returns:
        The mean of each corruption, in the order of `cells`.

    Raises:
        ValueError: If a cell is missing, None, nan or outside [0, 1], or `cells` is empty or repeats one.

    Example:
        >>> average_severities({("fog", 1): 0.75, ("snow", 1): 0.5, ("fog", 2): 0.25}, [("fog", 1), ("fog", 2)])
        {'fog': 0.5}
    """
    values: dict[Cell, float] = {}
    for cell in cells:
        value = row.get(cell)
        if value is not None and not np.isnan(value):
            values[cell] = value
    refuse_incomplete([cell for cell in cells if cell not in values], cells, name)
    for cell, value in values.items():
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"{name} has {value} at {cell[0]} severity {cell[1]}, outside [0, 1]: is it in percent?")
    return {corruption: fmean(values[cell] for cell in group) for corruption, group in group_cells(cells).items()}


def group_cells(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Gather the cells of each corruption.

    Args:
        cells: A protocol's cells, in any order.

    Returns:
        Corruption -> its cells, both in the order of `cells`.

    Example:
        >>> group_cells([("fog", 1), ("snow", 1), ("fog", 2)])
        {'fog': [('fog', 1), ('fog', 2)], 'snow': [('snow', 1)]}
    """
    groups: dict[str, list[Cell]] = {}
    for cell in cells:
        groups.setdefault(cell[0], []).append(cell)
    return groups


def refuse_incomplete(missing: Sequence[Cell], cells: Sequence[Cell], name: str = "the row") -> None:
    """Refuse to average over a grid that is not whole.

    Args:
        missing: Those of `cells` that have no value.
        cells: The protocol's cells.
        name: What an error calls the row.

    Raises:
        ValueError: If there is a missing cell, or `cells` is empty or repeats one.

    Example:
        >>> refuse_incomplete([("fog", 2)], [("fog", 1), ("fog", 2)])  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        ValueError: the row has no value for 1 of 2 cells (fog severity 2), and a mean over an incomplete grid is ...
    """
    if not cells:
        raise ValueError("there are no cells to average over")
    if len(set(cells)) < len(cells):
        raise ValueError("the list of cells repeats one: each would weigh more than the protocol says")
    if missing:
        listed = ", ".join(f"{corruption} severity {severity}" for corruption, severity in missing[:_SHOWN])
        rest = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
        raise ValueError(
            f"{name} has no value for {len(missing)} of {len(cells)} cells ({listed}{rest}), "
            "and a mean over an incomplete grid is refused: run the missing cells"
        )
