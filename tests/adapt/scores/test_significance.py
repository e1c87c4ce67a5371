"""p values and Holm's procedure, against scipy, loops and hand-worked cases."""

from __future__ import annotations

import doctest
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import adapt.scores.significance
from adapt.scores.significance import bootstrap_p_value, count_resamples, find_surviving


def test_examples_in_docstrings_hold() -> None:
    assert doctest.testmod(adapt.scores.significance).failed == 0


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ([0.1] * 99, 2 / 100),  # none on the other side
        ([0.1] * 98 + [-0.1], 4 / 100),
        ([0.1] * 98 + [0.0], 4 / 100),  # zero is on both sides
        ([0.1, -0.1] * 50, 1.0),
        ([0.0] * 99, 1.0),
        ([-0.1] * 99, 2 / 100),
        ([0.1] * 99 + [float("nan")] * 7, 2 / 100),  # resamples without a score tell nothing
    ],
)
def test_p_values_by_hand(drawn: list[float], expected: float) -> None:
    assert bootstrap_p_value(np.array([0.05, *drawn])) == pytest.approx(expected)


def test_a_difference_that_is_undefined_has_no_p_value() -> None:
    assert bootstrap_p_value(np.array([np.nan, 0.1, 0.2])) is None
    assert bootstrap_p_value(np.array([0.1, np.nan])) is None


def test_p_values_of_equal_models_are_spread_evenly() -> None:
    """Under the null hypothesis a p value below 0.1 comes in about a tenth of the cases: 400 of them, five deviations wide."""
    rng = np.random.default_rng(0)
    found = 0
    for _ in range(400):
        sample = rng.normal(size=60)
        means = rng.choice(sample, size=(200, 60)).mean(axis=1)
        p = bootstrap_p_value(np.array([sample.mean(), *means]))
        assert p is not None
        found += p < 0.1
    assert abs(found / 400 - 0.1) < 5 * np.sqrt(0.1 * 0.9 / 400)


def holm_naively(p_values: list[float], level: float) -> list[bool]:
    """The closed testing procedure that Holm's shortens: every set of hypotheses that holds one must fall by Bonferroni."""
    places = range(len(p_values))
    sets = [chosen for size in range(1, len(p_values) + 1) for chosen in itertools.combinations(places, size)]
    fallen = {chosen for chosen in sets if min(p_values[place] for place in chosen) <= level / len(chosen)}
    return [all(chosen in fallen for chosen in sets if place in chosen) for place in places]


@given(st.lists(st.floats(0.0001, 1.0), min_size=1, max_size=6), st.sampled_from([0.01, 0.05, 0.2]))
def test_holm_is_the_closed_test_of_bonferroni(p_values: list[float], level: float) -> None:
    assert find_surviving(p_values, level) == holm_naively(p_values, level)


def test_what_has_no_p_value_weighs_nothing() -> None:
    assert find_surviving([0.03, None, 0.02]) == [True, False, True]  # 0.02 <= 0.05 / 2, then 0.03 <= 0.05
    assert find_surviving([None]) == [False]
    assert find_surviving([]) == []


@pytest.mark.parametrize("level", [0.0, 1.0, -1.0])
def test_a_level_is_a_share(level: float) -> None:
    with pytest.raises(ValueError, match="level"):
        find_surviving([0.1], level)


@pytest.mark.parametrize("comparisons", [1, 13, 39, 500])
def test_so_many_resamples_let_the_clearest_difference_survive(comparisons: int) -> None:
    resamples = count_resamples(comparisons)
    smallest = bootstrap_p_value(np.array([1.0, *np.ones(resamples)]))
    assert find_surviving([smallest, *[1.0] * (comparisons - 1)])[0]
