"""Bootstrap intervals against a loop over resamples, and against what is known of them."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from numpy.typing import NDArray

import adapt.scores.bootstrap
from adapt.scores.bootstrap import (
    bootstrap_difference,
    bootstrap_mean_corrupted,
    bootstrap_miou,
    draw_resamples,
    score_class_resamples,
    score_resamples,
)
from adapt.scores.confusion import count_confusion, iou_per_class, mean_iou, merge
from adapt.scores.grid import Cell
from adapt.scores.robustness import mean_corrupted


def dataset(
    images: int, seed: int, accuracies: tuple[float, ...] = (0.7,), classes: int = 4
) -> list[NDArray[np.int64]]:
    """Counts of one model for each accuracy, all on the same labelled images."""
    rng = np.random.default_rng(seed)
    models: list[list[NDArray[np.int64]]] = [[] for _ in accuracies]
    for _ in range(images):
        label = rng.integers(classes - 1, size=200, dtype=np.uint8)  # the last class is at most predicted
        hard = rng.random(200)
        for counts, accuracy in zip(models, accuracies, strict=True):
            prediction = np.where(hard < accuracy, label, (label + 1) % classes).astype(np.uint8)
            counts.append(count_confusion(label, prediction, classes))
    return [np.stack(counts) for counts in models]


def draws(images: int, seed: int, resamples: int) -> NDArray[np.int64]:
    return np.random.default_rng(seed).integers(images, size=(resamples, images))


def naive_scores(counts: NDArray[np.int64], seed: int, resamples: int) -> list[float]:
    scores = []
    for drawn in draws(len(counts), seed, resamples):
        score = mean_iou(merge([counts[index] for index in drawn]))
        assert score is not None
        scores.append(score)
    return scores


def test_interval_equals_a_loop_over_resamples() -> None:
    (counts,) = dataset(13, seed=0)
    interval = bootstrap_miou(counts, seed=5, resamples=200, confidence=0.9)
    scores = sorted(naive_scores(counts, 5, 200))
    # linear between order statistics: position 0.05 * 199 = 9.95 and 0.95 * 199 = 189.05
    assert interval.low == pytest.approx(scores[9] + 0.95 * (scores[10] - scores[9]))
    assert interval.high == pytest.approx(scores[189] + 0.05 * (scores[190] - scores[189]))
    assert interval.estimate == pytest.approx(mean_iou(merge(counts)))
    assert interval.low < interval.estimate < interval.high


def test_difference_equals_a_loop_over_the_same_resamples() -> None:
    first, second = dataset(11, seed=1, accuracies=(0.8, 0.75))
    interval = bootstrap_difference(first, second, seed=2, resamples=100)
    scores = np.subtract(naive_scores(first, 2, 100), naive_scores(second, 2, 100))
    assert interval.low == pytest.approx(np.quantile(scores, 0.025))
    assert interval.high == pytest.approx(np.quantile(scores, 0.975))
    assert interval.estimate == pytest.approx(mean_iou(merge(first)) - mean_iou(merge(second)))


def test_pairing_tells_apart_what_single_intervals_cannot() -> None:
    rng = np.random.default_rng(3)
    first, second = [], []
    for share in rng.uniform(0.2, 0.9, size=40):  # images of very different hardness, a small steady advantage
        right = int(share * 1000)
        first.append([[right, 1000 - right], [1000 - right, right]])
        second.append([[right - 15, 1015 - right], [1015 - right, right - 15]])
    better, worse = np.array(first), np.array(second)
    assert bootstrap_miou(worse, seed=0).high > bootstrap_miou(better, seed=0).low
    difference = bootstrap_difference(better, worse, seed=0)
    assert 0 < difference.low < difference.estimate < difference.high
    swapped = bootstrap_difference(worse, better, seed=0)
    assert swapped == pytest.approx((-difference.estimate, -difference.high, -difference.low))


def test_a_model_does_not_differ_from_itself() -> None:
    (counts,) = dataset(9, seed=4)
    assert bootstrap_difference(counts, counts.copy(), seed=0) == (0.0, 0.0, 0.0)


def test_equal_seeds_give_equal_intervals_and_global_randomness_stays() -> None:
    (counts,) = dataset(9, seed=5)
    np.random.seed(0)
    expected = np.random.uniform()
    np.random.seed(0)
    first = bootstrap_miou(counts, seed=1)
    assert np.random.uniform() == expected
    assert first == bootstrap_miou(counts, seed=1)
    assert first != bootstrap_miou(counts, seed=2)


def test_one_image_has_no_width() -> None:
    (counts,) = dataset(1, seed=6)
    interval = bootstrap_miou(counts, seed=0)
    assert interval.low == interval.estimate == interval.high


def test_interval_covers_about_as_often_as_it_says() -> None:
    population = dataset(400, seed=7)[0]
    truth = mean_iou(merge(population))
    assert truth is not None
    rng = np.random.default_rng(8)
    covered = 0
    for trial in range(200):
        interval = bootstrap_miou(population[rng.integers(400, size=40)], seed=trial, resamples=300)
        covered += interval.low <= truth <= interval.high
    assert 0.88 <= covered / 200 <= 0.99  # 95% nominal, 2 sigma of 200 trials is 3%; 40 images are a little few


def test_resamples_without_a_pixel_are_left_out() -> None:
    counts = np.zeros((2, 2, 2), dtype=np.int64)
    counts[0] = [[3, 1], [0, 4]]  # the second image is all ignored
    interval = bootstrap_miou(counts, seed=0)
    assert interval.low == interval.estimate == interval.high == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_other_arguments_are_refused() -> None:
    (counts,) = dataset(3, seed=9)
    with pytest.raises(ValueError, match="resamples must be 1 or more, got 0"):
        bootstrap_miou(counts, seed=0, resamples=0)
    for confidence in (0.0, 1.0, 95.0):
        with pytest.raises(ValueError, match="confidence must lie in"):
            bootstrap_miou(counts, seed=0, confidence=confidence)
    with pytest.raises(ValueError, match="no images"):
        bootstrap_miou(counts[:0], seed=0)
    with pytest.raises(ValueError, match="every label is ignored"):
        bootstrap_miou(np.zeros_like(counts), seed=0)
    with pytest.raises(ValueError, match="integers of 3 axes"):
        bootstrap_miou(counts[0], seed=0)
    with pytest.raises(ValueError, match="differ in shape"):
        bootstrap_difference(counts, counts[:2], seed=0)


def test_pairs_of_other_images_are_refused() -> None:
    first, second = dataset(6, seed=10, accuracies=(0.8, 0.7))
    swapped = second[[0, 1, 3, 2, 4, 5]]
    with pytest.raises(ValueError, match="2 images, the first at index 2, differ in their labelled pixels"):
        bootstrap_difference(first, swapped, seed=0)


UNEVEN = [("fog", 1), ("noise", 1), ("fog", 5)]


def grids(images: int, seed: int, runs: int = 1) -> list[dict[Cell, NDArray[np.int64]]]:
    """Counts of some runs in an uneven grid, all of the same labelled images."""
    accuracies = tuple(0.9 - 0.1 * place for place in range(len(UNEVEN) * runs))
    counts = iter(dataset(images, seed, accuracies))
    return [{cell: next(counts) for cell in UNEVEN} for _ in range(runs)]


@pytest.mark.parametrize("runs", [1, 2])
def test_the_interval_of_mpc_equals_a_loop_over_resamples(runs: int) -> None:
    """Each resample is scored in all cells and runs; severities, then corruptions, then runs are averaged."""
    made = grids(9, seed=20, runs=runs)
    interval = bootstrap_mean_corrupted(iter(made), UNEVEN, seed=3, resamples=60, confidence=0.9)
    totals = []
    for drawn in [np.arange(9), *draws(9, 3, 60)]:
        means = []
        for run in made:
            row = {cell: mean_iou(merge([counts[index] for index in drawn])) for cell, counts in run.items()}
            means.append(mean_corrupted(row, UNEVEN))
        totals.append(sum(means) / runs)
    assert interval.estimate == pytest.approx(totals[0])
    assert (interval.low, interval.high) == pytest.approx(tuple(np.quantile(totals[1:], [0.05, 0.95])))
    assert interval.low < interval.estimate < interval.high


def test_one_cell_has_the_interval_of_its_miou() -> None:
    (run,) = grids(7, seed=21)
    expected = bootstrap_miou(run["fog", 1], seed=4)
    assert bootstrap_mean_corrupted([run], [("fog", 1)], seed=4) == pytest.approx(expected)


def test_what_is_no_grid_of_counts_has_no_interval() -> None:
    first, second = grids(5, seed=22, runs=2)
    with pytest.raises(ValueError, match=r"a run has no value for 1 of 3 cells \(noise severity 1\)"):
        bootstrap_mean_corrupted([first, {c: v for c, v in second.items() if c[0] == "fog"}], UNEVEN, seed=0)
    with pytest.raises(ValueError, match="need the same images, got 5 and 4"):
        bootstrap_mean_corrupted([first, {**second, ("fog", 5): second["fog", 5][:4]}], UNEVEN, seed=0)
    with pytest.raises(ValueError, match="no run"):
        bootstrap_mean_corrupted([], UNEVEN, seed=0)
    with pytest.raises(ValueError, match="no cells"):
        bootstrap_mean_corrupted([first], [], seed=0)
    with pytest.raises(ValueError, match="integers of 3 axes"):
        bootstrap_mean_corrupted([{**first, ("noise", 1): first["noise", 1][0]}], UNEVEN, seed=0)


def test_doctests() -> None:
    results = doctest.testmod(adapt.scores.bootstrap)
    assert results.attempted
    assert not results.failed


def test_class_scores_of_resamples_equal_a_loop() -> None:
    (counts,) = dataset(9, seed=3)
    counts[:, -1, :], counts[:, :, -1] = 0, 0  # a class that occurs nowhere
    weights = draw_resamples(9, seed=4, resamples=30)
    found = score_class_resamples(counts, weights)
    expected = [iou_per_class(counts.sum(axis=0))]
    expected += [iou_per_class(merge([counts[index] for index in drawn])) for drawn in draws(9, 4, 30)]
    np.testing.assert_allclose(found, np.stack(expected))
    assert np.isnan(found[:, -1]).all()
    assert not np.isnan(found[:, :-1]).any()


def test_the_mean_over_classes_that_occur_is_the_score_of_a_resample() -> None:
    (counts,) = dataset(9, seed=5)
    weights = draw_resamples(9, seed=6, resamples=30)
    np.testing.assert_allclose(
        np.nanmean(score_class_resamples(counts, weights), axis=1), score_resamples(counts, weights)
    )
