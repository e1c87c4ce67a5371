"""Writes noisy labels of a whole data set into a folder of their own, and a manifest of what was done to each."""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.atomic import write_atomically
from adapt.data.catalog import describe_dataset
from adapt.data.class_statistics import load_or_count
from adapt.data.fingerprint import fingerprint_frames
from adapt.data.label_map import IGNORE
from adapt.data.layout import Frame, list_frames
from adapt.data.parallel import OnProgress, map_files
from adapt.data.problem import Problem
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.errors import PrerequisiteError, SpecError
from adapt.noise.catalog import add_noise
from adapt.noise.class_names import list_named, require_present
from adapt.noise.folder import IMAGES, LABEL_SUFFIX, LABELS, MASKS, open_folder, refuse_overlap, write_manifest
from adapt.noise.settings import VERSION, NoiseSettings


@dataclass(frozen=True)
class NoiseReport:
    """What `write_noisy_labels` did.

    Attributes:
        images: Noisy labels written.
        units: Units of the noise model in all of them.
        hit: How many were hit.
        changed_share: Of the labelled pixels, those whose class changed, in [0, 1]; None where no pixel is labelled.
        problems: Files that could not be dealt with; empty when the folder is whole.
    """

    images: int
    units: int
    hit: int
    changed_share: float | None
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Row:
    """What was done to one label; pixels are counted by their clean class."""

    name: str
    clean: Path
    units: int
    hit: int
    pixels: NDArray[np.int64]  # (K,)
    changed: NDArray[np.int64]  # (K,)
    sha256: str


def write_noisy_labels(
    dataset: DatasetSettings,
    root: Path,
    noise: NoiseSettings,
    out: Path,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> NoiseReport:
    """Write a noisy label for each frame of a data set, at the size of its file; the data set itself is left alone.

    Makes out/labels/NAME.png (train ids, 255 ignored), out/mask/NAME.png (255 where noisy and clean differ, else 0),
    out/images/ (links to the originals) and out/manifest.json. `out` is a data set of type `folder`; the manifest's
    `read_as` holds its settings. A folder that holds labels of the same settings is written anew, to the same bytes.

    Args:
        dataset: Which frames; `resize` plays no part.
        root: The data set's own folder.
        noise: The model, its rate and the seed.
        out: The folder to write.
        workers: Processes to use.
        on_progress: Called with (labels done, labels in all).

    Returns:
        What was done, and what could not be.

    Raises:
        SpecError: The settings name a class that does not exist or that no label holds, the split has no labels, or `out`
            holds something else.
        PrerequisiteError: Folders are missing, labels are not prepared, `out` cannot be written, or the settings name
            classes and a label cannot be read to look for them.
    """
    described = describe_dataset(dataset)
    names_classes = bool(list_named(noise, described.classes))
    refuse_overlap(out, described, root)
    frames = list_frames(dataset, root)
    selection = f"data set type '{dataset.type}', split '{', '.join(dataset.splits)}'"
    if all(frame.label is None for frame in frames):
        raise SpecError(
            f"The labels of {selection}, were never published, so there is nothing to add noise to. Choose another split."
        )
    if names_classes:
        pixels = load_or_count(frames, dataset, root, workers).counts.sum(axis=0)
        require_present(noise, described.classes, pixels.tolist(), selection)
    identity = {
        "version": VERSION,
        "noise": noise.model_dump(mode="json"),
        "dataset": dataset.model_dump(mode="json", exclude={"resize"}),
        "fingerprint": fingerprint_frames(frames, dataset, root),
    }
    open_folder(out, json.loads(json.dumps(identity)))
    write = functools.partial(_write_frame, dataset=dataset, noise=noise, out=out)
    results = list(map_files(write, frames, workers, on_progress))
    rows = [result for result in results if isinstance(result, _Row)]
    problems = tuple(sorted(result for result in results if isinstance(result, Problem)))
    read_as = FolderSettings(
        classes=described.classes,
        images=IMAGES,
        labels=LABELS,
        image_suffix=described.image_suffix,
        label_suffix=LABEL_SUFFIX,
    )
    totals = _sum_up(rows, described.classes)
    content: dict[str, Any] = {
        **identity,
        "status": "incomplete" if problems else "finished",
        "root": str(root.resolve()),
        "read_as": read_as.model_dump(mode="json", include={"type", "classes", "image_suffix"}),
        "totals": totals,
        "images": [_describe(row, root) for row in rows],
        "problems": [{"file": str(problem.file), "reason": problem.reason} for problem in problems],
    }
    write_manifest(out, content)
    return NoiseReport(len(rows), totals["units"], totals["hit"], totals["changed_share"], problems)


def _write_frame(frame: Frame, dataset: DatasetSettings, noise: NoiseSettings, out: Path) -> _Row | Problem:
    described = describe_dataset(dataset)
    target = out / LABELS / f"{frame.name}{LABEL_SUFFIX}"
    try:
        _, clean = read_frame(frame, dataset)
        noisy = add_noise(clean, noise, frame.name, described.classes)
        is_changed = noisy.label != clean
        encoded = _encode(noisy.label)
        write_atomically(target, encoded)
        write_atomically(out / MASKS / target.name, _encode(is_changed * np.uint8(255)))
        _link(frame.image, out / IMAGES / f"{frame.name}{described.image_suffix}")
    except (PrerequisiteError, SpecError) as error:
        return Problem(frame.label or frame.image, str(error))
    except OSError as error:
        return Problem(target, f"It cannot be written: {error.strerror}. Make room, then run the same command again.")
    count = described.num_classes
    return _Row(
        name=frame.name,
        clean=frame.label or frame.image,
        units=noisy.units,
        hit=noisy.hit,
        pixels=np.bincount(clean[clean != IGNORE], minlength=count),
        changed=np.bincount(clean[is_changed], minlength=count),
        sha256=hashlib.sha256(encoded).hexdigest(),
    )


def _encode(pixels: NDArray[np.uint8]) -> bytes:
    return bytes(cv2.imencode(".png", pixels)[1].tobytes())


def _link(image: Path, link: Path) -> None:
    """Link to an image: copies of a data set's images would take its size again."""
    if link.is_symlink() and link.resolve() == image.resolve():
        return
    draft = link.with_name(f".{link.name}.{os.getpid()}.partial")
    draft.unlink(missing_ok=True)
    draft.symlink_to(image.resolve())
    draft.replace(link)


def _sum_up(rows: Sequence[_Row], classes: Sequence[str]) -> dict[str, Any]:
    pixels, changed = (
        np.array(counts, np.int64).reshape(-1, len(classes)).sum(axis=0)
        for counts in ([row.pixels for row in rows], [row.changed for row in rows])
    )
    units, hit = sum(row.units for row in rows), sum(row.hit for row in rows)
    return {
        "images": len(rows),
        "units": units,
        "hit": hit,
        "hit_share": _divide(hit, units),
        "changed_share": _divide(int(changed.sum()), int(pixels.sum())),
        "classes": {
            name: {"pixels": int(pixels[i]), "changed_share": _divide(int(changed[i]), int(pixels[i]))}
            for i, name in enumerate(classes)
        },
    }


def _describe(row: _Row, root: Path) -> dict[str, Any]:
    return {
        "name": row.name,
        "clean": row.clean.relative_to(root).as_posix(),
        "units": row.units,
        "hit": row.hit,
        "changed_share": _divide(int(row.changed.sum()), int(row.pixels.sum())),
        "sha256": row.sha256,
    }


def _divide(part: int, whole: int) -> float | None:
    return part / whole if whole else None
