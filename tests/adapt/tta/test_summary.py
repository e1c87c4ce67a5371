"""Cells, rounds, mean and drift, worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.tta.summary import summarise


def counts(*rows: tuple[int, int]) -> np.ndarray:
    return np.array(rows, dtype=np.int64)


PERFECT = counts((3, 0), (0, 3))  # 1
HALF = counts((2, 2), (0, 0))  # class 0: 2/4, class 1: 0/2 -> 0.25
THIRD = counts((1, 1), (1, 1))  # 1/3 each
EMPTY = counts((0, 0), (0, 0))


def test_rounds_average_their_domains_and_drift_is_last_minus_first():
    summary = summarise({(0, "fog"): PERFECT, (0, "night"): HALF, (1, "fog"): THIRD, (1, "night"): THIRD})
    assert summary.cells == pytest.approx({(0, "fog"): 1.0, (0, "night"): 0.25, (1, "fog"): 1 / 3, (1, "night"): 1 / 3})
    assert summary.rounds == pytest.approx({0: 0.625, 1: 1 / 3})
    assert summary.mean == pytest.approx((0.625 + 1 / 3) / 2)
    assert summary.drift == pytest.approx(1 / 3 - 0.625)


def test_one_round_has_no_drift():
    summary = summarise({(0, "fog"): THIRD})
    assert summary.mean == pytest.approx(1 / 3)
    assert summary.drift is None


def test_a_missing_cell_is_never_averaged_over():
    summary = summarise({(0, "fog"): PERFECT, (0, "night"): EMPTY, (1, "fog"): THIRD, (1, "night"): THIRD})
    assert summary.cells[0, "night"] is None
    assert summary.rounds[0] is None
    assert summary.rounds[1] == pytest.approx(1 / 3)
    assert summary.mean is None
    assert summary.drift is None


def test_forgetting_is_the_fall_below_the_best_earlier_round():
    summary = summarise(
        {
            (0, "fog"): HALF,
            (0, "night"): PERFECT,
            (1, "fog"): PERFECT,
            (1, "night"): HALF,
            (2, "fog"): THIRD,
            (2, "night"): THIRD,
        }
    )
    assert summary.forgetting == pytest.approx(((1 - 1 / 3) + (1 - 1 / 3)) / 2)
    better = summarise({(0, "fog"): HALF, (1, "fog"): PERFECT})
    assert better.forgetting == pytest.approx(0.25 - 1)


def test_nothing_is_forgotten_in_one_round_and_no_gap_is_hidden():
    assert summarise({(0, "fog"): THIRD, (0, "night"): HALF}).forgetting is None
    assert summarise({(0, "fog"): EMPTY, (1, "fog"): THIRD}).forgetting is None
    assert summarise({(0, "fog"): THIRD, (1, "fog"): EMPTY}).forgetting is None
    assert summarise({(0, "fog"): THIRD, (1, "fog"): EMPTY, (2, "fog"): THIRD}).forgetting is None
    assert summarise({(0, "fog"): THIRD, (1, "fog"): THIRD, (1, "night"): THIRD}).forgetting is None
