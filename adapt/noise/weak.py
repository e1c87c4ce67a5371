"""Masks as coarse as those that class activation maps give.

Paper: none; it stands for labels made from image-level classes, as in ADELE's PASCAL VOC experiments (CVPR 2022).
Implements: a class is known at cells only. A cell belongs to the class with the largest share of its labelled pixels (the
    lowest train id of equal ones), if that share is above the threshold; a mask that is hit becomes its class's cells.
Checked against: naive loops over cells (tests/adapt/noise/test_weak.py).
Deviations: none.
Protocol: unit: a mask. Classes that are not hit keep their masks, but where a cell of a class that is hit covers them, and
    they take part in the contest for cells; a background does not. Pixels that a mask leaves and no cell covers take the
    nearest other class that is left, or the background.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from adapt.data.label_map import IGNORE
from adapt.noise.class_names import find_background
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.repaint import Redrawn, repaint
from adapt.noise.settings import WeakSettings
from adapt.noise.units import Label, Mask, choose_units, find_masks, list_replaceable, widen


def coarsen_masks(
    label: Label, settings: WeakSettings, classes: Sequence[str], generator: np.random.Generator
) -> NoisyLabel:
    """Replace masks by the cells that they dominate.

    Args:
        label: (H, W) uint8 train ids, 255 ignored.
        settings: Rate, cell, threshold, background.
        classes: Names of the classes in train id order.
        generator: The image's; advanced.

    Returns:
        The noisy label; its units are the masks of all classes but the background.

    Raises:
        SpecError: There is no class of the background's name.
    """
    background = find_background(settings, classes)
    contestants = list_replaceable(label, background)
    masks = find_masks(label, contestants)
    hit = choose_units(len(masks), settings.rate, generator)
    redrawn: list[Redrawn] = []
    if len(hit):
        owners = find_owners(label, contestants, settings.cell, settings.threshold)
        for index in hit:
            unit = widen(masks[index], settings.cell, label.shape)  # a cell that holds a pixel reaches no further
            redrawn.append(Redrawn(unit, owners[unit.window] == unit.class_id))
    return NoisyLabel(repaint(label, redrawn, background), units=len(masks), hit=len(hit))


def find_owners(label: Label, contestants: Sequence[int], cell: int, threshold: float) -> Label:
    """Say which class each pixel's cell belongs to.

    Args:
        label: (H, W) uint8 train ids, 255 ignored.
        contestants: Train ids in ascending order; at least one.
        cell: Side of a cell in pixels; cells begin at the upper left corner and are cut off at the other borders.
        threshold: More than this share of a cell's labelled pixels makes it a class's.

    Returns:
        (H, W) uint8 train ids; 255 in cells that are no class's.
    """
    labelled = np.maximum(_count(label != IGNORE, cell), 1)
    shares = np.stack([_count(label == class_id, cell) / labelled for class_id in contestants])  # (K, h, w)
    owners = np.where(shares.max(axis=0) > threshold, np.array(contestants)[shares.argmax(axis=0)], IGNORE)
    pixels = owners.astype(np.uint8).repeat(cell, axis=0).repeat(cell, axis=1)
    return pixels[: label.shape[0], : label.shape[1]]


def _count(mask: Mask, cell: int) -> NDArray[np.int64]:
    """Count the pixels of an (H, W) mask in each cell."""
    rows, columns = (np.arange(0, length, cell) for length in mask.shape)
    return np.add.reduceat(np.add.reduceat(mask.astype(np.int64), rows, axis=0), columns, axis=1)
