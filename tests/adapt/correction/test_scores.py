"""Early learning, memorisation and the quality of corrections against naive loops and hand-worked cases."""

from __future__ import annotations

import doctest
from functools import reduce
from operator import add

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

import adapt.correction.scores
from adapt.correction.scores import (
    CorrectionScores,
    EarlyLearningScores,
    count_correction,
    count_early_learning,
    score_correction,
    score_early_learning,
)

K = 4
Ids = NDArray[np.uint8]


def make_labels(seed: int, images: int) -> list[tuple[Ids, Ids, Ids]]:
    """Triples of ids in 0..2 of 4, so that the last class never occurs; some are ignored in each."""
    rng = np.random.default_rng(seed)
    triples = rng.integers(K - 1, size=(images, 3, 6, 7), dtype=np.uint8)
    triples[rng.random(triples.shape) < 0.08] = 255
    return [(triple[0], triple[1], triple[2]) for triple in triples]


def divide(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def average(values: list[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def score_iou_by_loop(pixels: list[tuple[int, int]]) -> list[float | None]:
    return [
        divide(sum(a == b == index for a, b in pixels), sum(index in pixel for pixel in pixels)) for index in range(K)
    ]


def score_early_learning_by_loop(triples: list[tuple[Ids, Ids, Ids]]) -> EarlyLearningScores:
    learned, memorised = [], []
    for triple in triples:
        for predicted, noisy, clean in zip(*(array.ravel().tolist() for array in triple), strict=True):
            if 255 not in (predicted, noisy, clean) and noisy != clean:
                learned.append((clean, predicted))
                memorised.append((noisy, predicted))
    el, m = score_iou_by_loop(learned), score_iou_by_loop(memorised)
    return EarlyLearningScores(tuple(el), average(el), tuple(m), average(m))


def score_correction_by_loop(triples: list[tuple[Ids, Ids, Ids]]) -> CorrectionScores:
    changed, right, wrong, mended = ([0] * K for _ in range(4))
    for triple in triples:
        for noisy, corrected, clean in zip(*(array.ravel().tolist() for array in triple), strict=True):
            if 255 in (noisy, corrected, clean):
                continue
            if corrected != noisy:
                changed[corrected] += 1
                right[corrected] += corrected == clean
            if noisy != clean:
                wrong[clean] += 1
                mended[clean] += corrected == clean
    return CorrectionScores(
        precision=tuple(map(divide, right, changed)),
        recall=tuple(map(divide, mended, wrong)),
        total_precision=divide(sum(right), sum(changed)),
        total_recall=divide(sum(mended), sum(wrong)),
    )


@given(seed=st.integers(0, 10**6), images=st.integers(1, 4))
def test_scores_equal_loops_and_counts_add_up(seed: int, images: int) -> None:
    triples = make_labels(seed, images)
    early = score_early_learning(reduce(add, [count_early_learning(*triple, K) for triple in triples]))
    expected = score_early_learning_by_loop(triples)
    assert early.learned == expected.learned
    assert early.memorised == expected.memorised
    assert early.mean_learned == pytest.approx(expected.mean_learned)
    assert early.mean_memorised == pytest.approx(expected.mean_memorised)
    assert early.learned[K - 1] is None
    correction = score_correction(reduce(add, [count_correction(*triple, K) for triple in triples]))
    assert correction == score_correction_by_loop(triples)


def test_early_learning_by_hand() -> None:
    clean = np.array([[0, 0, 0, 1, 1, 1, 2, 255]], np.uint8)
    noisy = np.array([[1, 1, 0, 0, 255, 1, 0, 1]], np.uint8)
    prediction = np.array([[0, 1, 1, 1, 1, 0, 0, 0]], np.uint8)
    # Wrong and known: clean 0 0 1 2, noisy 1 1 0 0, predicted 0 1 1 0.
    scores = score_early_learning(count_early_learning(prediction, noisy, clean, 3))
    assert scores.learned == (1 / 3, 1 / 2, 0.0)
    assert scores.mean_learned == pytest.approx(5 / 18)
    assert scores.memorised == (1 / 3, 1 / 3, None)
    assert scores.mean_memorised == pytest.approx(1 / 3)


def test_clean_labels_have_no_early_learning_score() -> None:
    label = np.array([[0, 1, 255]], np.uint8)
    scores = score_early_learning(count_early_learning(label, label, label, 2))
    assert scores == EarlyLearningScores((None, None), None, (None, None), None)


def test_correction_by_hand() -> None:
    noisy = np.array([[1, 1, 1, 0, 0, 2, 255, 2, 2]], np.uint8)
    clean = np.array([[0, 0, 0, 0, 0, 2, 0, 255, 2]], np.uint8)
    corrected = np.array([[0, 0, 2, 1, 0, 2, 255, 0, 255]], np.uint8)
    # Changed: to 0 twice, rightly; to 2 and to 1 wrongly. Wrong: three of class 0, two of them mended.
    scores = score_correction(count_correction(noisy, corrected, clean, 3))
    assert scores == CorrectionScores(
        precision=(1.0, 0.0, 0.0), recall=(2 / 3, None, None), total_precision=0.5, total_recall=2 / 3
    )


def test_correction_of_nothing_has_no_scores() -> None:
    label = np.array([[0, 1, 255]], np.uint8)
    assert score_correction(count_correction(label, label, label, 2)) == CorrectionScores(
        (None, None), (None, None), None, None
    )


@pytest.mark.parametrize("count", [count_early_learning, count_correction])
@pytest.mark.parametrize("position", range(3))
def test_shapes_that_differ_are_refused(count: object, position: int) -> None:
    arrays = [np.zeros((2, 3), np.uint8) for _ in range(3)]
    arrays[position] = np.zeros(3, np.uint8)  # numpy would stretch it
    with pytest.raises(ValueError, match="one shape"):
        count(*arrays, 2)  # type: ignore[operator]


@pytest.mark.parametrize("count", [count_early_learning, count_correction])
@pytest.mark.parametrize("position", range(3))
def test_unknown_ids_are_refused(count: object, position: int) -> None:
    arrays = [np.zeros((2, 3), np.uint8) for _ in range(3)]
    arrays[position][1, 1] = 7
    with pytest.raises(ValueError, match=r"ids 0 to 1 and 255, got \[7\]"):
        count(*arrays, 2)  # type: ignore[operator]


def test_doctests() -> None:
    results = doctest.testmod(adapt.correction.scores)
    assert results.failed == 0
    assert results.attempted >= 4
