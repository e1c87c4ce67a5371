"""The curve, its fit and the update epoch against published figures, finite differences and a naive loop."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import least_squares

import adapt.correction.curve
from adapt.correction.curve import Curve, find_update_epoch, fit_curve
from adapt.correction.detection import place_points

pytestmark = pytest.mark.filterwarnings("error")

# (a, b, c) -> update epoch at r = 0.5, 0.8, 0.9, 0.95: computed with Kangningthu/ADELE, train.py, VOC settings, 53 points.
THRESHOLDS = (0.5, 0.8, 0.9, 0.95)
PUBLISHED = {
    (0.6, 0.5, 0.5): (2, 3, 4, 5),
    (0.6, 0.5, 1.0): (2, 4, 6, 9),
    (0.7, 0.8, 1.0): (2, 3, 4, 6),
    (0.5, 1.0, 2.0): (3, 5, 6, 7),
    (0.8, 0.3, 1.0): (2, 5, 8, 14),
    (0.9, 1.0, 5.0): (5, 10, 13, 16),
}
VOC_EPOCH = 10581 / 10  # iterations


@pytest.mark.parametrize(("parameters", "expected"), PUBLISHED.items())
def test_noiseless_points_give_the_published_figures(
    parameters: tuple[float, float, float], expected: tuple[int, ...]
) -> None:
    curve = Curve(*parameters)
    x = place_points(53, 100, VOC_EPOCH)
    fitted = fit_curve(x, curve(x), 10000)
    assert (fitted.a, fitted.b, fitted.c) == pytest.approx(parameters, abs=1e-3)
    for found in (curve, fitted):
        assert tuple(find_update_epoch(found, threshold) for threshold in THRESHOLDS) == expected


# 159 points see the whole range of 15 epochs. For 53 points (5 epochs) only curves that flatten by then: later epochs
# are extrapolated, and no fit can tell them from such noise.
@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("parameters", "count"),
    [(parameters, 159) for parameters in PUBLISHED if parameters != (0.8, 0.3, 1.0)]
    + [((0.6, 0.5, 0.5), 53), ((0.7, 0.8, 1.0), 53)],
)
def test_two_percent_noise_moves_the_epoch_by_one_at_most(
    parameters: tuple[float, float, float], count: int, seed: int
) -> None:
    x = place_points(count, 100, VOC_EPOCH)
    noise = np.random.default_rng(seed).normal(scale=0.02, size=count)
    fitted = fit_curve(x, Curve(*parameters)(x) * (1 + noise), 10000)
    assert abs(find_update_epoch(fitted, 0.9) - PUBLISHED[parameters][2]) <= 1


def test_curve_equals_its_formula_at_numbers_and_arrays() -> None:
    curve = Curve(0.7, 0.4, 1.5)
    x = [0.0, 0.3, 1.0, 7.0]
    expected = [0.7 * (1 - math.exp(-(value**0.4) / 1.5)) for value in x]
    assert curve(x).tolist() == pytest.approx(expected, abs=1e-15)
    assert float(curve(7)) == pytest.approx(expected[3], abs=1e-15)
    assert curve(0.0) == 0.0


@given(a=st.floats(0.01, 1), b=st.floats(0.05, 1), c=st.floats(0.05, 50), x=st.floats(0.1, 20))
def test_slope_is_that_of_the_curve(a: float, b: float, c: float, x: float) -> None:
    curve, step = Curve(a, b, c), 1e-5 * x
    difference = (curve(x + 1e-6 + step) - curve(x + 1e-6 - step)) / (2 * step)
    assert float(curve.slope(x)) == pytest.approx(float(difference), rel=1e-4, abs=1e-9)


def test_slope_is_finite_at_the_start() -> None:
    shifted = 1e-6
    expected = 0.6 * 0.5 / 2 * math.exp(-(shifted**0.5) / 2) * shifted**-0.5
    assert float(Curve(0.6, 0.5, 2.0).slope(0)) == pytest.approx(expected, rel=1e-12)


def count_epochs_by_loop(a: float, b: float, c: float, threshold: float, epochs: int) -> int:
    def slope(x: float) -> float:
        x += 1e-6
        return a * b / c * math.exp(-(x**b) / c) * x ** (b - 1)

    count = 0
    for epoch in range(1, epochs + 1):
        change = abs(slope(epoch) - slope(1)) / slope(1)
        if change > 1:
            change = 0
        count += change <= threshold
    return count + 1


@given(
    a=st.floats(0.01, 1),
    b=st.floats(0.05, 3),  # above 1 the slope grows first, by more than itself
    c=st.floats(0.1, 1000),
    threshold=st.floats(0.05, 0.95),
    epochs=st.integers(1, 40),
)
def test_update_epoch_equals_a_loop(a: float, b: float, c: float, threshold: float, epochs: int) -> None:
    assert find_update_epoch(Curve(a, b, c), threshold, epochs) == count_epochs_by_loop(a, b, c, threshold, epochs)


def test_slope_that_more_than_doubles_counts_as_unchanged() -> None:
    growing = Curve(0.5, 3.0, 1000.0)  # f'(t) / f'(1) is about t^2 at first
    assert count_epochs_by_loop(0.5, 3.0, 1000.0, 0.5, 3) == find_update_epoch(growing, 0.5, 3) == 4


def test_curve_that_is_flat_long_before_epoch_1_has_flattened_at_epoch_2() -> None:
    curve = Curve(0.6, 0.9, 1e-4)
    assert curve.slope(1) == 0
    assert find_update_epoch(curve, 0.9) == 2


@pytest.mark.parametrize("flat", [Curve(0.0, 0.5, 1.0), Curve(0.5, 0.0, 1.0)])
def test_curve_that_is_flat_everywhere_has_no_epoch(flat: Curve) -> None:
    with pytest.raises(ValueError, match="flat"):
        find_update_epoch(flat, 0.9)


@pytest.mark.parametrize(
    "parameters", [(-0.1, 1.0, 1.0), (1.0, -0.1, 1.0), (1.0, 1.0, 0.0), (math.nan, 1.0, 1.0), (1.0, 1.0, math.inf)]
)
def test_parameters_that_make_no_curve_are_refused(parameters: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        Curve(*parameters)


# Shapes at which a solver may divide by zero or overflow: constants, zero, fewer points than parameters, one jump.
@pytest.mark.parametrize(
    "y", [[0.5] * 8, [0.0] * 8, [0.3], [0.1, 0.5], [0.0] * 7 + [1.0], [1.0] * 30, [0.9, 0.5, 0.1, 0.0], [1e-9] * 5]
)
def test_degenerate_points_raise_no_warning(y: list[float]) -> None:
    fitted = fit_curve(place_points(len(y), 1, 1), np.array(y), 10000)
    assert np.isfinite(fitted(place_points(len(y), 1, 1))).all()


def test_last_points_weigh_most() -> None:
    x = place_points(20, 1, 2)
    y = np.clip(Curve(0.7, 0.6, 2.0)(x) + np.random.default_rng(0).normal(scale=0.1, size=20), 0, 1)
    weights = 10 ** (np.arange(20) / 19)  # 1 / sigma: from 1 to 10 in even ratios

    def weigh_errors(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        return weights * (parameters[0] * (1 - np.exp(-(x ** parameters[1]) / parameters[2])) - y)

    expected = least_squares(weigh_errors, (0.5, 0.5, 1.5), bounds=((0, 0, 0), (1, 1, np.inf))).x
    fitted = fit_curve(x, y, 10000)
    assert (fitted.a, fitted.b, fitted.c) == pytest.approx(expected, abs=2e-3)
    assert 0.01 < fitted.b < 0.99  # no bound decides


@pytest.mark.parametrize(("x", "y"), [([0, 1, 2], [0.1, 0.2]), ([], [])])
def test_points_that_do_not_match_are_refused(x: list[float], y: list[float]) -> None:
    with pytest.raises(ValueError, match="shapes"):
        fit_curve(np.array(x, float), np.array(y, float), 100)


def test_points_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="infs or NaNs"):
        fit_curve(np.arange(4.0), np.array([0.1, np.nan, 0.3, 0.4]), 100)


def test_a_fit_that_takes_too_long_says_so() -> None:
    x = place_points(53, 100, VOC_EPOCH)
    with pytest.raises(RuntimeError, match="maximum number"):
        fit_curve(x, Curve(0.9, 1.0, 5.0)(x), 2)


def test_doctests() -> None:
    results = doctest.testmod(adapt.correction.curve)
    assert results.failed == 0
    assert results.attempted >= 3
