"""Confusion counts of segmentations, and the scores that follow from them.

Counts add up over images, so the score of a set is the score of its merged counts. The mean of per-image scores is
another number, and not one that benchmarks publish.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

IGNORE = 255  # the label of pixels that count nowhere

# Labels and predictions are uint8: 256 values each.
_VALUES = 256


def count_confusion(label: NDArray[np.uint8], prediction: NDArray[np.uint8], num_classes: int) -> NDArray[np.int64]:
    """Count how often each class was predicted as each class.

    Args:
        label: uint8 of any shape; train ids in 0..K-1, 255 where the pixel is ignored.
        prediction: uint8 of the same shape; train ids in 0..K-1, at ignored pixels too.
        num_classes: K, from 1 to 255.

    Returns:
        (K, K) int64; rows are labels, columns predictions. Its sum is the number of pixels that are not ignored.

    Raises:
        ValueError: If a dtype or a shape differs from the above, a prediction is K or more, or a label is K or more and
            not 255; the text names the ids.

    Example:
        >>> label = np.array([[0, 0, 1], [1, 255, 1]], dtype=np.uint8)
        >>> prediction = np.array([[0, 1, 1], [1, 0, 1]], dtype=np.uint8)
        >>> count_confusion(label, prediction, 2)
        array([[1, 1],
               [0, 3]])
    """
    if not 1 <= num_classes <= IGNORE:
        raise ValueError(f"num_classes is {num_classes}, but 1 to {IGNORE} fit beside the ignored label {IGNORE}")
    if label.dtype != np.uint8 or prediction.dtype != np.uint8:
        raise ValueError(f"label and prediction must be uint8, got {label.dtype} and {prediction.dtype}")
    if label.shape != prediction.shape:
        raise ValueError(f"label and prediction differ in shape: {label.shape} and {prediction.shape}")
    if prediction.size and prediction.max() >= num_classes:
        found = np.unique(prediction[prediction >= num_classes]).tolist()
        raise ValueError(f"prediction has ids {found}, but {num_classes} classes allow 0 to {num_classes - 1}")
    # One histogram of (label, prediction) pairs. At most 255 * 255 + 254 = 65279, so that uint16 holds it.
    pairs = label.astype(np.uint16) * np.uint16(num_classes) + prediction
    counts = np.bincount(pairs.ravel(), minlength=_VALUES * num_classes).reshape(_VALUES, num_classes)
    unknown = np.flatnonzero(counts[num_classes:IGNORE].any(axis=1)) + num_classes
    if unknown.size:
        raise ValueError(
            f"label has ids {unknown.tolist()}, but {num_classes} classes allow 0 to {num_classes - 1}, "
            f"and {IGNORE} for ignored pixels"
        )
    return counts[:num_classes].astype(np.int64)


def merge(confusions: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Add confusion counts up: those of images to those of a set, those of domains to the pooled.

    Args:
        confusions: One or more (K, K) integer arrays.

    Returns:
        (K, K) int64, a new array.

    Raises:
        ValueError: If there is none, or their shapes differ.

    Example:
        >>> merge([np.array([[1, 0], [0, 2]]), np.array([[0, 3], [0, 1]])])
        array([[1, 3],
               [0, 3]])
    """
    parts = [check_confusion(part) for part in confusions]
    if not parts:
        raise ValueError("there are no confusion counts to merge")
    shapes = {part.shape for part in parts}
    if len(shapes) > 1:
        raise ValueError(f"confusion counts of different shapes cannot be merged: {sorted(shapes)}")
    total: NDArray[np.int64] = np.sum(parts, axis=0, dtype=np.int64)
    return total


def iou_per_class(confusion: NDArray[np.int64]) -> NDArray[np.float64]:
    """Divide, for each class, the pixels labelled and predicted so by those labelled or predicted so.

    Args:
        confusion: (K, K) integers; rows are labels, columns predictions.

    Returns:
        (K,) float64 in [0, 1]; nan where the class occurs neither in a label nor in a prediction.

    Raises:
        ValueError: If the counts are not a square array of integers that are 0 or more.

    Example:
        >>> iou_per_class(np.array([[1, 1, 0], [0, 3, 0], [0, 0, 0]]))
        array([0.5 , 0.75,  nan])
    """
    counts = check_confusion(confusion)
    intersection = np.diagonal(counts)
    union = counts.sum(axis=0) + counts.sum(axis=1) - intersection
    return _divide(intersection, union)


def average_defined(values: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Average arrays of one shape, such as the IoU of classes in several cells, over those that are a number there.

    Args:
        values: float64, at least one.

    Returns:
        float64 of their shape; nan where none is a number.

    Example:
        >>> average_defined([np.array([0.2, np.nan, np.nan]), np.array([0.4, 0.5, np.nan])])
        array([0.3, 0.5, nan])
    """
    stacked = np.stack(values)
    found = ~np.isnan(stacked)
    count = found.sum(axis=0)
    total = np.where(found, stacked, 0.0).sum(axis=0)
    return np.divide(total, count, out=np.full(total.shape, np.nan), where=count > 0)


def mean_iou(confusion: NDArray[np.int64]) -> float | None:
    """Average the IoU over the classes that occur.

    A class that is predicted and never labelled counts, with 0, as it does in MMSegmentation.

    Args:
        confusion: (K, K) integers; rows are labels, columns predictions.

    Returns:
        The mIoU in [0, 1], or None if no pixel was counted.

    Raises:
        ValueError: If the counts are not a square array of integers that are 0 or more.

    Example:
        >>> mean_iou(np.array([[1, 1, 0], [0, 3, 0], [0, 0, 0]]))
        0.625
    """
    return _mean(iou_per_class(confusion))


def pixel_accuracy(confusion: NDArray[np.int64]) -> float | None:
    """Give the share of pixels that were predicted as labelled (aAcc).

    Args:
        confusion: (K, K) integers; rows are labels, columns predictions.

    Returns:
        The accuracy in [0, 1], or None if no pixel was counted.

    Raises:
        ValueError: If the counts are not a square array of integers that are 0 or more.

    Example:
        >>> pixel_accuracy(np.array([[1, 1], [0, 3]]))
        0.8
    """
    counts = check_confusion(confusion)
    total = int(counts.sum())
    return int(np.trace(counts)) / total if total else None


def class_accuracy(confusion: NDArray[np.int64]) -> float | None:
    """Average, over the classes that occur in a label, the share of their pixels that was predicted so (mAcc).

    Args:
        confusion: (K, K) integers; rows are labels, columns predictions.

    Returns:
        The mean accuracy in [0, 1], or None if no pixel was counted.

    Raises:
        ValueError: If the counts are not a square array of integers that are 0 or more.

    Example:
        >>> class_accuracy(np.array([[1, 1], [0, 3]]))
        0.75
    """
    counts = check_confusion(confusion)
    return _mean(_divide(np.diagonal(counts), counts.sum(axis=1)))


def check_confusion(confusion: NDArray[np.int64], ndim: int = 2) -> NDArray[np.int64]:
    """Make sure that an array holds confusion counts.

    Args:
        confusion: Integers, the last two axes (K, K).
        ndim: Number of axes: 2, or 3 for one (K, K) per image.

    Returns:
        The same counts as int64.

    Raises:
        ValueError: If the counts have another shape, are no integers or are below 0.

    Example:
        >>> check_confusion(np.zeros((2, 3), dtype=np.int64))
        Traceback (most recent call last):
        ...
        ValueError: confusion counts must be integers of 2 axes, the last two equal, got int64 of shape (2, 3)
    """
    square = confusion.ndim == ndim and confusion.shape[-1] == confusion.shape[-2]
    if not square or not np.issubdtype(confusion.dtype, np.integer):
        raise ValueError(
            f"confusion counts must be integers of {ndim} axes, the last two equal, "
            f"got {confusion.dtype} of shape {confusion.shape}"
        )
    if confusion.size and confusion.min() < 0:
        raise ValueError(f"confusion counts cannot be below 0, got {confusion.min()}")
    return confusion.astype(np.int64, copy=False)


def _divide(numerator: NDArray[np.int64], denominator: NDArray[np.int64]) -> NDArray[np.float64]:
    quotient = np.full(denominator.shape, np.nan)
    np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient


def _mean(values: NDArray[np.float64]) -> float | None:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if defined.size else None
