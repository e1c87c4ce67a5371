"""Expected calibration error from counts that add up over images.

Guo et al., ICML 2017 (arXiv:1706.04599), equation 3: confidences fall into equal-width bins, each open below and closed
above (0 falls into the first).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 15  # Guo et al. 2017, table 1

_ROUNDING = 1e-5  # by how much a softmax in single precision may pass 1; ours, chosen 100 times its resolution


class CalibrationBins:
    """What has to be counted to know, later, how far confidence and accuracy are apart.

    Attributes:
        counts: (3, 15) float64: pixels, summed confidence and correct pixels of each bin. Counts of several images or
            processes add up.

    Example:
        >>> bins = CalibrationBins()
        >>> counts = bins.accumulate(np.array([0.9, 0.9, 0.6]), np.array([True, False, True]))
        >>> counts.sum(axis=1).round(6).tolist()
        [3.0, 2.4, 2.0]
        >>> round(ece(counts), 6)
        0.4
    """

    def __init__(self) -> None:
        self.counts = np.zeros((3, BINS))

    def accumulate(self, confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Add the pixels of an image.

        Args:
            confidence: Floats of any shape in [0, 1]: the softmax probability of the predicted class at each pixel that
                is not ignored.
            correct: Booleans of the same shape: whether the prediction equals the label.

        Returns:
            A copy of the (3, 15) float64 counts, these pixels included.

        Raises:
            ValueError: If the shapes differ, `correct` is not boolean, or a confidence is nan or outside [0, 1].
        """
        if confidence.shape != correct.shape:
            raise ValueError(f"confidence and correct differ in shape: {confidence.shape} and {correct.shape}")
        if correct.dtype != np.bool_:
            raise ValueError(f"correct must be boolean, got {correct.dtype}")
        values = confidence.ravel().astype(np.float64)
        if not ((values >= 0.0) & (values <= 1.0 + _ROUNDING)).all():
            raise ValueError(f"confidences must lie in [0, 1], got {values.min()} to {values.max()}")
        values = np.minimum(values, 1.0)
        index = np.searchsorted(np.arange(1, BINS) / BINS, values, side="left")
        self.counts[0] += np.bincount(index, minlength=BINS)
        self.counts[1] += np.bincount(index, weights=values, minlength=BINS)
        self.counts[2] += np.bincount(index[correct.ravel()], minlength=BINS)
        return self.counts.copy()


def ece(counts: NDArray[np.float64]) -> float | None:
    """Average the distance of accuracy and mean confidence over the bins, weighted by their pixels.

    Args:
        counts: (3, B) floats: pixels, summed confidence and correct pixels of each bin.

    Returns:
        The expected calibration error in [0, 1], or None if no pixel was counted.

    Raises:
        ValueError: If the counts have another shape.

    Example:
        >>> ece(np.array([[4.0, 0.0], [1.0, 0.0], [3.0, 0.0]]))  # confidence 0.25, accuracy 0.75
        0.5
    """
    if counts.ndim != 2 or len(counts) != 3:
        raise ValueError(f"calibration counts must have shape (3, bins), got {counts.shape}")
    pixels, confidence, correct = counts
    total = float(pixels.sum())
    return float(np.abs(correct - confidence).sum()) / total if total else None
