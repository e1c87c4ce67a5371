"""The counts of a finished unit, kept on disk: what an interrupted benchmark does not compute again."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapt.atomic import replace_atomically
from adapt.benchmark.unit import Unit


@dataclass(frozen=True)
class Timing:
    """Where the time of a benchmark went, in seconds.

    Attributes:
        network: predicting and counting.
        waiting: the network waited for the next frame.
        decoding: reading images and labels, in whichever process.
        corrupting: corrupting and resizing images, likewise.
    """

    network: float = 0.0
    waiting: float = 0.0
    decoding: float = 0.0
    corrupting: float = 0.0

    def __add__(self, other: Timing) -> Timing:
        """Add up the seconds of two parts."""
        return Timing(*(one + two for one, two in zip(astuple(self), astuple(other), strict=True)))


@dataclass(frozen=True)
class UnitCounts:
    """The counts of a unit.

    Attributes:
        confusion: int64 (C, N, K, K) of each cell and frame, see `adapt.scores.confusion.count_confusion`.
        calibration: float64 (C, N, 3, 15), see `adapt.scores.calibration.CalibrationBins.counts`; N is 0 where it was not
            counted.
        timing: what it took.
    """

    confusion: NDArray[np.int64]
    calibration: NDArray[np.float64]
    timing: Timing


def keep_unit(folder: Path, unit: Unit, counts: UnitCounts) -> None:
    """Keep the counts of a unit; the folder exists."""
    with replace_atomically(_place(folder, unit)) as draft, draft.open("wb") as file:
        np.savez_compressed(
            file, confusion=counts.confusion, calibration=counts.calibration, timing=np.array(astuple(counts.timing))
        )


def load_unit(folder: Path, unit: Unit) -> UnitCounts | None:
    """Return the counts of a unit, or None where it was not finished or its file is damaged."""
    try:
        with _place(folder, unit).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            counts = UnitCounts(arrays["confusion"], arrays["calibration"], Timing(*arrays["timing"].tolist()))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return counts if counts.confusion.shape[:2] == (len(unit.cells), unit.last - unit.first) else None


def discard_unit(folder: Path, unit: Unit) -> None:
    """Remove the counts of a unit, if they are there."""
    _place(folder, unit).unlink(missing_ok=True)


def count_kept(folder: Path, units: Iterable[Unit]) -> int:
    """Count the units whose counts are there, without reading them, by one look at the folder."""
    names = {path.name for path in folder.glob("*.npz")}
    return sum(_place(folder, unit).name in names for unit in units)


def _place(folder: Path, unit: Unit) -> Path:
    return folder / f"{unit.name}.npz"
