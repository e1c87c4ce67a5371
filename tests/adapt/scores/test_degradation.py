"""Degradations against published tables and their published aggregates, naive sums, and cases worked by hand."""

from __future__ import annotations

import doctest
import math

import pytest

import adapt.scores.degradation
from adapt.scores.degradation import (
    Reference,
    corruption_degradation,
    corruption_error,
    mean_corruption_error,
    mean_degradation,
    mean_relative_degradation,
    relative_corruption_degradation,
    relative_corruption_error,
    relative_mean_corruption_error,
)
from adapt.scores.grid import Cell
from tests.adapt.scores.published import AVERAGED, read_averaged, read_lines, read_mask_rcnn
from tests.adapt.scores.uneven import BASE, ROW, UNEVEN

SEGFORMER, ROBO3D = AVERAGED


def to_errors(row: Reference) -> Reference:
    errors = {cell: 1 - value for cell, value in row.cells.items() if value is not None}
    return Reference(row.name, 1 - row.clean, errors)


def test_the_derived_degradations_of_the_segformer_table() -> None:
    table = read_averaged(SEGFORMER)
    reference = table.rows[AVERAGED[SEGFORMER]]
    derived = read_lines("segformer_derived.csv")
    assert len(derived) == 6
    for line in derived:
        row = table.rows[line["model"]]
        assert f"{100 * mean_degradation(row.cells, reference, table.cells):.2f}" == line["cd"]
        relative = mean_relative_degradation(row.cells, row.clean, reference, table.cells)
        assert f"{100 * relative:.2f}" == line["rcd"]


def test_the_corruption_errors_of_the_robo3d_table() -> None:
    """Robo3D's error is 1 - mIoU: its mCE is the mean CD."""
    table = read_averaged(ROBO3D)
    reference = table.rows[AVERAGED[ROBO3D]]
    for name, row in table.rows.items():
        published = table.aggregates[name]["published_mce"]
        errors = to_errors(row)
        assert f"{100 * mean_corruption_error(errors.cells, to_errors(reference), table.cells):.2f}" == published
        assert f"{100 * mean_degradation(row.cells, reference, table.cells):.2f}" == published


def test_the_corruption_errors_of_robo3d_by_severity() -> None:
    """Theirs are of means rounded to 0.01, so they may differ by 0.011 from those of the cells."""
    grids: dict[str, dict[Cell, float]] = {}
    for line in read_lines("robo3d_severities.csv"):
        for severity, name in enumerate(("light", "moderate", "heavy"), start=1):
            grids.setdefault(line["model"], {})[line["corruption"], severity] = float(line[name]) / 100
    clean = {name: row.clean for name, row in read_averaged(ROBO3D).rows.items()}
    reference = Reference(AVERAGED[ROBO3D], clean[AVERAGED[ROBO3D]], grids[AVERAGED[ROBO3D]])
    for model, row in grids.items():
        ratios = corruption_degradation(row, reference, list(row))
        published = {
            line["corruption"]: float(line["published_ce"]) / 100
            for line in read_lines("robo3d_severities.csv")
            if line["model"] == model
        }
        assert ratios == {name: pytest.approx(value, abs=1.1e-4) for name, value in published.items()}


def test_ratios_equal_loops_over_sums() -> None:
    """Against the Mask R-CNN table, of which another row is made; sums over severities as the papers write them."""
    clean, cells, _ = read_mask_rcnn()
    base = Reference("base", clean, cells)
    row = {cell: math.sqrt(value) for cell, value in cells.items()}
    names = list(dict.fromkeys(name for name, _ in cells))
    cd, rcd = {}, {}
    for name in names:
        degraded = sum(1 - row[name, s] for s in range(1, 6))
        baseline = sum(1 - cells[name, s] for s in range(1, 6))
        cd[name] = pytest.approx(degraded / baseline)
        lost = sum((1 - row[name, s]) - (1 - 0.9) for s in range(1, 6))
        baseline_lost = sum((1 - cells[name, s]) - (1 - clean) for s in range(1, 6))
        rcd[name] = pytest.approx(lost / baseline_lost)
    assert corruption_degradation(row, base, list(cells)) == cd
    assert relative_corruption_degradation(row, 0.9, base, list(cells)) == rcd


@pytest.mark.parametrize("file", AVERAGED)
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_columns_changes_nothing(file: str, seed: int) -> None:
    table, shuffled = read_averaged(file), read_averaged(file, shuffle=seed)
    reference = table.rows[AVERAGED[file]]
    assert shuffled.cells != table.cells
    for name, row in table.rows.items():
        other = shuffled.rows[name]
        assert corruption_degradation(other.cells, reference, shuffled.cells) == corruption_degradation(
            row.cells, shuffled.rows[AVERAGED[file]], table.cells
        )
        assert mean_relative_degradation(other.cells, other.clean, reference, shuffled.cells) == pytest.approx(
            mean_relative_degradation(row.cells, row.clean, reference, table.cells), rel=1e-12
        )


def test_ratios_are_of_sums_over_severities() -> None:
    assert corruption_degradation(ROW, BASE, UNEVEN) == {
        "fog": pytest.approx((0.3 + 0.5) / (0.2 + 0.8)),
        "noise": pytest.approx(0.8 / 0.6),
    }
    assert relative_corruption_degradation(ROW, 0.8, BASE, UNEVEN) == {
        "fog": pytest.approx((0.1 + 0.3) / (0.1 + 0.7)),
        "noise": pytest.approx(0.6 / 0.5),
    }
    assert mean_degradation(ROW, BASE, UNEVEN) == pytest.approx((0.8 + 0.8 / 0.6) / 2)
    assert mean_relative_degradation(ROW, 0.8, BASE, UNEVEN) == pytest.approx((0.5 + 1.2) / 2)


def test_classification_errors_are_the_complement() -> None:
    errors = {cell: 1 - value for cell, value in ROW.items()}
    base = Reference("AlexNet", 0.1, {("fog", 1): 0.2, ("fog", 5): 0.8, ("noise", 1): 0.6})
    assert corruption_error(errors, base, UNEVEN) == {"fog": pytest.approx(0.8), "noise": pytest.approx(0.8 / 0.6)}
    assert mean_corruption_error(errors, base, UNEVEN) == pytest.approx((0.8 + 0.8 / 0.6) / 2)
    assert relative_corruption_error(errors, 0.2, base, UNEVEN) == {
        "fog": pytest.approx(0.5),
        "noise": pytest.approx(1.2),
    }
    assert relative_mean_corruption_error(errors, 0.2, base, UNEVEN) == pytest.approx(0.85)


def test_a_row_relative_to_itself_is_one() -> None:
    for ratios in (
        corruption_degradation(BASE.cells, BASE, UNEVEN),
        relative_corruption_degradation(BASE.cells, BASE.clean, BASE, UNEVEN),
    ):
        assert ratios == {"fog": pytest.approx(1), "noise": pytest.approx(1)}


@pytest.mark.parametrize("lack", [None, float("nan"), "absent"])
def test_incomplete_rows_are_refused(lack: float | str | None) -> None:
    row: dict[Cell, float | None] = dict(ROW)
    if isinstance(lack, str):
        del row[("fog", 5)]
    else:
        row[("fog", 5)] = lack
    message = r"{} has no value for 1 of 3 cells \(fog severity 5\), and a mean over an incomplete grid is refused"
    half = Reference("half", 0.9, row)
    for ratio in (corruption_degradation, corruption_error, mean_degradation, mean_corruption_error):
        with pytest.raises(ValueError, match=message.format("the row")):
            ratio(row, BASE, UNEVEN)
        with pytest.raises(ValueError, match=message.format("the reference row 'half'")):
            ratio(ROW, half, UNEVEN)
    for relative in (relative_corruption_degradation, relative_corruption_error, mean_relative_degradation):
        with pytest.raises(ValueError, match=message.format("the row")):
            relative(row, 0.8, BASE, UNEVEN)
        with pytest.raises(ValueError, match=message.format("the reference row 'half'")):
            relative(ROW, 0.8, half, UNEVEN)


def test_a_clean_score_in_percent_is_refused() -> None:
    for relative in (relative_corruption_degradation, relative_corruption_error):
        with pytest.raises(ValueError, match=r"the row has 80\.0 on clean images"):
            relative(ROW, 80.0, BASE, UNEVEN)
        with pytest.raises(ValueError, match=r"the reference row 'base' has 90\.0 on clean images"):
            relative(ROW, 0.8, Reference("base", 90.0, BASE.cells), UNEVEN)


def test_a_reference_that_does_not_degrade_has_no_ratio() -> None:
    perfect = Reference("perfect", 0.4, {("fog", 1): 1.0, ("fog", 5): 1.0, ("noise", 1): 0.4})
    with pytest.raises(ValueError, match="the reference row 'perfect' does not degrade on fog: "):
        corruption_degradation(ROW, perfect, UNEVEN)
    with pytest.raises(ValueError, match="the reference row 'perfect' does not degrade on fog, noise: "):
        relative_corruption_degradation(ROW, 0.8, perfect, UNEVEN)


def test_doctests() -> None:
    results = doctest.testmod(adapt.scores.degradation)
    assert results.attempted
    assert not results.failed
