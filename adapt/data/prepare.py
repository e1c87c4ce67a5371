"""Makes a downloaded data set ready: labels of train ids beside the published ones, and class statistics."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2

from adapt.atomic import write_atomically
from adapt.data.catalog import DatasetType, find_type
from adapt.data.class_statistics import (
    STATISTICS_FILES,
    class_statistics,
    load_class_statistics,
    write_class_statistics,
)
from adapt.data.label_map import apply_label_map
from adapt.data.layout import LabelPair, list_frames, list_label_pairs, require_root, select_folders
from adapt.data.parallel import OnProgress, map_files
from adapt.data.problem import Problem
from adapt.data.reading import is_complete_png, read_raw_label
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError


@dataclass(frozen=True)
class PrepareReport:
    """What `prepare` did.

    Attributes:
        type: The data set's type.
        root: Its folder.
        converted: Labels written in this run.
        up_to_date: Labels that had been converted before.
        counted: Labels counted for class statistics in this run; 0 when the files were up to date.
        problems: Files that could not be dealt with; empty when the data set is ready.
    """

    type: str
    root: Path
    converted: int
    up_to_date: int
    counted: int
    problems: tuple[Problem, ...]


def prepare(type_name: str, root: Path, workers: int = 1, on_progress: OnProgress | None = None) -> PrepareReport:
    """Convert the labels of every split, then count the classes of the training split.

    Each file is written whole or not at all and is left alone when it is there and not older than its source. So a run
    that was interrupted is continued by the next, and a second run changes no byte. A file that cannot be read is
    noted and the others are done; class statistics wait until all labels of the training split are readable.

    Args:
        type_name: A key of `DATASET_TYPES`.
        root: The data set's own folder.
        workers: Processes to use.
        on_progress: Called with (files done, files in all), once for the conversion and once for the counting.

    Returns:
        What was done, and what could not be.

    Raises:
        SpecError: There is no such type.
        PrerequisiteError: The root is missing, holds no image folder of this type, or cannot be written to.
    """
    dataset = find_type(type_name)
    require_root(dataset, root)
    pairs = list_label_pairs(dataset, root)
    pending = [pair for pair in pairs if not _is_up_to_date(pair)]
    if pending:
        _require_writable({root, *(pair.converted.parent for pair in pending)})
    convert = functools.partial(_convert, type_name=type_name)
    problems = [problem for problem in map_files(convert, pending, workers, on_progress) if problem is not None]
    converted = len(pending) - len(problems)
    counted = 0
    if not problems:
        try:
            counted = _refresh_statistics(dataset, root, workers, on_progress)
        except _UnreadySplitError as error:
            problems.append(Problem(root, str(error)))
    return PrepareReport(type_name, root, converted, len(pairs) - len(pending), counted, tuple(sorted(problems)))


class _UnreadySplitError(Exception):
    """The training split cannot be counted; the rest of the data set may be in order."""


def _convert(pair: LabelPair, type_name: str) -> Problem | None:
    dataset = find_type(type_name)
    try:
        label = apply_label_map(read_raw_label(pair.raw, dataset), dataset.label_map)
        encoded = cv2.imencode(".png", label)[1].tobytes()
        write_atomically(pair.converted, encoded)
    except PrerequisiteError as error:
        return Problem(pair.raw, str(error))
    except OSError as error:
        return Problem(pair.converted, f"It cannot be written: {error.strerror}. Make room, then prepare again.")
    return None


def _is_up_to_date(pair: LabelPair) -> bool:
    # The end of the file is looked at because other converters do not write atomically.
    return is_complete_png(pair.converted) and pair.converted.stat().st_mtime_ns >= pair.raw.stat().st_mtime_ns


def _refresh_statistics(dataset: DatasetType, root: Path, workers: int, on_progress: OnProgress | None) -> int:
    """Write the class statistics of the training split if need be, and tell how many labels were counted."""
    split = dataset.train_split
    on_disk = any(folder.images.is_dir() for folder in select_folders(dataset, root, (split,), ()))
    if split in dataset.unlabelled_splits or not on_disk:
        return 0
    settings = DatasetSettings(type=dataset.name, split=split)
    try:
        frames = list_frames(settings, root)
    except PrerequisiteError as error:
        raise _UnreadySplitError(str(error)) from error
    has_files = all((root / name).is_file() for name in STATISTICS_FILES)
    try:
        if has_files and load_class_statistics(frames, settings, root) is not None:
            return 0
    except PrerequisiteError as error:
        raise _UnreadySplitError(str(error)) from error
    _require_writable({root})
    try:
        statistics = class_statistics(frames, settings, workers, on_progress)
    except PrerequisiteError as error:
        raise _UnreadySplitError(str(error)) from error
    write_class_statistics(statistics, root)
    return len(frames)


def _require_writable(folders: Iterable[Path]) -> None:
    for folder in sorted(folders):
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PrerequisiteError(
                f"'{folder}' cannot be written to, and preparing writes labels and class statistics there. "
                f"Run `segshift data prepare` where the data set is writable, or on a writable copy."
            )
