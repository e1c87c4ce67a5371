"""Cells of benchmarks whose mIoU can be seen, for boards that are worked by hand."""

from __future__ import annotations

from typing import Any

Confusion = tuple[tuple[int, ...], ...]

GRID = [["fog", 1], ["fog", 2], ["gaussian_noise", 1], ["gaussian_noise", 5]]


def confuse(tenths: int) -> Confusion:
    """Counts of two classes of 100 pixels each, of which so many tenths of the union are right: mIoU = tenths / 10."""
    right, wrong = 2 * tenths, 10 - tenths  # of 2 * tenths + 2 * (10 - tenths) = 20 pixels in the union
    return ((right, wrong), (wrong, right))


def build_cells(clean: int, grid: dict[tuple[str, int], int | None], **shifts: int) -> dict[str, Any]:
    """Return the cells of a benchmark by name, for `make_record`; mIoU in tenths, None where there is no score."""
    cells: dict[str, Any] = {"clean": ({}, confuse(clean))}
    for (name, severity), tenths in grid.items():
        axes = {"corruption": name, "severity": severity}
        cells[f"{name}/{severity}"] = (axes, None if tenths is None else confuse(tenths))
    return cells | {f"shift/{name}": ({"shift": name}, confuse(tenths)) for name, tenths in shifts.items()}


def fill(*tenths: int | None) -> dict[tuple[str, int], int | None]:
    """Return the mIoU of `GRID` in tenths, cell by cell."""
    return {(str(name), int(severity)): value for (name, severity), value in zip(GRID, tenths, strict=True)}
