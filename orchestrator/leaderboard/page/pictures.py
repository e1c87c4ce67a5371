"""The pictures of rows inside a page: each file once, however many rows show it, and the best rows' within a budget."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from PIL import Image

from orchestrator.leaderboard.row import Picture, Row

FindPicture = Callable[[Picture, str], Path | None]
"""A picture and the panel of it (`image`, `label`, `prediction`, `error`) -> its file, or None where it is gone."""

BUDGET = 2_000_000  # letters of all pictures of a page, ours: leaves 1 MB of the 3 MB for the numbers of 50 rows

_TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png", ".webp": "image/webp"}


@dataclass
class Album:
    """Pictures as data URIs, and which row shows which.

    Attributes:
        images: one data URI for each different file.
        shown: id of a row object -> its pictures: frame, condition, and panel -> index into `images`.
        left_out: id of a row object -> how many of its pictures the budget had no room for.
        colours: id of a row object -> the colour of each of its classes in its pictures, such as `#804080`.
    """

    images: list[str] = field(default_factory=list)
    shown: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    left_out: dict[int, int] = field(default_factory=dict)
    colours: dict[int, list[str]] = field(default_factory=dict)


def fill_album(tables: Sequence[Sequence[Row]], find_picture: FindPicture, budget: int = BUDGET) -> Album:
    """Embed the pictures of rows, the best rows of every table first, until the budget is used up.

    Args:
        tables: the rows of each table, best first.
        find_picture: finds the files.
        budget: letters that all data URIs may take together.
    """
    album = Album()
    places: dict[str, int] = {}  # digest of a file -> its index
    used = 0
    for row in _take_turns(tables):
        classes = () if row.detail is None else row.detail.classes
        for picture in () if row.detail is None else row.detail.pictures:
            files = {panel: path for panel in picture.files if (path := find_picture(picture, panel)) is not None}
            panels = {panel: read for panel, path in files.items() if (read := read_picture(path)) is not None}
            fresh = {digest: uri for digest, uri in panels.values() if digest not in places}
            cost = sum(len(uri) for uri in fresh.values())
            if used + cost > budget:
                album.left_out[id(row)] = album.left_out.get(id(row), 0) + 1
                continue
            used += cost
            for digest, uri in fresh.items():
                places[digest] = len(album.images)
                album.images.append(uri)
            if panels:
                shown = {panel: places[digest] for panel, (digest, _) in panels.items()}
                entry = {"frame": picture.frame, "condition": picture.condition, "panels": shown}
                album.shown.setdefault(id(row), []).append(entry)
                if id(row) not in album.colours and (colours := read_colours(files, classes)):
                    album.colours[id(row)] = colours
    return album


def read_colours(files: Mapping[str, Path | None], classes: Sequence[str]) -> list[str]:
    """Return the colour of each class in the pictures of a frame, as `#rrggbb`; nothing where their palette does not tell.

    Args:
        files: panel -> its file. That of the labels, or else of the prediction, has a palette in the order of the classes.
        classes: their names.
    """
    for file in filter(None, (files.get("label"), files.get("prediction"))):
        try:
            with Image.open(file) as picture:
                palette = bytes(picture.getpalette() or ())
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):  # no picture, or a broken one
            continue
        if len(palette) >= 3 * len(classes):
            return [f"#{palette[3 * index : 3 * index + 3].hex()}" for index in range(len(classes))]
    return []


def _take_turns(tables: Sequence[Sequence[Row]]) -> Iterator[Row]:
    """Yield the best row of every table, then the second of every table, and so on."""
    for rank in zip_longest(*tables):
        yield from (row for row in rank if row is not None)


def read_picture(path: Path) -> tuple[str, str] | None:
    """Return the digest and the data URI of a picture's file, or None where it cannot be read or is no picture."""
    kind = _TYPES.get(path.suffix.lower())
    if kind is None:
        return None
    try:
        content = path.read_bytes()
    except OSError:
        return None
    return hashlib.sha256(content).hexdigest(), f"data:{kind};base64,{base64.b64encode(content).decode()}"
