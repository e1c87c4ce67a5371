"""Corrupted copies of a folder of images, for programs that read images from disk."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from corruptions.apply import corrupt
from corruptions.catalog import SEVERITIES, corruption
from corruptions.errors import CorruptionError
from corruptions.image_file import decode_image, encode_png, list_images, write_whole
from corruptions.manifest import Manifest, Row
from corruptions.processes import is_stopped, map_unordered
from corruptions.protocol import Cell, Protocol
from corruptions.seeding import derive_seed

FORMAT = 1  # of the manifest and of the folder

OnProgress = Callable[[int, int], None]
"""Called with (images done, images in all) after each image."""


@dataclass(frozen=True)
class CopyReport:
    """What `write_copies` did.

    Attributes:
        images: Images that have all copies that were asked for.
        written: Copies written.
        kept: Copies that were there already, with the content that the manifest says.
        problems: (image's id, reason) of each image that could not be dealt with, sorted; empty when the folder is whole.
    """

    images: int
    written: int
    kept: int
    problems: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Job:
    """What is the same for all images; it travels to the processes."""

    root: Path
    out: Path
    protocol: Protocol
    cells: tuple[Cell, ...]
    seed: int


@dataclass(frozen=True)
class _Copied:
    row: Row
    written: int
    kept: int


@dataclass(frozen=True)
class _Failed:
    source: str
    reason: str


def write_copies(
    source: Path,
    out: Path,
    protocol: Protocol,
    seed: int = 0,
    cells: Sequence[Cell] | None = None,
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> CopyReport:
    """Write a corrupted copy of every image of a folder for every cell of a protocol.

    Makes out/CORRUPTION/SEVERITY/ with the folders and names of `source`, PNG files (lossless; the suffix becomes .png), and
    out/manifest.json. The pixels of a copy depend on the seed, the image's path relative to `source`, corruption, severity and
    the backend's version alone. Copies that are there with the hash that the manifest says stay; a command that was interrupted
    goes on, to the same bytes. Images whose file has changed are copied anew. Labels are not touched.

    Args:
        source: The folder of images.
        out: The folder to write: new, empty, or one that holds copies of the same protocol and seed.
        protocol: The protocol; its cells and backend decide what the whole folder holds.
        seed: The experiment's seed.
        cells: Write these of the protocol's cells only; another call can add the rest.
        workers: Processes to use.
        on_progress: Called with (images done, images in all).

    Returns:
        What was done, and what could not be.

    Raises:
        CorruptionError: If a cell does not exist or is not the protocol's, `source` holds no images, two of them would be the
            same copy, or `out` lies inside it, holds something else, copies made otherwise or of other images, or cannot be
            written.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise CorruptionError(
            f"'{out}' lies in '{source}', where copies would be taken for images: give a folder beside it, such as "
            f"'{source.resolve().parent / (source.resolve().name + '_corrupted')}'"
        )
    _refuse_unknown_cells(protocol, cells or ())
    names = list_images(source)
    _refuse_same_copies(names)
    job = _Job(source, out, protocol, tuple(cells or protocol.cells), seed)
    problems: dict[str, str] = {}
    images = written = kept = 0
    whole = True
    with closing(Manifest(out, describe_copies(protocol, seed))) as manifest:
        _refuse_other_images(manifest, names, source, out)
        tasks = ((name, manifest.find(name)) for name in names)
        with closing(map_unordered(functools.partial(_copy_image, job), tasks, workers)) as results:
            for done, result in enumerate(results, start=1):
                if isinstance(result, _Failed):
                    problems[result.source] = result.reason
                else:
                    images, written, kept = images + 1, written + result.written, kept + result.kept
                    whole = whole and len(result.row["copies"]) == len(protocol.cells)
                    if result.row != manifest.find(result.row["source"]):
                        manifest.add(result.row)
                if on_progress is not None:
                    on_progress(done, len(names))
        listed = tuple(sorted(problems.items()))
        ending = {
            "problems": [{"source": name, "reason": reason} for name, reason in listed],
            "status": "finished" if whole and not problems else "incomplete",
        }
        manifest.finish(problems, ending)
    return CopyReport(images, written, kept, listed)


def describe_copies(protocol: Protocol, seed: int) -> dict[str, Any]:
    """Describe what decides the pixels of every copy in a folder, as the manifest opens with it."""
    cells: dict[str, list[int]] = {}
    for name, severity in protocol.cells:
        cells.setdefault(name, []).append(severity)
    return {
        "format": FORMAT,
        "protocol": protocol.name,
        "cells": cells,
        "backends": list(protocol.backends),
        "version": protocol.version,
        "channel_order": protocol.channel_order,
        "insertion_point": protocol.insertion_point,
        "seed": seed,
    }


def place_copy(source: str, cell: Cell) -> str:
    """Name the copy of an image, relative to the folder of copies.

    Example:
        >>> place_copy("city/a.jpg", ("fog", 3))
        'fog/3/city/a.png'
    """
    name, severity = cell
    return (PurePosixPath(name, str(severity)) / PurePosixPath(source).with_suffix(".png")).as_posix()


def _refuse_unknown_cells(protocol: Protocol, chosen: Sequence[Cell]) -> None:
    for name, severity in protocol.cells:
        corruption(name)
        if severity not in SEVERITIES:
            raise CorruptionError(f"severity {severity!r} of {name} is none of {SEVERITIES}")
    for cell in chosen:
        if cell not in protocol.cells:
            raise CorruptionError(f"protocol {protocol.name!r} has no cell {cell}")


def _refuse_same_copies(names: Iterable[str]) -> None:
    places: dict[PurePosixPath, str] = {}
    for name in names:
        place = PurePosixPath(name).with_suffix("")
        if place in places:
            raise CorruptionError(
                f"'{places[place]}' and '{name}' would have the same copies, whose names end in .png: rename one of them, or "
                "move it away if it is a label"
            )
        places[place] = name


def _refuse_other_images(manifest: Manifest, names: Sequence[str], source: Path, out: Path) -> None:
    missing = sorted(set(manifest) - set(names))
    if missing:
        raise CorruptionError(
            f"'{out}' holds copies of {len(missing)} images that '{source}' does not hold, such as '{missing[0]}': give the "
            "folder from which they were made, or another folder for the copies"
        )


def _copy_image(job: _Job, task: tuple[str, Row | None]) -> _Copied | _Failed:
    """Make the copies of one image that are not there yet; it is decoded once, and only if one is missing."""
    source, row = task
    try:
        source.encode()
        data = (job.root / source).read_bytes()
    except UnicodeEncodeError:
        return _Failed(source.encode(errors="replace").decode(), "its name is not UTF-8: rename it")
    except OSError as error:
        return _Failed(source, f"it cannot be read ({error.strerror or error})")
    digest = hashlib.sha256(data).hexdigest()
    known: dict[Cell, Row] = {(copy["corruption"], copy["severity"]): copy for copy in (row or {}).get("copies", ())}
    wanted = set(job.cells)
    if row is not None and row["sha256"] != digest:
        wanted |= known.keys()  # no copy of the image as it was may stay
        known = {}
    copies: list[Row] = []
    image, written, kept = None, 0, 0
    for cell in job.protocol.cells:
        name, severity = cell
        if cell not in wanted and cell not in known:
            continue
        if cell in known and (cell not in wanted or _has_content(job.out / known[cell]["file"], known[cell]["sha256"])):
            copies.append(known[cell])
            kept += cell in wanted
            continue
        if is_stopped():
            return _Failed(source, "stopped")
        try:
            image = decode_image(data, "it") if image is None else image
        except CorruptionError as error:
            return _Failed(source, str(error))
        seed = derive_seed(job.seed, source, name, severity)
        try:
            content = encode_png(corrupt(image, name, severity, seed, backend=job.protocol.backend))
        except Exception as error:  # one image of ten thousand must not end the command
            return _Failed(source, f"{name} at severity {severity} failed ({type(error).__name__}: {error})")
        file = place_copy(source, cell)
        write_whole(job.out / file, content)
        written += 1
        copies.append(
            {
                "file": file,
                "corruption": name,
                "severity": severity,
                "seed": seed,
                "sha256": hashlib.sha256(content).hexdigest(),
            }
        )
    return _Copied({"source": source, "sha256": digest, "copies": copies}, written, kept)


def _has_content(path: Path, sha256: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == sha256
    except OSError:
        return False
