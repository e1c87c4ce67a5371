"""Pixels of each class in noisy labels: what rare class sampling sees of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapt.data.cache import ImageCache
from adapt.data.catalog import describe_dataset
from adapt.data.fingerprint import fingerprint_frames
from adapt.data.layout import Frame
from adapt.data.parallel import map_files
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings
from adapt.noise.catalog import add_noise, describe_noise
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


def load_or_count_noisy(
    frames: Sequence[Frame],
    dataset: DatasetSettings,
    root: Path,
    noise: NoiseSettings,
    cache: ImageCache,
    workers: int = 1,
) -> NDArray[np.int64]:
    """Take the counts of `count_noisy_classes` from the cache if they were made before, and keep them there otherwise.

    Counts are known by the labels' names, sizes and times of change, and by all that decides the noise: where they are
    kept, no label is opened.

    Args:
        frames: What `list_frames` gave for these settings and this root, all with labels.
        dataset: The settings they were listed with.
        root: The data set's own folder.
        noise: What is done to the labels.
        cache: Keeps the counts; a damaged entry is made anew.
        workers: Processes to count with.

    Returns:
        (N, K) int64, see `count_noisy_classes`.

    Raises:
        PrerequisiteError: A label cannot be read.
    """
    times = [frame.label.stat().st_mtime_ns for frame in frames if frame.label is not None]
    made_of = [fingerprint_frames(frames, dataset, root), times]
    recipe = "class counts" + json.dumps(made_of) + describe_noise(noise, describe_dataset(dataset).classes)

    def make() -> NDArray[np.uint8]:
        return count_noisy_classes(frames, dataset, noise, workers).view(np.uint8)  # (N, 8 K): the cache keeps bytes

    return cache.fetch((), recipe, make).view(np.int64)


def _count_label(frame: Frame, dataset: DatasetSettings, noise: NoiseSettings) -> NDArray[np.int64]:
    classes = describe_dataset(dataset).classes
    noisy = add_noise(read_label(frame, dataset), noise, frame.name, classes).label
    return np.bincount(noisy.ravel(), minlength=256)[: len(classes)]
