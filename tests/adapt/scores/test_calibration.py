"""Expected calibration error against a loop over pixels and hand-worked cases."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest

import adapt.scores.calibration
from adapt.scores.calibration import CalibrationBins, ece


def naive_ece(confidence: list[float], correct: list[bool]) -> float:
    """Guo et al. 2017, equation 3, bin by bin over lists."""
    total = 0.0
    for index in range(15):
        inside = [
            (c, r)
            for c, r in zip(confidence, correct, strict=True)
            if index / 15 < c <= (index + 1) / 15 or (index == 0 and c == 0)
        ]
        if inside:
            accuracy = sum(r for _, r in inside) / len(inside)
            mean = sum(c for c, _ in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(accuracy - mean)
    return total


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_equals_a_loop(dtype: type) -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(2000).astype(dtype)
    correct = rng.random(2000) < confidence**2
    counts = CalibrationBins().accumulate(confidence.reshape(40, 50), correct.reshape(40, 50))
    assert counts.shape == (3, 15)
    assert counts[0].sum() == 2000
    assert counts[2].sum() == correct.sum()
    assert ece(counts) == pytest.approx(naive_ece(confidence.astype(float).tolist(), correct.tolist()))


def test_edges_belong_to_the_bin_below() -> None:
    edges = np.arange(16) / 15
    counts = CalibrationBins().accumulate(edges, np.ones(16, dtype=bool))
    assert counts[0].tolist() == [2.0] + [1.0] * 14
    above = CalibrationBins().accumulate(np.nextafter(edges[:-1], 1), np.ones(15, dtype=bool))
    assert above[0].tolist() == [1.0] * 15


def test_parts_add_up() -> None:
    rng = np.random.default_rng(1)
    confidence, correct = rng.random(900), rng.random(900) < 0.6
    whole = CalibrationBins().accumulate(confidence, correct)
    streamed, summed = CalibrationBins(), np.zeros((3, 15))
    for part in np.split(np.arange(900), 9):
        streamed.accumulate(confidence[part], correct[part])
        summed += CalibrationBins().accumulate(confidence[part], correct[part])
    np.testing.assert_allclose(streamed.counts, whole)
    np.testing.assert_allclose(summed, whole)


def test_returned_counts_are_a_copy() -> None:
    bins = CalibrationBins()
    bins.accumulate(np.array([0.5]), np.array([True]))[...] = 7
    assert bins.counts.sum() == 1 + 0.5 + 1


def test_hand_worked() -> None:
    # 3 pixels at 0.9, 1 right: 0.9 - 1/3; 1 pixel at 0.1, wrong: 0.1
    counts = CalibrationBins().accumulate(np.array([0.9, 0.9, 0.9, 0.1]), np.array([True, False, False, False]))
    assert ece(counts) == pytest.approx(3 / 4 * (0.9 - 1 / 3) + 1 / 4 * 0.1)


def test_sure_and_right_is_calibrated_and_sure_and_wrong_is_not() -> None:
    sure = np.ones(10, dtype=np.float32)
    assert ece(CalibrationBins().accumulate(sure, np.ones(10, dtype=bool))) == 0.0
    assert ece(CalibrationBins().accumulate(sure, np.zeros(10, dtype=bool))) == 1.0


def test_no_pixels_have_no_error() -> None:
    bins = CalibrationBins()
    assert ece(bins.counts) is None
    assert ece(bins.accumulate(np.zeros((0, 3)), np.zeros((0, 3), dtype=bool))) is None


def test_single_precision_may_pass_one_a_little() -> None:
    counts = CalibrationBins().accumulate(np.array([1.000001], dtype=np.float32), np.array([True]))
    assert counts[1].sum() == 1.0


@pytest.mark.parametrize("value", [-0.01, 1.01, math.nan, math.inf])
def test_other_confidences_are_refused(value: float) -> None:
    bins = CalibrationBins()
    with pytest.raises(ValueError, match=r"confidences must lie in \[0, 1\]"):
        bins.accumulate(np.array([0.5, value]), np.array([True, True]))
    assert not bins.counts.any()


def test_other_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match=r"differ in shape: \(2,\) and \(1,\)"):
        CalibrationBins().accumulate(np.array([0.5, 0.5]), np.array([True]))
    with pytest.raises(ValueError, match="correct must be boolean, got int64"):
        CalibrationBins().accumulate(np.array([0.5]), np.array([1]))
    with pytest.raises(ValueError, match=r"shape \(3, bins\), got \(2, 15\)"):
        ece(np.zeros((2, 15)))


def test_doctests() -> None:
    results = doctest.testmod(adapt.scores.calibration)
    assert results.attempted
    assert not results.failed
