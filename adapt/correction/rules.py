"""Which pixels of a label the network's prediction corrects.

Paper: Adaptive Early-Learning Correction for Segmentation from Noisy Annotations, CVPR 2022, arXiv 2110.03740.
Implements: section 3.1, the correction: `single` as for PASCAL VOC, `both` as for SegTHOR.
Checked against: Kangningthu/ADELE, VOCTrainwsegDataset.py and SegThor/brat/label_correction.py, clause by clause
    (tests/adapt/correction/test_rules.py).
Deviations: ignored pixels keep their 255 and count neither as foreground nor as a class of the image (VOC corrects them,
    and counts them as foreground). The published code passes over images that hold no triggered foreground class; here a
    confident prediction of the background corrects them as well. `both` asks nothing of the classes that occur in the
    image (SegTHOR's code: the new class occurs, or is the background).
Protocol: predictions come from the network as it is at an epoch's end; whether `label` is the original or the label as
    corrected so far is the caller's choice.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapt.correction.settings import RuleSettings
from adapt.data.label_map import IGNORE

_VALUES = 256  # of a uint8


def correct_label(
    label: NDArray[np.uint8],
    predicted: NDArray[np.uint8],
    confidence: NDArray[np.float32],
    triggered: frozenset[int],
    background: int | None,
    settings: RuleSettings,
) -> NDArray[np.uint8]:
    """Replace a label by the prediction where the rule allows it.

    A pixel changes when its confidence is above `settings.confidence`, it is not ignored, and:

    - rule `single`: the predicted class has triggered and occurs in the label; the latter is not asked of images that
      hold nothing but background. All changes of the image are taken back when they leave less than `min_foreground` of
      its foreground pixels and more than `max_background` of all its pixels are background then.
    - rule `both`: the predicted class and the label's have triggered.

    The background counts as triggered. Without one nothing is exempt, and nothing is taken back.

    Args:
        label: (H, W) uint8 train ids, 255 = ignore.
        predicted: (H, W) uint8, the most probable class.
        confidence: (H, W) float32, its probability.
        triggered: The classes that have triggered.
        background: The background's train id; None in data sets that have none.
        settings: The rule.

    Returns:
        (H, W) uint8, a new array; 255 exactly where `label` is.

    Raises:
        ValueError: The arrays differ in size, or an id is not uint8.

    Example:
        >>> label, predicted = np.array([[0, 1, 1]], np.uint8), np.array([[1, 1, 0]], np.uint8)
        >>> confidence = np.array([[0.9, 0.9, 0.9]], np.float32)
        >>> correct_label(label, predicted, confidence, frozenset({1}), None, RuleSettings())
        array([[1, 1, 1]], dtype=uint8)
    """
    if not label.shape == predicted.shape == confidence.shape or label.ndim != 2:
        raise ValueError(
            f"label, prediction and confidence must be of one size, got {label.shape}, {predicted.shape} and "
            f"{confidence.shape}"
        )
    if label.dtype != np.uint8 or predicted.dtype != np.uint8:
        raise ValueError(f"label and prediction must be uint8, got {label.dtype} and {predicted.dtype}")
    trusted = np.zeros(_VALUES, np.bool_)
    trusted[list(triggered)] = True
    if background is not None:
        trusted[background] = True
    is_changed = (confidence > settings.confidence) & (label != IGNORE) & trusted[predicted]
    if settings.name == "both":
        is_changed &= trusted[label]
    else:
        is_changed &= _find_allowed(label, background)[predicted]
    corrected = np.where(is_changed, predicted, label)
    if settings.name == "single" and background is not None and _erases(label, corrected, background, settings):
        return label.copy()
    return corrected


def _find_allowed(label: NDArray[np.uint8], background: int | None) -> NDArray[np.bool_]:
    """Give (256,) booleans: the classes that occur, or all of them where nothing but background does."""
    occurs = np.bincount(label.ravel(), minlength=_VALUES) > 0
    occurs[IGNORE] = False
    if background is not None and not np.delete(occurs, background).any():
        return np.ones(_VALUES, np.bool_)
    return occurs


def _erases(label: NDArray[np.uint8], corrected: NDArray[np.uint8], background: int, settings: RuleSettings) -> bool:
    """Tell whether a correction takes too much of an image's foreground away."""
    before, after = (np.count_nonzero((ids != background) & (ids != IGNORE)) for ids in (label, corrected))
    share = np.count_nonzero(corrected == background) / label.size
    return bool(after < settings.min_foreground * before and share > settings.max_background)
