"""Objects that nobody labelled.

Paper: none; missed objects are the commonest fault of crowd-sourced labels.
Implements: the pixels of an object that is hit take the nearest class other than its own, or the background.
Checked against: hand-made labels (tests/adapt/noise/test_drop.py).
Deviations: none.
Protocol: unit: an object up to a share of the image. What is dropped gives no class to its neighbours: of a rider and a
    bicycle that are both dropped, the road is left.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapt.noise.class_names import find_background
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.repaint import Redrawn, repaint
from adapt.noise.settings import DropSettings
from adapt.noise.units import Label, choose_units, find_objects, list_replaceable


def drop_objects(
    label: Label, settings: DropSettings, classes: Sequence[str], generator: np.random.Generator
) -> NoisyLabel:
    """Take objects out of a label.

    Args:
        label: (H, W) uint8 train ids, 255 ignored.
        settings: Rate, largest share, background.
        classes: Names of the classes in train id order.
        generator: The image's; advanced.

    Returns:
        The noisy label; its units are the objects, of all classes but the background, that are small enough.

    Raises:
        SpecError: There is no class of the background's name.
    """
    background = find_background(settings, classes)
    most = settings.max_share * label.size
    objects = [unit for unit in find_objects(label, list_replaceable(label, background)) if unit.mask.sum() <= most]
    hit = choose_units(len(objects), settings.rate, generator)
    redrawn = [Redrawn(objects[index], np.zeros_like(objects[index].mask)) for index in hit]
    return NoisyLabel(repaint(label, redrawn, background), units=len(objects), hit=len(hit))
