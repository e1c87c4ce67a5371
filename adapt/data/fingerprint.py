"""A data set's identity: what a task's key holds in place of a path."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

from adapt.data.layout import Frame, list_frames
from adapt.data.settings import DatasetSettings


def fingerprint(settings: DatasetSettings, root: Path, require_labels: bool = True) -> str:
    """Summarise which files a choice of frames reads, from their names and sizes.

    The folder's own path and the files' times do not matter, so a data set may be moved or copied. Contents are not
    read: an edit that leaves a file's size as it was is not seen. `resize` is not part of it: a task holds it itself.
    Nor are labels that nobody reads: preparing those of an unlabelled target changes no key.

    Args:
        settings: Type, split and subset.
        root: The data set's own folder.
        require_labels: Whether labels are read. By default they are, and a data set that is not prepared is found out
            here; if not, they are not part of the summary at all, whether they exist or not.

    Returns:
        64 hexadecimal digits (SHA-256) over type, split, subset and, for each frame, the relative path and size in
        bytes of its image and of its label (null where it has none or none is read).

    Raises:
        SpecError: The type, split or subset does not exist.
        PrerequisiteError: The folder is missing or empty, or images and labels do not pair up.
    """
    return fingerprint_frames(list_frames(settings, root, require_labels), settings, root, require_labels)


def fingerprint_frames(
    frames: Sequence[Frame], settings: DatasetSettings, root: Path, require_labels: bool = True
) -> str:
    """Summarise frames that are listed already, as `fingerprint` does.

    Args:
        frames: What `list_frames` gave for the other arguments.
        settings: Type, split and subset.
        root: The data set's own folder.
        require_labels: Whether labels are read.

    Returns:
        64 hexadecimal digits, see `fingerprint`.
    """
    digest = hashlib.sha256()
    digest.update(_line([settings.type, sorted(settings.splits), sorted(settings.subset)]))
    inside = f"{root}{os.sep}"
    for frame in frames:
        row: list[str | int | None] = []
        for path in (frame.image, frame.label if require_labels else None):
            # Strings, as 25,000 frames must not keep a planner waiting.
            file = None if path is None else str(path)
            row += [None, None] if file is None else [_normalise(file, inside), os.stat(file).st_size]
        digest.update(_line(row))
    return digest.hexdigest()


def _normalise(file: str, inside: str) -> str:
    return file.removeprefix(inside).replace(os.sep, "/")


def _line(values: object) -> bytes:
    return (json.dumps(values, ensure_ascii=True, separators=(",", ":")) + "\n").encode("ascii")
