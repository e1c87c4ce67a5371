"""Purity by hand."""

from __future__ import annotations

import pytest

from adapt.tta.reservoir.purity import compute_purity


def test_counts_the_majority_of_each_cluster():
    clusters = [0, 0, 0, 1, 1, 2]
    domains = ["fog", "fog", "snow", "snow", "fog", "rain"]
    assert compute_purity(clusters, domains) == pytest.approx((2 + 1 + 1) / 6)


def test_one_cluster_is_as_pure_as_its_largest_domain():
    assert compute_purity([3] * 5, ["a", "b", "b", "c", "b"]) == pytest.approx(3 / 5)
    assert compute_purity([0, 1, 2], ["a", "a", "b"]) == 1.0


def test_nothing_has_no_purity_and_lengths_must_agree():
    assert compute_purity([], []) is None
    with pytest.raises(ValueError):
        compute_purity([0, 1], ["a"])
