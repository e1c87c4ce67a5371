"""Robustness scores against published tables and their published aggregates, and cases worked by hand."""

from __future__ import annotations

import doctest

import numpy as np
import pytest

import adapt.scores.robustness
from adapt.scores.robustness import (
    corrupted_class_iou,
    generalization_ability,
    mean_corrupted,
    mean_resilience_rate,
    relative_corrupted,
    resilience_rate,
    worst_class,
    worst_corruption,
)
from tests.adapt.scores.published import AVERAGED, read_averaged, read_lines, read_mask_rcnn
from tests.adapt.scores.uneven import ROW, UNEVEN

SEGFORMER, ROBO3D = AVERAGED


def test_the_derived_means_of_the_segformer_table() -> None:
    table = read_averaged(SEGFORMER)
    derived = read_lines("segformer_derived.csv")
    assert (len(table.rows), len(table.cells), len(derived)) == (13, 16, 6)
    for line in derived:
        row = table.rows[line["model"]]
        assert f"{100 * mean_corrupted(row.cells, table.cells):.3f}" == line["mean"]
        assert f"{100 * relative_corrupted(row.cells, row.clean, table.cells):.2f}" == line["retention"]


def test_worst_corruptions_of_the_segformer_table() -> None:
    table = read_averaged(SEGFORMER)
    b5, gscnn = table.rows["SegFormer-B5"].cells, table.rows["GSCNN"].cells
    assert worst_corruption(b5, table.cells) == ("snow", pytest.approx(0.407))
    assert worst_corruption(gscnn, table.cells) == ("impulse_noise", pytest.approx(0.026))
    assert generalization_ability(gscnn, table.cells) == pytest.approx(0.026)


def test_the_resilience_rates_of_the_robo3d_table() -> None:
    table = read_averaged(ROBO3D)
    assert (len(table.rows), len(table.cells)) == (4, 8)
    for name, row in table.rows.items():
        published = table.aggregates[name]["published_mrr"]
        assert f"{100 * mean_resilience_rate(row.cells, row.clean, table.cells):.2f}" == published
        assert f"{100 * relative_corrupted(row.cells, row.clean, table.cells):.2f}" == published


def test_the_resilience_rates_of_robo3d_by_severity() -> None:
    """Theirs are of means rounded to 0.01, so they may differ by 0.011 from those of the cells."""
    clean = {name: row.clean for name, row in read_averaged(ROBO3D).rows.items()}
    lines = read_lines("robo3d_severities.csv")
    assert len(lines) == 16
    for line in lines:
        row = {(line["corruption"], s): float(line[n]) / 100 for s, n in enumerate(("light", "moderate", "heavy"))}
        rates = resilience_rate(row, clean[line["model"]], list(row))
        assert rates == {line["corruption"]: pytest.approx(float(line["published_rr"]) / 100, abs=1.1e-4)}
        assert f"{100 * mean_corrupted(row, list(row)):.2f}" == line["published_average"]


def test_the_mask_rcnn_table() -> None:
    clean, row, aggregates = read_mask_rcnn()
    cells = list(row)
    assert len(cells) == 75
    mean, relative = mean_corrupted(row, cells), relative_corrupted(row, clean, cells)
    printed = {"P": round(100 * clean, 1), "mPC": round(100 * mean, 1), "rPC_percent": round(100 * relative, 1)}
    assert printed == aggregates["published"]
    mild = mean_corrupted(row, [cell for cell in cells if cell[1] <= 3])
    derived = {"mPC": round(mean, 5), "rPC": round(relative, 5), "mPC_severities_1_to_3": round(mild, 5)}
    assert derived == aggregates["derived"]
    assert worst_corruption(row, cells) == ("snow", pytest.approx((333 + 17 + 20 + 14 + 0) / 5e4))


@pytest.mark.parametrize("file", AVERAGED)
@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_columns_changes_nothing(file: str, seed: int) -> None:
    table, shuffled = read_averaged(file), read_averaged(file, shuffle=seed)
    assert shuffled.cells != table.cells
    for name, row in table.rows.items():
        other = shuffled.rows[name]
        assert other.clean == row.clean
        for score in (mean_corrupted, generalization_ability):
            assert score(other.cells, shuffled.cells) == pytest.approx(score(row.cells, table.cells), rel=1e-12)
        rates = resilience_rate(row.cells, row.clean, table.cells)
        assert resilience_rate(other.cells, other.clean, shuffled.cells) == rates


def test_corruptions_weigh_the_same_whatever_their_severities() -> None:
    assert mean_corrupted(ROW, UNEVEN) == pytest.approx((0.6 + 0.2) / 2)
    assert relative_corrupted(ROW, 0.8, UNEVEN) == pytest.approx(0.5)
    assert resilience_rate(ROW, 0.8, UNEVEN) == {"fog": pytest.approx(0.75), "noise": pytest.approx(0.25)}
    assert mean_resilience_rate(ROW, 0.8, UNEVEN) == pytest.approx(0.5)
    assert worst_corruption(ROW, UNEVEN) == ("noise", 0.2)


def test_of_equal_corruptions_the_first_is_the_worst() -> None:
    row = {("snow", 1): 0.5, ("fog", 1): 0.25, ("frost", 1): 0.25}
    assert worst_corruption(row, [("snow", 1), ("frost", 1), ("fog", 1)])[0] == "frost"


def test_an_incomplete_row_has_no_score() -> None:
    row = {cell: value for cell, value in ROW.items() if cell != ("fog", 5)}
    message = r"no value for 1 of 3 cells \(fog severity 5\), and a mean over an incomplete grid is refused"
    for score in (mean_corrupted, worst_corruption, generalization_ability):
        with pytest.raises(ValueError, match=message):
            score(row, UNEVEN)
    for relative in (relative_corrupted, resilience_rate, mean_resilience_rate):
        with pytest.raises(ValueError, match=message):
            relative(row, 0.8, UNEVEN)
        for clean in (0.0, 80.0):
            with pytest.raises(ValueError, match=r"clean score must lie in \(0, 1\]"):
                relative(ROW, clean, UNEVEN)


def test_class_iou_over_a_grid() -> None:
    nan = np.nan
    row = {
        ("fog", 1): np.array([0.9, 0.4, nan, nan]),
        ("fog", 5): np.array([0.5, 0.2, 0.0, nan]),
        ("noise", 1): np.array([0.3, 0.5, nan, nan]),
    }
    mean = corrupted_class_iou(row, UNEVEN)
    np.testing.assert_allclose(mean, [0.5, 0.4, 0.0, nan])
    assert worst_class(mean) == (2, 0.0)
    assert worst_class(row[("fog", 1)]) == (1, 0.4)
    assert worst_class(np.full(3, nan)) is None
    with pytest.raises(ValueError, match=r"no value for 1 of 3 cells \(noise severity 1\)"):
        corrupted_class_iou({cell: iou for cell, iou in row.items() if cell[0] == "fog"}, UNEVEN)


def test_doctests() -> None:
    results = doctest.testmod(adapt.scores.robustness)
    assert results.attempted
    assert not results.failed
