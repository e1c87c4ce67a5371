"""Perceptual consistency against a naive loop and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.scores import perceptual
from adapt.scores.perceptual import perceptual_consistency


def score_naively(first, second, ids, other_ids) -> float:
    def correlate(a, b) -> float:
        product = np.linalg.norm(a) * np.linalg.norm(b)
        return max(float(np.dot(a, b) / product), 0.0) if product else 0.0

    def one_way(features, others, own, theirs) -> float:
        places = [(row, column) for row in range(features.shape[1]) for column in range(features.shape[2])]
        ratios = []
        for here in places:
            values = [
                (correlate(features[:, *here], others[:, *there]), theirs[there] == own[here]) for there in places
            ]
            best, same = max(v for v, _ in values), max((v for v, is_same in values if is_same), default=None)
            ratios.append(0.0 if same is None else 1.0 if best == 0 else same / best)
        return float(np.mean(ratios))

    return (one_way(first, second, ids, other_ids) + one_way(second, first, other_ids, ids)) / 2


@pytest.mark.parametrize("rows", [1024, 5])
def test_against_a_naive_loop(monkeypatch, rows):
    monkeypatch.setattr(perceptual, "_ROWS", rows)
    generator = np.random.default_rng(0)
    first, second = generator.normal(0.3, 1, (2, 6, 3, 4)).astype(np.float32)
    first[:, 0, 0] = 0.0  # looks like nothing
    ids, other_ids = generator.integers(0, 3, (2, 3, 4)).astype(np.uint8)
    other_ids[other_ids == 2] = 1  # class 2 is in one frame only
    expected = score_naively(first, second, ids, other_ids)
    assert perceptual_consistency(first, second, ids, other_ids) == pytest.approx(expected, abs=1e-6)
    assert 0.1 < expected < 0.95


def test_it_is_symmetric_and_one_for_equal_frames():
    generator = np.random.default_rng(1)
    first, second = generator.random((2, 4, 3, 3)).astype(np.float32)
    ids, other_ids = generator.integers(0, 2, (2, 3, 3)).astype(np.uint8)
    there, back = (
        perceptual_consistency(first, second, ids, other_ids),
        perceptual_consistency(second, first, other_ids, ids),
    )
    assert there == pytest.approx(back, abs=1e-7)
    assert perceptual_consistency(first, first, ids, ids) == pytest.approx(1.0, abs=1e-6)


def test_a_prediction_is_read_at_the_centre_of_each_place():
    features = np.eye(4, dtype=np.float32).reshape(4, 2, 2)
    coarse = np.array([[0, 1], [2, 3]], dtype=np.uint8)
    fine = np.full((6, 10), 9, dtype=np.uint8)
    for row, y in enumerate((1, 4)):
        for column, x in enumerate((2, 7)):
            fine[y, x] = coarse[row, column]
    assert perceptual_consistency(features, features, fine, coarse) == 1.0


def test_refuses_features_that_do_not_fit():
    features, ids = np.zeros((2, 3, 3), np.float32), np.zeros((3, 3), np.uint8)
    with pytest.raises(ValueError, match="features of two frames"):
        perceptual_consistency(features, np.zeros((2, 3, 4), np.float32), ids, ids)
    with pytest.raises(ValueError, match="not finite"):
        perceptual_consistency(features + np.nan, features, ids, ids)
