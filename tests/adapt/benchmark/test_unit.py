"""How a benchmark is divided."""

from __future__ import annotations

from collections import Counter

import pytest

from adapt.benchmark.unit import list_cells, plan_units
from corruptions.protocol import protocol


def test_cells_are_clean_then_shifts_then_corruptions_side_by_side():
    cells = list_cells("val", [("fog", 2), ("snow", 1), ("fog", 1)], ["night", "rain"])
    assert [cell.name for cell in cells] == ["clean", "shift/night", "shift/rain", "fog/2", "fog/1", "snow/1"]
    assert [cell.dataset for cell in cells] == ["val", "night", "rain", "val", "val", "val"]
    assert (cells[3].corruption, cells[3].severity) == ("fog", 2)


@pytest.mark.parametrize("block", [1, 4, 7, 100])
def test_each_frame_of_each_cell_is_in_one_unit(block: int):
    cells = list_cells("val", protocol("segformer").cells, ["night"])
    frames = {"val": 7, "night": 5}
    units = plan_units(cells, frames, block)
    places = Counter((cell, index) for unit in units for cell in unit.cells for index in range(unit.first, unit.last))
    assert set(places) == {(cell, index) for cell in cells for index in range(frames[cell.dataset])}
    assert set(places.values()) == {1}
    assert len({unit.name for unit in units}) == len(units)
    assert all(unit.last - unit.first <= block for unit in units)


def test_a_unit_holds_all_severities_of_one_corruption_so_that_a_frame_is_decoded_once_for_them():
    units = plan_units(list_cells("val", protocol("michaelis").cells), {"val": 10}, 32)
    assert [len(unit.cells) for unit in units] == [1] + [5] * 15
    assert all(len({cell.corruption for cell in unit.cells}) == 1 for unit in units)


def test_names_are_fit_for_files():
    units = plan_units(list_cells("val", [("fog", 1)], ["a_city"]), {"val": 2, "a_city": 1})
    assert [unit.name for unit in units] == ["clean-0-2", "shift-a_city-0-1", "fog-0-2"]
