"""The noise models by their settings: from a clean label to a noisy one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np

from adapt.data.label_map import IGNORE
from adapt.errors import SpecError
from adapt.noise.boundary import redraw_outlines
from adapt.noise.class_names import list_named
from adapt.noise.drop import drop_objects
from adapt.noise.flip import flip_classes
from adapt.noise.generator import image_generator
from adapt.noise.morphology import change_masks
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.settings import (
    VERSION,
    BoundarySettings,
    DropSettings,
    FlipSettings,
    MorphologySettings,
    NoiseSettings,
    WeakSettings,
)
from adapt.noise.units import Label
from adapt.noise.weak import coarsen_masks

__all__ = ["NoisyLabel", "add_noise", "check_names", "describe_noise"]

_MODELS: dict[type, Callable[[Label, Any, Sequence[str], np.random.Generator], NoisyLabel]] = {
    MorphologySettings: change_masks,
    FlipSettings: flip_classes,
    BoundarySettings: redraw_outlines,
    DropSettings: drop_objects,
    WeakSettings: coarsen_masks,
}


def add_noise(label: Label, settings: NoiseSettings, image_name: str, classes: Sequence[str]) -> NoisyLabel:
    """Add noise to a label.

    The result depends on the arguments alone, and all that is drawn on (`settings.seed`, `image_name`): it is the same in
    any order of images and in any process. A rate of 0 changes nothing.

    Args:
        label: (H, W) uint8 train ids, 255 ignored; it is left as it is. Ignored pixels stay ignored, and no others are.
        settings: The model, its rate and the seed.
        image_name: What the image's and the label's file names share (`Frame.name`).
        classes: Names of the classes in train id order.

    Returns:
        The noisy label, the number of units and how many of them were hit: floor or ceil of rate * units.

    Raises:
        SpecError: The settings name a class that there is not, or the label is no (H, W) uint8 of these classes' ids.
    """
    check_names(settings, classes)
    _check_label(label, image_name, len(classes))
    generator = image_generator(settings.seed, image_name)
    return _MODELS[type(settings)](label, settings, classes, generator)


def check_names(settings: NoiseSettings, classes: Sequence[str]) -> None:
    """Refuse settings that name a class that the data set does not have, before any label is read.

    Args:
        settings: The noise.
        classes: Names of the classes in train id order.

    Raises:
        SpecError: Names the key, what was given, what is allowed and the closest of it.
    """
    list_named(settings, classes)


def describe_noise(settings: NoiseSettings, classes: Sequence[str]) -> str:
    """Spell out all that decides what `add_noise` makes of a label, beside the label and the image's name.

    Args:
        settings: The noise.
        classes: Names of the classes in train id order.

    Returns:
        JSON, for the keys of what is kept of noisy labels.
    """
    return json.dumps([VERSION, cv2.__version__, settings.model_dump(mode="json"), list(classes)])


def _check_label(label: Label, image_name: str, count: int) -> None:
    if label.ndim != 2 or label.dtype != np.uint8:
        raise SpecError(
            f"The label of '{image_name}' has the shape {label.shape} and the type {label.dtype}, but noise is for labels of "
            "one channel of uint8. Read it with `adapt.data.reading.read_label`."
        )
    largest = int(label.max(where=label != IGNORE, initial=0))
    if largest >= count:
        raise SpecError(
            f"The label of '{image_name}' holds the id {largest}, but {count} classes have the train ids 0 to {count - 1} "
            "(and 255 to ignore). Give all classes of the data set, in train id order."
        )
