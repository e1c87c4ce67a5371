"""Counts of units on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from adapt.benchmark.kept import Timing, UnitCounts, count_kept, keep_unit, load_unit
from adapt.benchmark.unit import Unit, list_cells, plan_units


@pytest.fixture
def unit() -> Unit:
    return plan_units(list_cells("val", [("fog", 1), ("fog", 3)]), {"val": 4})[1]


def make_counts(frames: int = 4) -> UnitCounts:
    generator = np.random.default_rng(0)
    confusion = generator.integers(0, 2**40, (2, frames, 3, 3))
    return UnitCounts(confusion, generator.random((2, frames, 3, 15)), Timing(1.5, 0.25, 0.125, 2.0))


def test_counts_come_back_to_the_bit(tmp_path: Path, unit: Unit):
    counts = make_counts()
    assert (count_kept(tmp_path / "nowhere", [unit]), load_unit(tmp_path, unit)) == (0, None)
    keep_unit(tmp_path, unit, counts)
    found = load_unit(tmp_path, unit)
    assert count_kept(tmp_path, [unit, replace(unit, last=3)]) == 1
    assert found is not None
    assert np.array_equal(found.confusion, counts.confusion)
    assert np.array_equal(found.calibration, counts.calibration)
    assert found.timing == counts.timing
    assert [path.name for path in tmp_path.iterdir()] == ["fog-0-4.npz"]


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 no more", None])
def test_a_damaged_file_is_no_result(tmp_path: Path, unit: Unit, damage: bytes | None):
    keep_unit(tmp_path, unit, make_counts())
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-40] if damage is None else damage)
    assert load_unit(tmp_path, unit) is None


def test_counts_of_other_frames_are_no_result(tmp_path: Path, unit: Unit):
    keep_unit(tmp_path, unit, make_counts(frames=3))
    assert load_unit(tmp_path, unit) is None


def test_timings_add_up():
    assert sum([Timing(1, 2, 3, 4), Timing(10, 20, 30, 40)], Timing()) == Timing(11, 22, 33, 44)
