"""Intervals of mIoU over the choice of images, by the percentile bootstrap (Efron & Tibshirani 1993, chapter 13).

A resample draws as many images as there are, with replacement, and merges their confusion counts: its score is that of
a set, not a mean over images.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from adapt.scores.confusion import check_confusion
from adapt.scores.grid import Cell, group_cells, refuse_incomplete

RESAMPLES = 1000  # ours, chosen as usual for 95% intervals


class Interval(NamedTuple):
    """A score with the bounds between which most resamples fall.

    Attributes:
        estimate: The score of the images as they are.
        low: Lower bound.
        high: Upper bound.
    """

    estimate: float
    low: float
    high: float


def bootstrap_miou(
    confusions: NDArray[np.int64], seed: int, resamples: int = RESAMPLES, confidence: float = 0.95
) -> Interval:
    """Give the mIoU of a set of images with its interval over the choice of images.

    Args:
        confusions: (N, K, K) integers, the counts of each image; rows are labels, columns predictions.
        seed: Seed of the resampling; equal seeds give equal intervals.
        resamples: Number of resamples, 1 or more.
        confidence: Share of the resamples inside the interval, in (0, 1).

    Returns:
        mIoU in [0, 1] and its bounds.

    Raises:
        ValueError: If the counts have another shape, hold no pixel or are below 0, or an argument is out of range.

    Example:
        >>> counts = np.array([[[9, 1], [0, 10]], [[5, 5], [0, 10]]])
        >>> interval = bootstrap_miou(counts, seed=0)
        >>> [round(value, 3) for value in interval]
        [0.735, 0.583, 0.905]
    """
    return give_interval(score_resamples(confusions, draw_resamples(len(confusions), seed, resamples)), confidence)


def bootstrap_difference(
    first: NDArray[np.int64],
    second: NDArray[np.int64],
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Interval:
    """Give the mIoU of one model minus that of another on the same images, with its interval.

    Both models see the same resamples, so that what makes an image hard for both cancels. Where the interval contains 0
    the two cannot be told apart.

    Args:
        first: (N, K, K) integers, the counts of each image under the first model.
        second: The same of the second model; image by image in the same order.
        seed: Seed of the resampling; equal seeds give equal intervals.
        resamples: Number of resamples, 1 or more.
        confidence: Share of the resamples inside the interval, in (0, 1).

    Returns:
        The difference in [-1, 1] and its bounds.

    Raises:
        ValueError: As `bootstrap_miou`, or if the two differ in shape or in the labelled pixels of an image.

    Example:
        >>> first = np.array([[[9, 1], [0, 10]], [[5, 5], [0, 10]]])
        >>> second = np.array([[[8, 2], [0, 10]], [[4, 6], [0, 10]]])
        >>> interval = bootstrap_difference(first, second, seed=0)
        >>> interval.low > 0  # the first is better on both images
        True
    """
    counts, others = check_confusion(first, ndim=3), check_confusion(second, ndim=3)
    if counts.shape != others.shape:
        raise ValueError(f"paired counts differ in shape: {counts.shape} and {others.shape}")
    unequal = np.flatnonzero((counts.sum(axis=2) != others.sum(axis=2)).any(axis=1))
    if unequal.size:
        raise ValueError(
            f"{unequal.size} images, the first at index {unequal[0]}, differ in their labelled pixels: "
            "a paired comparison needs the same images in the same order"
        )
    weights = draw_resamples(len(counts), seed, resamples)
    return give_interval(_miou(counts, weights) - _miou(others, weights), confidence)


def bootstrap_mean_corrupted(
    runs: Iterable[Mapping[Cell, NDArray[np.int64]]],
    cells: Sequence[Cell],
    seed: int,
    resamples: int = RESAMPLES,
    confidence: float = 0.95,
) -> Interval:
    """Give the mPC of a network, or its mean over several runs of one, with its interval over the choice of images.

    Every cell and every run sees the same resamples: an image that is drawn is drawn in all of its corruptions.

    Args:
        runs: For each run (N, K, K) integers of each cell, the counts of each image; the same N images in the same order.
        cells: The protocol's cells.
        seed: Seed of the resampling; equal seeds give equal intervals.
        resamples: Number of resamples, 1 or more.
        confidence: Share of the resamples inside the interval, in (0, 1).

    Returns:
        mPC in [0, 1], the mean over the runs, and its bounds.

    Raises:
        ValueError: As `bootstrap_miou`, if there is no run, a run lacks a cell, `cells` is empty or repeats one, or the
            number of images is not everywhere the same.

    Example:
        >>> fog, snow = np.array([[[9, 1], [0, 10]], [[5, 5], [0, 10]]]), np.array([[[8, 2], [0, 10]], [[4, 6], [0, 10]]])
        >>> interval = bootstrap_mean_corrupted([{("fog", 1): fog, ("snow", 1): snow}], [("fog", 1), ("snow", 1)], seed=0)
        >>> [round(value, 3) for value in interval]
        [0.696, 0.548, 0.861]
    """
    weights: NDArray[np.float64] | None = None
    scores = []
    for run in runs:
        refuse_incomplete([cell for cell in cells if cell not in run], cells, "a run")
        if weights is None:
            weights = draw_resamples(len(run[cells[0]]), seed, resamples)
        scores.append(_score_grid(run, cells, weights))
    if not scores:
        raise ValueError("there is no run to give an interval of")
    return give_interval(np.mean(scores, axis=0), confidence)


def draw_resamples(images: int, seed: int | Sequence[int], resamples: int = RESAMPLES) -> NDArray[np.float64]:
    """Draw how often each image occurs in each resample.

    Args:
        images: Number of images, N.
        seed: Equal seeds draw equally.
        resamples: Number of resamples R, 1 or more.

    Returns:
        (1 + R, N) float64; the first row is the images as they are.

    Raises:
        ValueError: If there are no images or no resamples.

    Example:
        >>> draw_resamples(3, seed=0, resamples=2)
        array([[1., 1., 1.],
               [0., 2., 1.],
               [3., 0., 0.]])
    """
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, got {resamples}")
    if images < 1:
        raise ValueError("there are no images to resample")
    drawn = np.random.default_rng(seed).integers(images, size=(resamples, images))
    cells = drawn + images * np.arange(resamples)[:, None]
    counts = np.bincount(cells.ravel(), minlength=resamples * images).reshape(resamples, images)
    return np.vstack([np.ones((1, images)), counts.astype(np.float64)])


def score_resamples(confusions: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the mIoU of each resample.

    Args:
        confusions: (N, K, K) integers, the counts of each image.
        weights: (1 + R, N), see `draw_resamples`.

    Returns:
        (1 + R,) float64 in [0, 1], nan for a resample in which no pixel counts; the first is that of the images as they are.

    Raises:
        ValueError: If the counts have another shape or are below 0.
    """
    return _miou(check_confusion(confusions, ndim=3), weights)


def score_class_resamples(confusions: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give the IoU of each class in each resample.

    Args:
        confusions: (N, K, K) integers, the counts of each image.
        weights: (1 + R, N), see `draw_resamples`.

    Returns:
        (1 + R, K) float64 in [0, 1], nan where a class occurs neither in a label nor in a prediction; the first row is that
        of the images as they are.

    Raises:
        ValueError: If the counts have another shape or are below 0.

    Example:
        >>> counts = np.array([[[9, 1], [0, 0]], [[6, 0], [1, 3]]])
        >>> score_class_resamples(counts, np.array([[1.0, 1.0], [2.0, 0.0]])).round(3)
        array([[0.882, 0.6  ],
               [0.9  , 0.   ]])
    """
    intersection, union = _count_resamples(check_confusion(confusions, ndim=3), weights)
    iou = np.full(union.shape, np.nan)
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou


def give_interval(scores: NDArray[np.float64], confidence: float = 0.95) -> Interval:
    """Give the percentile interval of resampled scores.

    Args:
        scores: (1 + R,) the score of the images as they are, and of each resample.
        confidence: Share of the resamples inside the interval, in (0, 1).

    Returns:
        The score and its bounds.

    Raises:
        ValueError: If `confidence` is out of range, or the images as they are have no score.

    Example:
        >>> give_interval(np.array([0.5, 0.4, 0.6]), confidence=0.5)
        Interval(estimate=0.5, low=0.45, high=0.55)
    """
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must lie in (0, 1), got {confidence}")
    if np.isnan(scores[0]):
        raise ValueError("the counts hold no pixel: every label is ignored")
    tail = (1.0 - confidence) / 2.0
    low, high = np.nanquantile(scores[1:], [tail, 1.0 - tail])
    return Interval(float(scores[0]), float(low), float(high))


def _score_grid(
    run: Mapping[Cell, NDArray[np.int64]], cells: Sequence[Cell], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Give the mPC of each resample: (R,) float64."""
    means = []
    for group in group_cells(cells).values():
        counts = [check_confusion(run[cell], ndim=3) for cell in group]
        for each in counts:
            if len(each) != weights.shape[1]:
                raise ValueError(f"all cells and runs need the same images, got {weights.shape[1]} and {len(each)}")
        means.append(np.mean([_miou(each, weights) for each in counts], axis=0))
    mpc: NDArray[np.float64] = np.mean(means, axis=0)
    return mpc


def _miou(counts: NDArray[np.int64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Score each resample: (R,) float64, nan for one in which no pixel counts. Exact up to 2**53 pixels."""
    intersection, union = _count_resamples(counts, weights)
    iou = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    classes = (union > 0).sum(axis=1)
    scores = np.full(len(iou), np.nan)
    np.divide(iou.sum(axis=1), classes, out=scores, where=classes > 0)
    return scores


def _count_resamples(
    counts: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Count the pixels of intersection and union of each class in each resample: (R, K) each."""
    intersection = weights @ np.diagonal(counts, axis1=1, axis2=2).astype(np.float64)
    union = weights @ (counts.sum(axis=1) + counts.sum(axis=2)).astype(np.float64) - intersection
    return intersection, union
