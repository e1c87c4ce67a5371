"""What a benchmark computes and keeps together: a block of frames under one corruption, at all of its severities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

CLEAN = "clean"
SHIFT = "shift"

BLOCK = 32  # frames of a unit; ours: what an interruption costs, and fine enough to share out among machines


@dataclass(frozen=True)
class GridCell:
    """What is scored together: all frames of a data set, as they are or under one corruption at one severity.

    Attributes:
        name: `clean`, `fog/3`, or `shift/NAME` of a data set that shows a real shift.
        dataset: whose frames.
        corruption: done to them, or None.
        severity: 1 to 5, or None.
    """

    name: str
    dataset: str
    corruption: str | None = None
    severity: int | None = None


@dataclass(frozen=True)
class Unit:
    """Frames `first` to `last` (exclusive) of a data set in cells that share a corruption: each is decoded once."""

    cells: tuple[GridCell, ...]
    first: int
    last: int

    @property
    def dataset(self) -> str:
        """Whose frames."""
        return self.cells[0].dataset

    @property
    def name(self) -> str:
        """Name it among the units of a benchmark; fit for a file."""
        first = self.cells[0]
        return f"{first.corruption or first.name.replace('/', '-')}-{self.first}-{self.last}"


def list_cells(dataset: str, grid: Sequence[tuple[str, int]], shifts: Sequence[str] = ()) -> tuple[GridCell, ...]:
    """List the cells of a benchmark: clean, then real shifts, then the grid of corruptions.

    Args:
        dataset: the data set that is corrupted.
        grid: (corruption, severity) of each corrupted cell.
        shifts: data sets that show real shifts.

    Returns:
        The cells; those of one corruption side by side, in the order of the grid.

    Example:
        >>> [cell.name for cell in list_cells("val", [("fog", 1), ("snow", 1), ("fog", 2)], ["night"])]
        ['clean', 'shift/night', 'fog/1', 'fog/2', 'snow/1']
    """
    order = list(dict.fromkeys(corruption for corruption, _ in grid))
    corrupted = sorted(grid, key=lambda cell: order.index(cell[0]))
    return (
        GridCell(CLEAN, dataset),
        *(GridCell(f"{SHIFT}/{name}", name) for name in shifts),
        *(GridCell(f"{corruption}/{severity}", dataset, corruption, severity) for corruption, severity in corrupted),
    )


def plan_units(cells: Sequence[GridCell], frames: Mapping[str, int], block: int = BLOCK) -> tuple[Unit, ...]:
    """Divide a benchmark into units, cell after cell.

    Args:
        cells: from `list_cells`.
        frames: data set -> how many frames it has.
        block: most frames of a unit.

    Returns:
        The units, such that each frame of each cell is in one.

    Example:
        >>> [unit.name for unit in plan_units(list_cells("val", [("fog", 1), ("fog", 2)]), {"val": 3}, block=2)]
        ['clean-0-2', 'clean-2-3', 'fog-0-2', 'fog-2-3']
    """
    groups = (tuple(group) for _, group in groupby(cells, key=lambda cell: cell.corruption or cell.name))
    return tuple(
        Unit(group, first, min(first + block, frames[group[0].dataset]))
        for group in groups
        for first in range(0, frames[group[0].dataset], block)
    )
