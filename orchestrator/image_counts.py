"""The counts of every image of one run, as they lie beside its record; their draws; and what tells two runs' images apart."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapt.errors import PrerequisiteError
from adapt.scores.bootstrap import RESAMPLES, draw_resamples
from orchestrator.record import Record
from orchestrator.scoring import read_confusion
from orchestrator.stages.counts_file import NAME as COUNTS_FILE
from orchestrator.stages.stage import FRAMES_FILE

SEED = 0  # of the resampling, so that what is made again is the same

FindFile = Callable[[str, str], Path | None]
"""The key of a task and the name of a file beside its record, to the file; None where it is gone or damaged."""


class MissingCountsError(Exception):
    """Why the counts of every image of a run cannot be had."""


class ImageCounts:
    """Reads the counts of a run a cell at a time.

    Args:
        record: of the run.
        find_file: finds the files beside it.

    Attributes:
        frames: cell -> the names of its images, in the order of its counts.

    Raises:
        MissingCountsError: a file is gone or damaged.
    """

    def __init__(self, record: Record, find_file: FindFile) -> None:
        self._record = record
        self._file = _require(record, COUNTS_FILE, find_file)
        if record.kind == "stream":
            self.frames = _read_stream_frames(_require(record, FRAMES_FILE, find_file))
        else:
            self.frames = self._read_frames()

    def _read_frames(self) -> dict[str, tuple[str, ...]]:
        with self._open() as arrays:
            named = {name: tuple(arrays[name].tolist()) for name in arrays.files if name.startswith("frames")}
        return {cell.name: named.get(f"frames:{cell.name}", named["frames"]) for cell in self._record.cells}

    def _open(self) -> np.lib.npyio.NpzFile:
        try:
            return np.load(self._file, allow_pickle=False)
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise MissingCountsError(f"{self._file} cannot be read ({type(error).__name__})") from error

    def read(self, cell: str) -> NDArray[np.int64]:
        """Return the counts of a cell, int64 (N, K, K).

        Raises:
            MissingCountsError: they are not those of its images.
            PrerequisiteError: they do not add up to the counts of the record: one of the two was changed.
        """
        with self._open() as arrays:
            name = f"cell:{cell}"
            counts: NDArray[np.int64] | None = arrays[name] if name in arrays.files else None
        if counts is None or len(counts) != len(self.frames.get(cell, ())):
            raise MissingCountsError(f"{self._file} lacks images of the cell {cell}")
        kept = next(read_confusion(each) for each in self._record.cells if each.name == cell)
        if kept is None or kept.shape != counts.shape[1:] or (counts.sum(axis=0) != kept).any():
            raise PrerequisiteError(
                f"{self._file}: the counts of the images of '{cell}' do not add up to those of the record beside it, so one of the "
                f"two was changed by hand. Remove the task ({self._record.key}: `segshift store rm`) and sweep again."
            )
        return counts


class ImageDraws:
    """Draws the images of cells, each alike in all cells that show it, in whatever order; the same for every run and row.

    Args:
        resamples: how many.
    """

    def __init__(self, resamples: int = RESAMPLES) -> None:
        self._resamples = resamples
        self._places: dict[tuple[str, ...], int] = {}

    def draw(self, names: tuple[str, ...]) -> NDArray[np.float64]:
        """Return how often each image of a cell occurs in each resample, (1 + R, N); see `adapt.scores.bootstrap`."""
        number = self._places.setdefault(tuple(sorted(names)), len(self._places))
        weights = draw_resamples(len(names), SEED if number == 0 else (SEED, number), self._resamples)
        order = np.empty(len(names), np.int64)
        order[np.argsort(np.array(names), kind="stable")] = np.arange(len(names))
        return weights[:, order]


def describe_images(frames: tuple[str, ...], counts: NDArray[np.int64]) -> str:
    """Return a digest of the images of a cell: equal for equal names, order and labelled pixels of each class.

    Args:
        frames: their names.
        counts: int64 (N, K, K).
    """
    state = hashlib.sha256(json.dumps(frames).encode())
    state.update(np.ascontiguousarray(counts.sum(axis=2), np.int64).tobytes())
    return state.hexdigest()


def _require(record: Record, name: str, find_file: FindFile) -> Path:
    file = find_file(record.key, name)
    if file is None:
        raise MissingCountsError(f"the file {name} of task {record.key} is missing or damaged")
    return file


def _read_stream_frames(file: Path) -> dict[str, tuple[str, ...]]:
    frames: dict[str, list[str]] = {}
    try:
        for line in file.read_text(encoding="utf-8").splitlines():
            step: Mapping[str, object] = json.loads(line)
            cell = f"{step['round']}/{step['domain']}"
            frames.setdefault(cell, []).append(f"{step['dataset']}/{step['frame']}")
    except (OSError, ValueError, KeyError) as error:
        raise MissingCountsError(f"{file} cannot be read ({type(error).__name__})") from error
    return {cell: tuple(names) for cell, names in frames.items()}
