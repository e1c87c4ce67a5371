"""Means over severities, by name, and the refusal of what is not a whole grid."""

from __future__ import annotations

import doctest

import pytest

import adapt.scores.grid
from adapt.scores.grid import Cell, average_severities, group_cells, refuse_incomplete
from tests.adapt.scores.published import read_mask_rcnn
from tests.adapt.scores.uneven import ROW, UNEVEN


def test_each_corruption_is_averaged_over_its_own_severities() -> None:
    assert average_severities(ROW, UNEVEN) == {"fog": pytest.approx(0.6), "noise": pytest.approx(0.2)}


def test_means_equal_a_loop_over_a_published_table() -> None:
    _, row, _ = read_mask_rcnn()
    sums: dict[str, float] = {}
    for (name, _severity), value in row.items():
        sums[name] = sums.get(name, 0.0) + value
    assert len(sums) == 15
    assert average_severities(row, list(row)) == {name: pytest.approx(total / 5) for name, total in sums.items()}


def test_values_are_found_by_name_and_not_by_place() -> None:
    backwards = dict(reversed(ROW.items()))
    assert list(backwards) != list(ROW)
    assert average_severities(backwards, UNEVEN) == average_severities(ROW, UNEVEN)
    assert list(average_severities(ROW, UNEVEN[::-1])) == ["noise", "fog"]


def test_cells_of_a_corruption_need_not_stand_together() -> None:
    assert group_cells([("fog", 5), ("noise", 1), ("fog", 1)]) == {
        "fog": [("fog", 5), ("fog", 1)],
        "noise": [("noise", 1)],
    }
    assert group_cells([]) == {}


def test_cells_outside_the_protocol_are_left_out() -> None:
    more = {**ROW, ("snow", 1): 0.0, ("snow", 2): None, ("fog", 2): 70.0}
    assert average_severities(more, UNEVEN) == average_severities(ROW, UNEVEN)


@pytest.mark.parametrize("lack", [None, float("nan"), "absent"])
def test_an_incomplete_row_is_refused_by_name(lack: float | str | None) -> None:
    row: dict[Cell, float | None] = dict(ROW)
    if isinstance(lack, str):
        del row[("fog", 5)]
    else:
        row[("fog", 5)] = lack
    message = (
        r"no value for 1 of 3 cells \(fog severity 5\), and a mean over an incomplete grid is refused: run the missing"
    )
    with pytest.raises(ValueError, match=f"the row has {message}"):
        average_severities(row, UNEVEN)
    with pytest.raises(ValueError, match=f"that one has {message}"):
        average_severities(row, UNEVEN, "that one")


def test_many_missing_cells_are_counted() -> None:
    _, row, _ = read_mask_rcnn()
    with pytest.raises(ValueError, match=r"75 of 75 cells \(gaussian_noise severity 1, .* severity 4 and 71 more\)"):
        average_severities({}, list(row))


def test_percent_and_senseless_cells_are_refused() -> None:
    with pytest.raises(ValueError, match=r"the row has 70\.0 at fog severity 1, outside \[0, 1\]: is it in percent\?"):
        average_severities({**ROW, ("fog", 1): 70.0}, UNEVEN)
    with pytest.raises(ValueError, match=r"the row has -0\.1 at noise severity 1"):
        average_severities({**ROW, ("noise", 1): -0.1}, UNEVEN)
    with pytest.raises(ValueError, match="no cells"):
        average_severities(ROW, [])
    with pytest.raises(ValueError, match="repeats one"):
        average_severities(ROW, [*UNEVEN, ("fog", 1)])


def test_a_whole_grid_is_not_refused() -> None:
    refuse_incomplete([], UNEVEN)


def test_doctests() -> None:
    results = doctest.testmod(adapt.scores.grid)
    assert results.attempted
    assert not results.failed
