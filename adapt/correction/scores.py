"""How much a network has learned from clean pixels and how much it has memorised, and how good corrected labels are.

Counts add up over images; scores are made of the sums. Paper: ADELE, CVPR 2022, arXiv 2110.03740, figures 1 and 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from adapt.scores.confusion import IGNORE, count_confusion, iou_per_class, mean_iou


@dataclass(frozen=True)
class EarlyLearningCounts:
    """Confusion counts over the wrongly labelled pixels of some images.

    Attributes:
        learned: (K, K) int64; rows are clean classes, columns predictions.
        memorised: (K, K) int64; rows are noisy classes, columns predictions.
    """

    learned: NDArray[np.int64]
    memorised: NDArray[np.int64]

    def __add__(self, other: EarlyLearningCounts) -> EarlyLearningCounts:
        """Give the counts of both sets of images together."""
        return EarlyLearningCounts(self.learned + other.learned, self.memorised + other.memorised)


@dataclass(frozen=True)
class EarlyLearningScores:
    """IoU_el and IoU_m, in [0, 1]; None where no pixel is of the class.

    Attributes:
        learned: IoU_el of each class: prediction and clean label, on pixels whose label is wrong.
        mean_learned: over the classes that occur there.
        memorised: IoU_m of each class: prediction and wrong label, on the same pixels.
        mean_memorised: over the classes that occur there.
    """

    learned: tuple[float | None, ...]
    mean_learned: float | None
    memorised: tuple[float | None, ...]
    mean_memorised: float | None


@dataclass(frozen=True)
class CorrectionCounts:
    """Pixels of some images, (K,) int64 each.

    Attributes:
        changed: whose label was changed, by the new class.
        changed_rightly: of these, those whose new label is the clean one.
        wrong: whose label was wrong as it came, by the clean class.
        mended: of these, those whose label is the clean one now.
    """

    changed: NDArray[np.int64]
    changed_rightly: NDArray[np.int64]
    wrong: NDArray[np.int64]
    mended: NDArray[np.int64]

    def __add__(self, other: CorrectionCounts) -> CorrectionCounts:
        """Give the counts of both sets of images together."""
        return CorrectionCounts(
            self.changed + other.changed,
            self.changed_rightly + other.changed_rightly,
            self.wrong + other.wrong,
            self.mended + other.mended,
        )


@dataclass(frozen=True)
class CorrectionScores:
    """Precision and recall of a correction, in [0, 1]; None where there is nothing to divide by.

    Attributes:
        precision: of each new class, the share of changed pixels that are right now.
        recall: of each clean class, the share of wrongly labelled pixels that are right now.
        total_precision: over all changed pixels.
        total_recall: over all wrongly labelled pixels.
    """

    precision: tuple[float | None, ...]
    recall: tuple[float | None, ...]
    total_precision: float | None
    total_recall: float | None


def count_early_learning(
    prediction: NDArray[np.uint8], noisy: NDArray[np.uint8], clean: NDArray[np.uint8], class_count: int
) -> EarlyLearningCounts:
    """Count what is predicted where the label is wrong.

    Args:
        prediction: uint8 of any shape; train ids in 0..K-1.
        noisy: uint8 of the same shape, the label that is trained on.
        clean: uint8 of the same shape. A pixel that is 255 in any of the three is left out.
        class_count: K.

    Returns:
        The counts over the pixels at which `noisy` and `clean` differ.

    Raises:
        ValueError: The shapes differ, or an id is K or more and not 255.

    Example:
        >>> clean, noisy = np.array([0, 0, 1, 1], np.uint8), np.array([0, 1, 0, 255], np.uint8)
        >>> counts = count_early_learning(np.array([0, 0, 0, 1], np.uint8), noisy, clean, 2)
        >>> counts.learned.tolist(), counts.memorised.tolist()
        ([[1, 0], [1, 0]], [[1, 0], [1, 0]])
    """
    _check_ids(class_count, prediction, noisy, clean)
    is_wrong = (noisy != clean) & (noisy != IGNORE) & (clean != IGNORE) & (prediction != IGNORE)
    predicted = prediction[is_wrong]
    return EarlyLearningCounts(
        learned=count_confusion(clean[is_wrong], predicted, class_count),
        memorised=count_confusion(noisy[is_wrong], predicted, class_count),
    )


def score_early_learning(counts: EarlyLearningCounts) -> EarlyLearningScores:
    """Give IoU_el and IoU_m of counted pixels.

    Args:
        counts: Of one image or the sum over many.

    Returns:
        Per class and as mean over the classes that occur in the label or the prediction.

    Example:
        >>> scores = score_early_learning(EarlyLearningCounts(np.diag([3, 0]), np.array([[0, 0], [3, 0]])))
        >>> scores.learned, scores.mean_learned, scores.memorised
        ((1.0, None), 1.0, (0.0, 0.0))
    """
    return EarlyLearningScores(
        learned=_replace_nan(iou_per_class(counts.learned)),
        mean_learned=mean_iou(counts.learned),
        memorised=_replace_nan(iou_per_class(counts.memorised)),
        mean_memorised=mean_iou(counts.memorised),
    )


def count_correction(
    noisy: NDArray[np.uint8], corrected: NDArray[np.uint8], clean: NDArray[np.uint8], class_count: int
) -> CorrectionCounts:
    """Count what a correction changed and what it should have changed.

    Args:
        noisy: uint8 of any shape, the label as it came.
        corrected: uint8 of the same shape.
        clean: uint8 of the same shape. A pixel that is 255 in any of the three is left out.
        class_count: K.

    Returns:
        The counts.

    Raises:
        ValueError: The shapes differ, or an id is K or more and not 255.

    Example:
        >>> noisy, corrected = np.array([1, 1, 0, 0], np.uint8), np.array([0, 1, 1, 0], np.uint8)
        >>> count_correction(noisy, corrected, np.array([0, 0, 0, 0], np.uint8), 2)
        CorrectionCounts(changed=array([1, 1]), changed_rightly=array([1, 0]), wrong=array([2, 0]), mended=array([1, 0]))
    """
    _check_ids(class_count, noisy, corrected, clean)
    is_known = (noisy != IGNORE) & (corrected != IGNORE) & (clean != IGNORE)
    before, after, truth = noisy[is_known], corrected[is_known], clean[is_known]
    changed = count_confusion(truth[after != before], after[after != before], class_count)
    wrong = count_confusion(truth[before != truth], after[before != truth], class_count)
    return CorrectionCounts(
        changed=changed.sum(axis=0),
        changed_rightly=np.diagonal(changed).copy(),
        wrong=wrong.sum(axis=1),
        mended=np.diagonal(wrong).copy(),
    )


def score_correction(counts: CorrectionCounts) -> CorrectionScores:
    """Give precision and recall of counted pixels.

    Args:
        counts: Of one image or the sum over many.

    Returns:
        Per class and over all pixels.

    Example:
        >>> counts = CorrectionCounts(np.array([4, 0]), np.array([3, 0]), np.array([6, 2]), np.array([3, 0]))
        >>> score_correction(counts)
        CorrectionScores(precision=(0.75, None), recall=(0.5, 0.0), total_precision=0.75, total_recall=0.375)
    """
    return CorrectionScores(
        precision=tuple(map(_divide, counts.changed_rightly.tolist(), counts.changed.tolist())),
        recall=tuple(map(_divide, counts.mended.tolist(), counts.wrong.tolist())),
        total_precision=_divide(int(counts.changed_rightly.sum()), int(counts.changed.sum())),
        total_recall=_divide(int(counts.mended.sum()), int(counts.wrong.sum())),
    )


def _check_ids(class_count: int, *arrays: NDArray[np.uint8]) -> None:
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1:  # numpy would stretch some of them over the others
        raise ValueError(f"predictions and labels must be of one shape, got {', '.join(map(str, shapes))}")
    for array in arrays:
        unknown = np.unique(array[(array >= class_count) & (array != IGNORE)]).tolist()
        if unknown:
            raise ValueError(f"{class_count} classes allow the ids 0 to {class_count - 1} and {IGNORE}, got {unknown}")


def _divide(numerator: int, denominator: int) -> float | None:
    return numerator / denominator if denominator else None


def _replace_nan(values: NDArray[np.float64]) -> tuple[float | None, ...]:
    return tuple(None if np.isnan(value) else value for value in values.tolist())
