"""Confusion counts and their scores against naive loops, hand-worked cases and MMSegmentation's metric."""

from __future__ import annotations

import doctest

import numpy as np
import pytest
from numpy.typing import NDArray

import adapt.scores.confusion
from adapt.scores.confusion import (
    check_confusion,
    class_accuracy,
    count_confusion,
    iou_per_class,
    mean_iou,
    merge,
    pixel_accuracy,
)

HAND = np.array([[6, 2, 0, 0], [1, 3, 0, 4], [0, 0, 0, 0], [0, 0, 0, 0]])
# class 0: 6 / (8 + 7 - 6) = 2/3; class 1: 3 / (8 + 5 - 3) = 3/10; class 2 nowhere; class 3 predicted only: 0 / 4


def pair(num_classes: int, seed: int, shape: tuple[int, ...] = (23, 31)) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A random label with a tenth ignored, and a prediction that is right half of the time."""
    rng = np.random.default_rng(seed)
    label = rng.integers(num_classes, size=shape, dtype=np.uint8)
    prediction = np.where(rng.random(shape) < 0.5, label, rng.integers(num_classes, size=shape)).astype(np.uint8)
    label[rng.random(shape) < 0.1] = 255
    return label, prediction


@pytest.mark.parametrize("num_classes", [1, 2, 11, 19, 254, 255])
def test_counts_equal_a_loop(num_classes: int) -> None:
    label, prediction = pair(num_classes, seed=num_classes)
    expected = [[0] * num_classes for _ in range(num_classes)]
    for row, column in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if row != 255:
            expected[row][column] += 1
    counts = count_confusion(label, prediction, num_classes)
    assert counts.dtype == np.int64
    assert counts.tolist() == expected
    assert counts.sum() == (label != 255).sum()


def test_corner_of_the_16_bit_index_is_counted() -> None:
    label = np.array([254, 255, 0], dtype=np.uint8)
    prediction = np.array([254, 254, 254], dtype=np.uint8)
    counts = count_confusion(label, prediction, 255)
    assert counts[254, 254] == counts[0, 254] == 1
    assert counts.sum() == 2


@pytest.mark.parametrize("shape", [(0,), (0, 5)])
def test_nothing_to_count_gives_zeros(shape: tuple[int, ...]) -> None:
    empty = np.zeros(shape, dtype=np.uint8)
    np.testing.assert_array_equal(count_confusion(empty, empty, 3), np.zeros((3, 3)))


def test_ignored_pixels_count_nowhere() -> None:
    label = np.full((4, 4), 255, dtype=np.uint8)
    assert count_confusion(label, np.zeros((4, 4), dtype=np.uint8), 2).sum() == 0


def test_ids_out_of_range_are_named() -> None:
    good = np.zeros(5, dtype=np.uint8)
    with pytest.raises(ValueError, match=r"label has ids \[19, 33, 254\], but 19 classes allow 0 to 18, and 255"):
        count_confusion(np.array([0, 33, 19, 254, 255], dtype=np.uint8), good, 19)
    with pytest.raises(ValueError, match=r"prediction has ids \[19, 255\], but 19 classes allow 0 to 18"):
        count_confusion(good, np.array([0, 255, 19, 19, 18], dtype=np.uint8), 19)
    ignored = np.full(5, 255, dtype=np.uint8)
    with pytest.raises(ValueError, match=r"prediction has ids \[19\]"):
        count_confusion(ignored, np.full(5, 19, dtype=np.uint8), 19)


def test_other_inputs_are_refused() -> None:
    good = np.zeros((2, 2), dtype=np.uint8)
    with pytest.raises(ValueError, match="must be uint8, got uint8 and int64"):
        count_confusion(good, good.astype(np.int64), 2)
    with pytest.raises(ValueError, match=r"differ in shape: \(2, 2\) and \(4,\)"):
        count_confusion(good, good.ravel(), 2)
    for num_classes in (0, 256):
        with pytest.raises(ValueError, match=f"num_classes is {num_classes}"):
            count_confusion(good, good, num_classes)


def test_merged_counts_are_those_of_the_joined_pixels() -> None:
    pairs = [pair(7, seed) for seed in range(4)]
    merged = merge(count_confusion(label, prediction, 7) for label, prediction in pairs)
    joined = count_confusion(
        np.concatenate([label for label, _ in pairs]), np.concatenate([prediction for _, prediction in pairs]), 7
    )
    assert merged.dtype == np.int64
    np.testing.assert_array_equal(merged, joined)


def test_merging_one_makes_a_copy_and_wide_counts_do_not_overflow() -> None:
    one = np.array([[1]], dtype=np.int64)
    merge([one])[0, 0] = 5
    assert one[0, 0] == 1
    large = np.array([[2**31 - 1]], dtype=np.int32)
    assert merge([large, large])[0, 0] == 2**32 - 2


def test_what_cannot_be_merged_is_refused() -> None:
    with pytest.raises(ValueError, match="no confusion counts"):
        merge([])
    with pytest.raises(ValueError, match=r"different shapes cannot be merged: \[\(2, 2\), \(3, 3\)\]"):
        merge([np.zeros((2, 2), dtype=np.int64), np.zeros((3, 3), dtype=np.int64)])


def test_hand_worked_scores() -> None:
    np.testing.assert_allclose(iou_per_class(HAND), [2 / 3, 3 / 10, np.nan, 0.0])
    assert mean_iou(HAND) == pytest.approx((2 / 3 + 3 / 10 + 0) / 3)
    assert pixel_accuracy(HAND) == pytest.approx(9 / 16)
    assert class_accuracy(HAND) == pytest.approx((6 / 8 + 3 / 8) / 2)


def test_a_single_pixel_is_a_class_that_occurs() -> None:
    counts = np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0]])
    np.testing.assert_array_equal(iou_per_class(counts), [1, 0, 0])
    assert mean_iou(counts) == pytest.approx(1 / 3)
    assert class_accuracy(counts) == pixel_accuracy(counts) == 0.5


def test_no_pixels_have_no_score() -> None:
    nothing = np.zeros((3, 3), dtype=np.int64)
    assert np.isnan(iou_per_class(nothing)).all()
    assert mean_iou(nothing) is None
    assert pixel_accuracy(nothing) is None
    assert class_accuracy(nothing) is None


@pytest.mark.parametrize("seed", range(3))
def test_scores_equal_sets_of_pixels(seed: int) -> None:
    label, prediction = pair(5, seed)
    label[label == 3] = 2  # class 3 is predicted and never labelled
    prediction[prediction == 4] = 1
    label[label == 4] = 1  # class 4 occurs nowhere
    counts = count_confusion(label, prediction, 5)
    kept = [index for index, value in enumerate(label.ravel().tolist()) if value != 255]
    labelled = [{i for i in kept if label.ravel()[i] == k} for k in range(5)]
    predicted = [{i for i in kept if prediction.ravel()[i] == k} for k in range(5)]
    ious = [len(a & b) / len(a | b) if a | b else np.nan for a, b in zip(labelled, predicted, strict=True)]
    np.testing.assert_allclose(iou_per_class(counts), ious)
    assert np.isnan(ious[4])
    assert ious[3] == 0.0
    assert mean_iou(counts) == pytest.approx(np.nanmean(ious))
    accuracies = [len(a & b) / len(a) for a, b in zip(labelled, predicted, strict=True) if a]
    assert class_accuracy(counts) == pytest.approx(sum(accuracies) / len(accuracies))
    assert pixel_accuracy(counts) == pytest.approx(np.mean([label.ravel()[i] == prediction.ravel()[i] for i in kept]))


@pytest.mark.parametrize(
    "counts",
    [np.zeros((2, 3), dtype=np.int64), np.zeros(4, dtype=np.int64), np.zeros((2, 2)), np.array([[1, -1], [0, 0]])],
)
def test_what_is_no_confusion_is_refused(counts: NDArray[np.int64]) -> None:
    for score in (iou_per_class, mean_iou, pixel_accuracy, class_accuracy):
        with pytest.raises(ValueError, match="confusion counts"):
            score(counts)


def test_counts_per_image_have_three_axes() -> None:
    assert check_confusion(np.zeros((4, 2, 2), dtype=np.uint16), ndim=3).dtype == np.int64
    with pytest.raises(ValueError, match="integers of 3 axes"):
        check_confusion(np.zeros((2, 2), dtype=np.int64), ndim=3)


def test_equals_mmsegmentation() -> None:
    import torch

    from adapt.openmmlab import METRICS

    metric = METRICS.get("IoUMetric")
    counts, areas = [], []
    for seed in range(3):
        label, prediction = pair(19, seed)
        prediction[prediction == 5] = 6
        label[label == 5] = 6  # class 5 occurs nowhere
        counts.append(count_confusion(label, prediction, 19))
        areas.append(metric.intersect_and_union(torch.from_numpy(prediction), torch.from_numpy(label), 19, 255))
    intersection, union, _, labelled = (torch.stack(area).sum(0).numpy() for area in zip(*areas, strict=True))
    merged = merge(counts)
    totals = metric.total_area_to_metrics(*(torch.stack(area).sum(0) for area in zip(*areas, strict=True)), ["mIoU"])
    assert pixel_accuracy(merged) == pytest.approx(float(totals["aAcc"]), rel=1e-6)
    assert class_accuracy(merged) == pytest.approx(float(np.nanmean(totals["Acc"])), rel=1e-6)
    assert mean_iou(merged) == pytest.approx(float(np.nanmean(totals["IoU"])), rel=1e-6)
    np.testing.assert_array_equal(np.diagonal(merged), intersection)
    np.testing.assert_array_equal(merged.sum(axis=1), labelled)
    with np.errstate(invalid="ignore"):
        expected = intersection / union
    np.testing.assert_allclose(iou_per_class(merged), expected, rtol=1e-6)
    assert mean_iou(merged) == pytest.approx(np.nanmean(expected), rel=1e-6)


def test_doctests() -> None:
    results = doctest.testmod(adapt.scores.confusion)
    assert results.attempted
    assert not results.failed
