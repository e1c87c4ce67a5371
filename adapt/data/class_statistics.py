"""How many pixels of each class each label holds, in memory and in the three files that the field exchanges.

The files lie in the root, for the training split, as the converters of DAFormer and its successors write them:

- `sample_class_stats.json`: one object an image, `{"0": pixels, ..., "file": path}`;
- `sample_class_stats_dict.json`: `{path: {"0": pixels, ...}}`;
- `samples_with_class.json`: `{"0": [[path, pixels], ...]}`.

Classes that an image does not show are left out. Paths are written relative to the root; those read are matched by file
name, because the community's hold whatever folder their converter was run from.
"""

from __future__ import annotations

import functools
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.atomic import write_atomically
from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame, prepare_command
from adapt.data.parallel import OnProgress, map_files
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.errors import PrerequisiteError

SAMPLES_FILE = "sample_class_stats.json"
SAMPLES_BY_PATH_FILE = "sample_class_stats_dict.json"
SAMPLES_BY_CLASS_FILE = "samples_with_class.json"
STATISTICS_FILES = (SAMPLES_FILE, SAMPLES_BY_PATH_FILE, SAMPLES_BY_CLASS_FILE)

# How many labels a file's counts are compared with before they are believed; ours: a file that was made for other
# labels differs in nearly every one of them, and reading eight takes a second at most.
CHECKED_LABELS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class ClassStatistics:
    """The class pixels of a number of labels.

    Attributes:
        files: The label files, with `/`: as frames name them, or as a file that was read does.
        counts: (N, K) int64 pixels of each class in each label; ignored pixels are in no column.
    """

    files: tuple[str, ...]
    counts: NDArray[np.int64]

    @property
    def pixels(self) -> dict[int, int]:
        """Train id -> pixels in all labels together; classes that none shows are left out."""
        return {index: int(total) for index, total in enumerate(self.counts.sum(axis=0)) if total > 0}


def class_statistics(
    frames: Sequence[Frame], settings: DatasetSettings, workers: int = 1, on_progress: OnProgress | None = None
) -> ClassStatistics:
    """Count the class pixels of frames' labels, without writing anything.

    Args:
        frames: Frames from `list_frames`, or some of them; each has a label.
        settings: The settings they were listed with.
        workers: Processes to use.
        on_progress: Called with (labels done, labels in all).

    Returns:
        The counts, in the order of the frames, at label resolution (`resize` plays no part).

    Raises:
        PrerequisiteError: A label is missing or cannot be read; the text names it.
    """
    count = functools.partial(_count_label, settings=settings)
    rows = list(map_files(count, frames, workers, on_progress))
    num_classes = describe_dataset(settings).num_classes
    counts = np.array(rows, dtype=np.int64).reshape(len(frames), num_classes)
    return ClassStatistics(tuple(_label_of(frame).as_posix() for frame in frames), counts)


def write_class_statistics(statistics: ClassStatistics, root: Path) -> None:
    """Write the three files.

    Args:
        statistics: Counts whose files lie under the root.
        root: The data set's own folder, which the files go to.

    Raises:
        OSError: The folder cannot be written to.
        ValueError: A label lies outside the root.
    """
    samples: list[dict[str, Any]] = []
    by_path: dict[str, dict[str, int]] = {}
    by_class: dict[str, list[tuple[str, int]]] = {str(index): [] for index in statistics.pixels}
    for file, row in zip(statistics.files, statistics.counts, strict=True):
        path = Path(file).relative_to(root).as_posix()
        shown = {str(index): int(row[index]) for index in np.flatnonzero(row)}
        samples.append({**shown, "file": path})
        by_path[path] = shown
        for index, pixels in shown.items():
            by_class[index].append((path, pixels))
    for name, content in zip(STATISTICS_FILES, (samples, by_path, by_class), strict=True):
        write_atomically(root / name, (json.dumps(content, indent=2) + "\n").encode())


def read_class_statistics(root: Path, num_classes: int) -> ClassStatistics:
    """Read `sample_class_stats.json`, which holds all that the other two files do.

    Args:
        root: The data set's own folder.
        num_classes: K.

    Returns:
        The counts, in the order of the file.

    Raises:
        PrerequisiteError: The file is missing or not of this format.
    """
    path = root / SAMPLES_FILE
    try:
        samples = json.loads(path.read_text(encoding="utf-8"))
        files = tuple(str(sample["file"]) for sample in samples)
        counts = np.zeros((len(samples), num_classes), dtype=np.int64)
        for row, sample in zip(counts, samples, strict=True):
            for key, pixels in sample.items():
                if key != "file":
                    row[_as_class(key, num_classes)] = pixels
    except OSError as error:
        raise PrerequisiteError(
            f"Cannot read the class statistics '{path}': {error.strerror}. Run `segshift data prepare` for this root."
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PrerequisiteError(
            f"The class statistics '{path}' are not a list of {{train id: pixels, \"file\": path}} for {num_classes} "
            f"classes ({type(error).__name__}: {error}). Delete the file and run `segshift data prepare` for this root."
        ) from error
    return ClassStatistics(files, counts)


def load_class_statistics(frames: Sequence[Frame], settings: DatasetSettings, root: Path) -> ClassStatistics | None:
    """Take frames' counts from the root's file, if it tells all of them, is not older than any label and is right.

    The file steers rare class sampling and is in no task's key, so it must say what the labels say: of a few labels,
    spread evenly over the frames, the pixels are counted and compared.

    Args:
        frames: Frames from `list_frames`, or some of them; each has a label.
        settings: The settings they were listed with.
        root: The data set's own folder.

    Returns:
        The counts, in the order of the frames, or None; why not is logged.

    Raises:
        PrerequisiteError: A label is missing or cannot be read; the text names it.
    """
    path = root / SAMPLES_FILE
    if not path.is_file():
        _log.info("No class statistics in '%s'.", root)
        return None
    try:
        known = read_class_statistics(root, describe_dataset(settings).num_classes)
    except PrerequisiteError as error:
        _log.warning("%s", error)
        return None
    row_of = {PurePosixPath(file).name: row for row, file in enumerate(known.files)}
    labels = [_label_of(frame) for frame in frames]
    if len(row_of) < len(known.files) or any(label.name not in row_of for label in labels):
        _log.info("The class statistics '%s' do not tell every label of this split.", path)
        return None
    written = path.stat().st_mtime_ns
    if any(label.stat().st_mtime_ns > written for label in labels):
        _log.warning(
            "The class statistics '%s' are older than a label and are not used. %s",
            path,
            _renewal(settings, root),
        )
        return None
    counts = known.counts[[row_of[label.name] for label in labels]]
    for index in _spread(len(frames), CHECKED_LABELS):
        if not np.array_equal(counts[index], _count_label(frames[index], settings)):
            _log.warning(
                "The class statistics '%s' do not describe the label '%s' and are not used. %s",
                path,
                labels[index],
                _renewal(settings, root),
            )
            return None
    return ClassStatistics(tuple(label.as_posix() for label in labels), counts)


def load_or_count(
    frames: Sequence[Frame],
    settings: DatasetSettings,
    root: Path,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> ClassStatistics:
    """Take frames' counts from the root's file if it will do, and count them otherwise; nothing is written.

    Args:
        frames: Frames from `list_frames`, or some of them; each has a label.
        settings: The settings they were listed with.
        root: The data set's own folder.
        workers: Processes to count with.
        on_progress: Called with (labels done, labels in all) while counting.

    Returns:
        The counts, in the order of the frames, at label resolution.

    Raises:
        PrerequisiteError: A label is missing or cannot be read; the text names it.
    """
    known = load_class_statistics(frames, settings, root)
    return class_statistics(frames, settings, workers, on_progress) if known is None else known


def _count_label(frame: Frame, settings: DatasetSettings) -> NDArray[np.int64]:
    num_classes = describe_dataset(settings).num_classes
    return np.bincount(read_label(frame, settings).ravel(), minlength=256)[:num_classes]


def _renewal(settings: DatasetSettings, root: Path) -> str:
    if isinstance(settings, FolderSettings):
        return "Delete the file: the labels are counted where none is found."
    return f"Renew them: {prepare_command(describe_dataset(settings), root)}"


def _spread(length: int, count: int) -> list[int]:
    """Choose `count` of `length` indices (all if there are fewer), evenly from the first to the last."""
    return sorted({round(position) for position in np.linspace(0, length - 1, min(count, length)).tolist()})


def _label_of(frame: Frame) -> Path:
    if frame.label is None:
        raise PrerequisiteError(
            f"The frame '{frame.name}' ('{frame.image}') has no label to count. Choose a split with labels."
        )
    return frame.label


def _as_class(key: str, num_classes: int) -> int:
    index = int(key)
    if not 0 <= index < num_classes:
        raise ValueError(f"train id {index}")
    return index
