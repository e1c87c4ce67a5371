"""Masks that are drawn too small or too large, by erosion and dilation.

Paper: Adaptive Early-Learning Correction for Segmentation from Noisy Annotations, CVPR 2022, arXiv 2110.03740.
Implements: the under- and over-segmentation of its SegTHOR experiments: 3x3 kernel, 2 to 4 iterations, at about 1000 pixels.
Checked against: what Kangningthu/ADELE, SegThor/brat/loading.py does to a mask, by naive loops over pixels.
Deviations: direction and iterations are drawn for each mask (the code: for each image) and the rate counts masks (images);
    a mask is cut out before it is resized, and few pixels far apart, whose window would become huge, are cut out object by
    object [ours]; under-segmentation only removes pixels (the code also sets pixels to background that resizing there and
    back adds to the mask). Without a background [ours]: removed pixels take the class of the nearest pixel outside the
    mask, and grown masks paint over every neighbour.
Protocol: unit: a mask. Masks that are hit are painted one over the other in a drawn order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from adapt.noise.class_names import find_background
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.repaint import Redrawn, repaint
from adapt.noise.settings import MorphologySettings
from adapt.noise.units import Label, Mask, Unit, choose_units, find_masks, find_objects, list_replaceable, widen

_KERNEL = np.ones((3, 3), np.uint8)
_REACH = 2  # pixels on each side that cubic interpolation looks at
# Most pixels that a mask's window is enlarged to (those of the label if it has more); ours: two labels of 2048x1024, tens
# of milliseconds. Two pixels in its opposite corners would take 10^9 and seconds.
_MOST_PIXELS = 2**22


def change_masks(
    label: Label, settings: MorphologySettings, classes: Sequence[str], generator: np.random.Generator
) -> NoisyLabel:
    """Draw masks too small or too large, with equal chance.

    Args:
        label: (H, W) uint8 train ids, 255 ignored.
        settings: Rate, iterations, area, background.
        classes: Names of the classes in train id order.
        generator: The image's; advanced.

    Returns:
        The noisy label; its units are the masks of all classes but the background.

    Raises:
        SpecError: There is no class of the background's name.
    """
    background = find_background(settings, classes)
    masks = find_masks(label, list_replaceable(label, background))
    hit = choose_units(len(masks), settings.rate, generator)
    redrawn: list[Redrawn] = []
    for index in hit:
        grows = bool(generator.integers(2))
        iterations = int(generator.choice(settings.iterations))
        scale = math.sqrt(settings.area / int(masks[index].mask.sum()))
        margin = math.ceil((iterations + _REACH) / scale) + _REACH
        for unit in _cut_out(label, masks[index], scale, margin):
            changed = change_mask(unit.mask, scale, iterations, grows)
            redrawn.append(Redrawn(unit, unit.mask | changed if grows else unit.mask & changed))
    return NoisyLabel(repaint(label, redrawn, background), units=len(masks), hit=len(hit))


def change_mask(mask: Mask, scale: float, iterations: int, grows: bool) -> Mask:
    """Dilate or erode a mask at another size.

    Args:
        mask: (h, w) bool. What lies beyond its border is taken to go on as it is at the border, so that an object that the
            image cuts off is not eroded there.
        scale: Factor on both sides for the size to work at.
        iterations: How often the 3x3 kernel is applied.
        grows: Dilate, else erode.

    Returns:
        (h, w) bool, resized back. Resizing is cubic on 0 and 1 in uint8, as in the published code: above 0 means a half.
    """
    height, width = mask.shape
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    resized = (cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_CUBIC) > 0).astype(np.uint8)
    change = cv2.dilate if grows else cv2.erode
    changed = change(resized, _KERNEL, iterations=iterations)
    return np.asarray(cv2.resize(changed, (width, height), interpolation=cv2.INTER_CUBIC) > 0)


def _cut_out(label: Label, mask: Unit, scale: float, margin: int) -> list[Unit]:
    """Cut out a mask with a margin: as a whole, or object by object where its window at `scale` would be too large.

    Both give the same, but for where the grid of the resized pixels lies and for objects a few of its pixels apart.
    """
    whole = widen(mask, margin, label.shape)
    if whole.mask.size * scale**2 <= max(_MOST_PIXELS, label.size):
        return [whole]
    return [widen(part, margin, label.shape) for part in find_objects(label, [mask.class_id])]
