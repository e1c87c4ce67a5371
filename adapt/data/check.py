"""Looks at every file of a data set and names what is wrong with it."""

from __future__ import annotations

import functools
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adapt.data.catalog import DatasetType, find_type
from adapt.data.label_map import IGNORE, RawIds
from adapt.data.layout import pair_files, prepare_command, require_root, select_folders
from adapt.data.parallel import OnProgress, map_files
from adapt.data.problem import Problem
from adapt.data.reading import read_image, read_raw_label, read_train_ids
from adapt.errors import PrerequisiteError

_SHOWN_IDS = 8  # how many wrong ids a reason lists; ours, chosen to fit a line


@dataclass(frozen=True)
class _Files:
    """One image with the labels there are of it."""

    image: Path
    raw_label: Path | None
    label: Path | None


def check(type_name: str, root: Path, workers: int = 1, on_progress: OnProgress | None = None) -> tuple[Problem, ...]:
    """Read every image and label of every split on disk.

    Args:
        type_name: A key of `DATASET_TYPES`.
        root: The data set's own folder.
        workers: Processes to use.
        on_progress: Called with (images done, images in all).

    Returns:
        What is wrong, sorted by file: images or labels without counterpart, files that cannot be read, labels of
        another size than their image, ids that the publishers' table or the classes do not have, and, once for the
        root, labels that are not converted yet. Empty when the data set is ready.

    Raises:
        SpecError: There is no such type.
        PrerequisiteError: The root is missing or holds no image folder of this type.
    """
    dataset = find_type(type_name)
    require_root(dataset, root)
    problems: list[Problem] = []
    files: list[_Files] = []
    unconverted = 0
    for folder in select_folders(dataset, root, dataset.splits, ()):
        found = pair_files(dataset, folder, ())
        needs_labels = folder.split not in dataset.unlabelled_splits
        for stem, image in found.images.items():
            entry = _Files(image, found.raw_labels.get(stem), found.labels.get(stem))
            files.append(entry)
            if entry.label is None and entry.raw_label is not None:
                unconverted += 1
            elif entry.label is None and needs_labels:
                problems.append(Problem(image, "This image has no label. Unpack the data set again or remove it."))
        for stem, label in {**found.labels, **found.raw_labels}.items():
            if stem not in found.images:
                problems.append(Problem(label, "This label has no image. Unpack the data set again or remove it."))
    if unconverted:
        command = prepare_command(dataset, root)
        problems.append(Problem(root, f"{unconverted} labels are not converted to train ids yet. Run: {command}"))
    for found_here in map_files(functools.partial(_check_files, type_name=type_name), files, workers, on_progress):
        problems.extend(found_here)
    return tuple(sorted(problems))


def _check_files(files: _Files, type_name: str) -> list[Problem]:
    dataset = find_type(type_name)
    problems: list[Problem] = []
    size: tuple[int, ...] | None = None
    try:
        size = read_image(files.image).shape[:2]
    except PrerequisiteError as error:
        problems.append(Problem(files.image, str(error)))
    if files.raw_label is not None:
        problems += _check_label(files.raw_label, dataset, size, is_raw=True)
    if files.label is not None and files.label != files.raw_label:
        problems += _check_label(files.label, dataset, size, is_raw=False)
    return problems


def _check_label(path: Path, dataset: DatasetType, size: tuple[int, ...] | None, is_raw: bool) -> list[Problem]:
    try:
        label: RawIds = read_raw_label(path, dataset) if is_raw else read_train_ids(path, dataset)
    except PrerequisiteError as error:
        return [Problem(path, str(error))]
    problems: list[Problem] = []
    if size is not None and label.shape != size:
        problems.append(
            Problem(
                path, f"It is {label.shape[1]}x{label.shape[0]} pixels, its image {size[1]}x{size[0]}. Replace both."
            )
        )
    allowed: Collection[int] = dataset.raw_ids if is_raw else {*range(dataset.num_classes), IGNORE}
    strange = [int(value) for value in np.unique(label) if int(value) not in allowed]
    if strange:
        named = ", ".join(map(str, strange[:_SHOWN_IDS])) + (", ..." if len(strange) > _SHOWN_IDS else "")
        table = f"the published ids of '{dataset.name}'" if is_raw else f"the train ids 0 to {dataset.num_classes - 1}"
        problems.append(Problem(path, f"It holds ids that are not among {table}: {named}. Replace the file."))
    return problems
