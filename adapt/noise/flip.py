"""Objects or pixels that carry another class's label.

Paper: none; symmetric and class-pair noise as in the literature on classification with noisy labels.
Implements: a unit that is hit takes another class: any other with equal chance, or the one that its own is mistaken for.
Checked against: hand-made labels (tests/adapt/noise/test_flip.py).
Deviations: none.
Protocol: unit: an object or a pixel; with pairs, of the classes that have one. A background is a class like the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapt.noise.class_names import find_pairs
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.settings import FlipSettings
from adapt.noise.units import Label, choose_units, find_objects, list_classes


def flip_classes(
    label: Label, settings: FlipSettings, classes: Sequence[str], generator: np.random.Generator
) -> NoisyLabel:
    """Give objects or pixels another class.

    Args:
        label: (H, W) uint8 train ids, 255 ignored.
        settings: Rate, unit, target, pairs.
        classes: Names of the classes in train id order.
        generator: The image's; advanced.

    Returns:
        The noisy label.

    Raises:
        SpecError: `pairs` names a class that there is not.
    """
    pairs = find_pairs(settings, classes)
    flippable = list_classes(label) if len(classes) > 1 else []
    if settings.target == "pair":
        flippable = [class_id for class_id in flippable if class_id in pairs]
    result = label.copy()
    if settings.unit == "pixel":
        is_flippable = np.zeros(256, np.bool_)
        is_flippable[flippable] = True
        pixels = np.flatnonzero(is_flippable[label])
        hit = choose_units(len(pixels), settings.rate, generator)
        chosen = pixels[hit]
        result.flat[chosen] = _draw_targets(label.flat[chosen], settings, pairs, len(classes), generator)
        return NoisyLabel(result, units=len(pixels), hit=len(hit))
    objects = find_objects(label, flippable)
    hit = choose_units(len(objects), settings.rate, generator)
    own = np.array([objects[index].class_id for index in hit], np.uint8)
    for index, target in zip(hit, _draw_targets(own, settings, pairs, len(classes), generator), strict=True):
        result[objects[index].window][objects[index].mask] = target
    return NoisyLabel(result, units=len(objects), hit=len(hit))


def _draw_targets(
    own: Label, settings: FlipSettings, pairs: dict[int, int], count: int, generator: np.random.Generator
) -> Label:
    """Draw another class for each of (n,) uint8 classes of `count` that there are; (n,) uint8."""
    if settings.target == "pair":
        table = np.zeros(256, np.uint8)
        table[list(pairs)] = list(pairs.values())
        return table[own]
    drawn = generator.integers(count - 1, size=len(own)) if len(own) else np.zeros(0, np.int64)
    return (drawn + (drawn >= own)).astype(np.uint8)
