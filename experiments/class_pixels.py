"""How many pixels of each class the labels of a data set hold, where the file beside them says so: no label is opened."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError


class ClassPixels(NamedTuple):
    """Which file was read, and the pixels of each class in all labels, in train id order."""

    file: Path
    pixels: tuple[int, ...]


def read_class_pixels(frames: Sequence[Frame], settings: DatasetSettings, root: Path) -> ClassPixels | None:
    """Add up the class statistics that `segshift data prepare` left in a root, if they tell every label and are newer.

    Args:
        frames: Of the data set.
        settings: They were listed with.
        root: The data set's own folder.

    Returns:
        The pixels, or None where they would have to be counted.
    """
    from adapt.data.class_statistics import SAMPLES_FILE, read_class_statistics  # here: imports OpenCV

    path = root / SAMPLES_FILE
    if not path.is_file():
        return None
    try:
        known = read_class_statistics(root, describe_dataset(settings).num_classes)
    except PrerequisiteError:
        return None  # a training that wants the file says what is wrong with it, and counts
    row_of = {PurePosixPath(file).name: row for row, file in enumerate(known.files)}
    labels = [frame.label for frame in frames if frame.label is not None and frame.label.name in row_of]
    if len(row_of) < len(known.files) or len(labels) < len(frames):
        return None
    written = path.stat().st_mtime_ns
    if any(label.stat().st_mtime_ns > written for label in labels):
        return None
    counts = known.counts[[row_of[label.name] for label in labels]].sum(axis=0)
    return ClassPixels(path, tuple(counts.tolist()))
