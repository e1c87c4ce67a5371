"""The folder of a data set's noisy labels: what lies where, and whose it is.

It is a data set of type `folder` itself: `images/` (links to the originals), `labels/`, and what tells how they were made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapt.atomic import write_atomically
from adapt.data.catalog import DatasetType
from adapt.data.layout import select_folders
from adapt.errors import PrerequisiteError, SpecError

IMAGES = "images"
LABELS = "labels"
MASKS = "mask"
MANIFEST = "manifest.json"
LABEL_SUFFIX = ".png"


def open_folder(out: Path, identity: Mapping[str, Any]) -> None:
    """Make the folder, or find that it was made with the same settings from the same data; then it is written anew.

    Args:
        out: The folder.
        identity: What decides every byte of the labels, as JSON holds it.

    Raises:
        SpecError: The folder holds noisy labels of other settings or data, or something else.
        PrerequisiteError: It cannot be written.
    """
    if out.exists() and not out.is_dir():
        raise SpecError(f"'{out}' is a file, and noisy labels need a folder. Give another --out.")
    if out.is_dir() and any(out.iterdir()):
        _refuse_others(out, identity)
    try:
        for name in (IMAGES, LABELS, MASKS):
            (out / name).mkdir(parents=True, exist_ok=True)
        write_manifest(out, {**identity, "status": "running"})
    except OSError as error:
        raise PrerequisiteError(
            f"'{out}' cannot be written ({error.strerror or error}). Give another --out, or mend its permissions."
        ) from error


def refuse_overlap(out: Path, dataset: DatasetType, root: Path) -> None:
    """Refuse a folder in which noisy labels would be taken for part of the original data set.

    Args:
        out: Where noisy labels are to go.
        dataset: The data set.
        root: Its folder.

    Raises:
        SpecError: `out` lies in one of its folders of images or labels; the text gives a better place.
    """
    for folder in select_folders(dataset, root, dataset.splits, ()):
        for place in (folder.images, folder.labels):
            if out.resolve().is_relative_to(place.resolve()):
                raise SpecError(
                    f"'{out}' lies in '{place}', whose files are the data set's own. Give a folder of its own as --out, such "
                    f"as '{root.parent / (root.name + '_noisy')}'."
                )


def write_manifest(out: Path, content: Mapping[str, Any]) -> None:
    """Write the manifest, whole or not at all."""
    write_atomically(out / MANIFEST, json.dumps(content, indent=1) + "\n")


def _refuse_others(out: Path, identity: Mapping[str, Any]) -> None:
    try:
        found = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or not identity.keys() <= found.keys():
        raise SpecError(
            f"The folder '{out}' is not empty and holds no noisy labels of this version of segshift. Give a new folder, or an "
            "empty one, as --out."
        )
    differing = [key for key, value in identity.items() if found[key] != value]
    if differing:
        was = "; ".join(f"{key} was {json.dumps(found[key])}" for key in differing)
        raise SpecError(
            f"The folder '{out}' holds noisy labels that were made otherwise ({was}). Give another --out, or remove that folder."
        )
