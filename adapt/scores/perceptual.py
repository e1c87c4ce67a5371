"""Perceptual consistency: whether the pixels of two frames that look alike are given the same class.

Zhang et al., Perceptual Consistency in Video Segmentation, WACV 2022. Made from its abstract [M]: no code is public. Ours
are: the cosine as the correlation, negative ones taken as 0, and the mean of both directions.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_ROWS = 1024  # pixels compared at a time, so that the table of correlations stays small; ours


def perceptual_consistency(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    first_prediction: NDArray[np.uint8],
    second_prediction: NDArray[np.uint8],
) -> float:
    """Compare two frames by general perceptual features, without flow.

    For each pixel of a frame: the highest correlation with a pixel of the other frame that is predicted as the same class,
    divided by the highest with any. It is 1 where the most alike pixel has the same class, and 0 where no pixel of the
    other frame has it. The score is the mean over both frames' pixels.

    Args:
        first: (C, h, w) floats, features of the one frame.
        second: (C, h, w) floats, of the other.
        first_prediction: (H, W) uint8, the one frame's ids; each place of the features takes that of the pixel at its
            centre.
        second_prediction: (H, W) uint8, the other's.

    Returns:
        The score in [0, 1].

    Raises:
        ValueError: If the frames' features differ in shape, or are not finite.

    Example:
        >>> features = np.eye(2, dtype=np.float32).reshape(2, 1, 2)  # two pixels that have nothing in common
        >>> one, other = np.array([[0, 1]], dtype=np.uint8), np.array([[0, 0]], dtype=np.uint8)
        >>> perceptual_consistency(features, features, one, one)
        1.0
        >>> perceptual_consistency(features, features, one, other)  # 1 and 0 there; 1 and 0 back
        0.5
    """
    if first.shape != second.shape or first.ndim != 3:
        raise ValueError(f"the features of two frames have shapes {first.shape} and {second.shape}, not one (C, h, w)")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("the features hold values that are not finite")
    size = first.shape[1:]
    one, other = _normalise(first), _normalise(second)
    ids, other_ids = _pick_ids(first_prediction, size), _pick_ids(second_prediction, size)
    return (_compare(one, other, ids, other_ids) + _compare(other, one, other_ids, ids)) / 2


def _compare(
    pixels: NDArray[np.float32], others: NDArray[np.float32], ids: NDArray[np.uint8], other_ids: NDArray[np.uint8]
) -> float:
    """Average over the pixels of one frame, (P, C) unit vectors."""
    total = 0.0
    for start in range(0, len(pixels), _ROWS):
        block = slice(start, start + _ROWS)
        correlation = pixels[block] @ others.T  # (rows, P)
        is_same = ids[block, None] == other_ids
        best = correlation.max(axis=1)
        same = np.where(is_same, correlation, 0.0).max(axis=1)
        # Where nothing correlates at all, every pixel of the other frame is as alike as any: the same class will do.
        ratio = np.divide(same, best, out=is_same.any(axis=1).astype(same.dtype), where=best > 0)
        total += float(ratio.sum(dtype=np.float64))
    return total / len(pixels)


def _normalise(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (C, h, w) into (h * w, C) vectors of length 1; those of length 0 stay."""
    vectors = features.reshape(len(features), -1).T.astype(np.float32)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def _pick_ids(prediction: NDArray[np.uint8], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Take the id at the centre of each place of a coarser grid; (h * w,)."""
    rows, columns = (
        ((np.arange(fine) + 0.5) * coarse / fine).astype(np.intp)
        for coarse, fine in zip(prediction.shape, size, strict=True)
    )
    return prediction[np.ix_(rows, columns)].ravel()
