"""Pixels of each class in noisy labels: what rare class sampling sees of them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.parallel import map_files
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings
from adapt.noise.catalog import add_noise
from adapt.noise.settings import NoiseSettings


def count_noisy_classes(
    frames: Sequence[Frame], dataset: DatasetSettings, noise: NoiseSettings, workers: int = 1
) -> NDArray[np.int64]:
    """Count the class pixels of frames' labels once noise is in them.

    Args:
        frames: All with labels.
        dataset: The settings they were listed with.
        noise: What is done to the labels.
        workers: Processes to use.

    Returns:
        (N, K) int64, in the order of the frames, at label resolution.

    Raises:
        PrerequisiteError: A label is missing or cannot be read.
    """
    rows = list(map_files(partial(_count_label, dataset=dataset, noise=noise), frames, workers))
    return np.array(rows, np.int64).reshape(len(frames), describe_dataset(dataset).num_classes)


def _count_label(frame: Frame, dataset: DatasetSettings, noise: NoiseSettings) -> NDArray[np.int64]:
    classes = describe_dataset(dataset).classes
    noisy = add_noise(read_label(frame, dataset), noise, frame.name, classes).label
    return np.bincount(noisy.ravel(), minlength=256)[: len(classes)]
