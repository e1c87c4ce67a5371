"""Paints units of a label anew with other masks, and says what becomes of the pixels that they leave."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from adapt.data.label_map import IGNORE
from adapt.noise.units import Label, Mask, Unit


@dataclass(frozen=True, eq=False)
class Redrawn:
    """A unit and the mask that it has from now on.

    Attributes:
        unit: As it was.
        mask: (h, w) bool in the unit's window, as it is to be; empty where nothing of it is left.
    """

    unit: Unit
    mask: Mask


def repaint(label: Label, redrawn: Iterable[Redrawn], background: int | None) -> Label:
    """Paint units anew, one over the other in the order given; what they leave falls to the background or a neighbour.

    A pixel that no new mask covers and whose unit left it takes the class of the nearest pixel of another class that
    did not lose its own; it keeps its class where the image holds no such pixel.

    Args:
        label: (H, W) uint8 train ids; ignored pixels (255) are never painted.
        redrawn: Units and their new masks; each pixel belongs to one unit at most.
        background: The class that pixels fall to and the only one that is painted over. None: pixels fall to the
            nearest other class, and every labelled pixel may be painted over.

    Returns:
        (H, W) uint8, a new array.
    """
    labelled = label != IGNORE
    lost = np.zeros(label.shape, np.bool_)
    painted = np.full(label.shape, IGNORE, np.uint8)
    for item in redrawn:
        window, own = item.unit.window, item.unit.mask
        paintable = labelled[window] if background is None else own | (label[window] == background)
        lost[window] |= own & ~item.mask
        painted[window][item.mask & paintable] = item.unit.class_id
    result = _fill(label, lost, background)
    np.copyto(result, painted, where=painted != IGNORE)
    return result


def take_nearest(label: Label, sources: Mask) -> Label:
    """Give every pixel the class of the source that lies nearest to it.

    Args:
        label: (H, W) uint8.
        sources: (H, W) bool, pixels whose classes are given on; at least one.

    Returns:
        (H, W) uint8. Distances are OpenCV's with its 5x5 mask: Euclidean to within a few percent.
    """
    _, numbers = cv2.distanceTransformWithLabels(
        (~sources).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    classes = np.zeros(int(numbers.max()) + 1, np.uint8)
    classes[numbers[sources]] = label[sources]
    return classes[numbers]


def _fill(label: Label, lost: Mask, background: int | None) -> Label:
    result = label.copy()
    if background is not None:
        result[lost] = background
        return result
    keeps = (label != IGNORE) & ~lost
    for class_id in np.flatnonzero(np.bincount(label[lost], minlength=256)):
        sources = keeps & (label != class_id)
        if sources.any():
            hole = lost & (label == class_id)
            result[hole] = take_nearest(label, sources)[hole]
    return result
