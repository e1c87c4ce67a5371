"""Whether the classes that noise and correction name occur in the labels that are trained on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from adapt.correction.feasibility import list_named_classes, require_rule_background
from adapt.correction.settings import CorrectionSettings
from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings
from adapt.noise.class_names import require_present
from adapt.noise.settings import NoiseSettings


def check_occurrence(
    noise: NoiseSettings | None,
    correction: CorrectionSettings | None,
    frames: Sequence[Frame],
    dataset: DatasetSettings,
) -> None:
    """Refuse settings that name a class which no label shows.

    Labels are read until every class that is named has been seen: none where none is named, and otherwise a few. All of
    them are read where the answer is an error.

    Args:
        noise: What is done to the labels.
        correction: What is done about them.
        frames: All that are trained on, with labels.
        dataset: The settings they were listed with.

    Raises:
        SpecError: Names the key and the class.
        PrerequisiteError: A label is missing or cannot be read.
    """
    classes = describe_dataset(dataset).classes
    named = list_named_classes(noise, correction, classes)
    pixels = np.zeros(len(classes), np.int64)
    for frame in frames:
        if pixels[named].all():
            return
        pixels += np.bincount(read_label(frame, dataset).ravel(), minlength=256)[: len(classes)]
    labels = f"the {len(frames)} training frames"
    if noise is not None:
        require_present(noise, classes, pixels.tolist(), labels)
    require_rule_background(correction, classes, pixels.tolist(), labels)
