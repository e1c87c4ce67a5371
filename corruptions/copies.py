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
from corruptions.catalog import check_severity, corruption
from corruptions.errors import CorruptionError
from corruptions.image_file import decode_image, encode_png, list_images, write_whole
from corruptions.image_id import BY_NAME, ImageIds
from corruptions.manifest import Manifest, Row
from corruptions.processes import is_stopped, map_unordered
from corruptions.protocol import Cell, Protocol
from corruptions.protocol_file import describe
from corruptions.seeding import derive_seed

FORMAT = 2  # of the manifest and of the folder

OnProgress = Callable[[int, int], None]
"""Called with (images done, images in all) after each image."""


@dataclass(frozen=True)
class CopyReport:
    """What `write_copies` did.

    Attributes:
        images: Images that have all copies that were asked for.
        written: Copies written.
        kept: Copies that were there already, with the content that the manifest says.
        problems: (path in the folder, reason) of each image that could not be dealt with, sorted; empty when the folder is
            whole.
        left_out: Image files whose names do not end in the image suffix.
    """

    images: int
    written: int
    kept: int
    problems: tuple[tuple[str, str], ...]
    left_out: int = 0


@dataclass(frozen=True)
class _Job:
    """What is the same for all images; it travels to the processes."""

    root: Path
    out: Path
    protocol: Protocol
    cells: tuple[Cell, ...]
    seed: int
    ids: ImageIds


@dataclass(frozen=True)
class _Copied:
    row: Row
    written: int
    kept: int


@dataclass(frozen=True)
class _Failed:
    """An image that could not be dealt with, what the manifest may still say of it, and its copies that lie there."""

    source: str
    reason: str
    row: Row | None = None
    copies: tuple[str, ...] = ()

    def describe(self) -> str:
        """Return the reason, and that there are copies nevertheless."""
        there = f"; {len(self.copies)} copies that were made of it before are still there" if self.copies else ""
        return self.reason + there


def write_copies(
    source: Path,
    out: Path,
    protocol: Protocol,
    seed: int = 0,
    cells: Sequence[Cell] | None = None,
    workers: int = 1,
    on_progress: OnProgress | None = None,
    ids: ImageIds = BY_NAME,
) -> CopyReport:
    """Write a corrupted copy of every image of a folder for every cell of a protocol.

    Makes out/CORRUPTION/SEVERITY/ with the folders and names of `source`, PNG files (lossless; the suffix becomes .png), and
    out/manifest.json. The pixels of a copy depend on the seed, the image's id (its name: `ids`), corruption, severity and the
    backend's version alone. Copies that are there with the hash that the manifest says stay; a command that was interrupted
    goes on, to the same bytes. Images whose file has changed are copied anew. Labels are not touched.

    Args:
        source: The folder of images.
        out: The folder to write: new, empty, or one that holds copies of the same protocol, seed and ids.
        protocol: The protocol; its cells and backend decide what the whole folder holds.
        seed: The experiment's seed.
        cells: Write these of the protocol's cells only; another call can add the rest.
        workers: Processes to use.
        on_progress: Called with (images done, images in all).
        ids: How images get the ids from which seeds are derived. With the data set's image suffix the copies are what a
            benchmark sees of its frames.

    Returns:
        What was done, and what could not be.

    Raises:
        CorruptionError: If a cell does not exist or is not the protocol's, the protocol corrupts after a resize, `source`
            holds no images, two of them would be the same copy or have the same id, or `out` lies inside it, holds something
            else, copies made otherwise or of other images, or cannot be written.
    """
    if out.resolve().is_relative_to(source.resolve()):
        raise CorruptionError(
            f"'{out}' lies in '{source}', where copies would be taken for images: give a folder beside it, such as "
            f"'{source.resolve().parent / (source.resolve().name + '_corrupted')}'"
        )
    if protocol.insertion_point != "before_resize":
        raise CorruptionError(
            f"protocol {protocol.name!r} corrupts images at the size that a network sees, and copies keep their own: leave its "
            "`insertion_point` out"
        )
    _refuse_unknown_cells(protocol, cells or ())
    files = list_images(source)
    names = ids.select(files)
    _refuse_same_copies(names)
    ids.refuse_equal(names)
    job = _Job(source, out, protocol, tuple(cells or protocol.cells), seed, ids)
    failures: list[_Failed] = []
    images = written = kept = 0
    whole = True
    with closing(Manifest(out, describe_copies(protocol, seed, ids))) as manifest:
        _refuse_other_images(manifest, names, source, out)
        manifest.begin(_end((), False))
        tasks = ((name, manifest.find(name)) for name in names)
        with closing(map_unordered(functools.partial(_copy_image, job), tasks, workers)) as results:
            for done, result in enumerate(results, start=1):
                if isinstance(result, _Failed):
                    failures.append(result)
                else:
                    images, written, kept = images + 1, written + result.written, kept + result.kept
                    whole = whole and len(result.row["copies"]) == len(protocol.cells)
                if result.row is not None and result.row != manifest.find(result.row["source"]):
                    manifest.add(result.row)
                if on_progress is not None:
                    on_progress(done, len(names))
        failures.sort(key=lambda failure: failure.source)
        manifest.finish(
            [failure.source for failure in failures if failure.row is None], _end(failures, whole and not failures)
        )
    problems = tuple((failure.source, failure.describe()) for failure in failures)
    return CopyReport(images, written, kept, problems, len(files) - len(names))


def describe_copies(protocol: Protocol, seed: int, ids: ImageIds = BY_NAME) -> dict[str, Any]:
    """Describe what decides the pixels of every copy in a folder, as the manifest opens with it."""
    return {
        "format": FORMAT,
        "protocol": protocol.name,
        "cells": describe(protocol)["cells"],
        "backends": list(protocol.backends),
        "version": protocol.version,
        "channel_order": protocol.channel_order,
        "insertion_point": protocol.insertion_point,
        "seed": seed,
        "image_ids": ids.describe(),
    }


def place_copy(source: str, cell: Cell) -> str:
    """Name the copy of an image, relative to the folder of copies.

    Example:
        >>> place_copy("city/a.jpg", ("fog", 3))
        'fog/3/city/a.png'
    """
    name, severity = cell
    return (PurePosixPath(name, str(severity)) / PurePosixPath(source).with_suffix(".png")).as_posix()


def _end(failures: Sequence[_Failed], whole: bool) -> dict[str, Any]:
    """Return what the manifest closes with."""
    problems = [
        {"source": failure.source, "reason": failure.reason, "copies": list(failure.copies)} for failure in failures
    ]
    return {"problems": problems, "status": "finished" if whole else "incomplete"}


def _refuse_unknown_cells(protocol: Protocol, chosen: Sequence[Cell]) -> None:
    for name, severity in protocol.cells:
        corruption(name)
        check_severity(severity, name)
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
    except OSError as error:  # what it holds is not known: what was noted of its copies may still hold
        return _Failed(source, f"it cannot be read ({error.strerror or error})", row, _list_copies(job, source))
    image_id, digest = job.ids.identify(source), hashlib.sha256(data).hexdigest()
    made: dict[Cell, Row] = {(copy["corruption"], copy["severity"]): copy for copy in (row or {}).get("copies", ())}
    wanted = set(job.cells)
    if row is not None and row["sha256"] != digest:
        wanted |= made.keys()  # no copy of the image as it was may stay
        made = {}
    missing = [cell for cell in job.protocol.cells if cell in wanted and not _is_there(job, made.get(cell))]

    def describe_image() -> Row:
        copies = [made[cell] for cell in job.protocol.cells if cell in made]
        return {"source": source, "id": image_id, "sha256": digest, "copies": copies}

    def fail(reason: str) -> _Failed:
        return _Failed(source, reason, describe_image() if made else None, _list_copies(job, source))

    if not missing:
        return _Copied(describe_image(), 0, len(wanted))
    try:
        image = decode_image(data, "it")
    except CorruptionError as error:
        return fail(str(error))
    for cell in missing:
        if is_stopped():
            return fail("stopped")
        name, severity = cell
        seed = derive_seed(job.seed, image_id, name, severity)
        try:
            order = job.protocol.channel_order
            corrupted = corrupt(image, name, severity, seed, backend=job.protocol.backend, channel_order=order)
            content = encode_png(corrupted)
        except Exception as error:  # one image of ten thousand must not end the command
            return fail(f"{name} at severity {severity} failed ({type(error).__name__}: {error})")
        file = place_copy(source, cell)
        write_whole(job.out / file, content)
        sha256 = hashlib.sha256(content).hexdigest()
        made[cell] = {"file": file, "corruption": name, "severity": severity, "seed": seed, "sha256": sha256}
    return _Copied(describe_image(), len(missing), len(wanted) - len(missing))


def _list_copies(job: _Job, source: str) -> tuple[str, ...]:
    """List the copies of an image that lie in the folder, of whatever it was when they were made."""
    places = (place_copy(source, cell) for cell in job.protocol.cells)
    return tuple(place for place in places if (job.out / place).exists())


def _is_there(job: _Job, copy: Row | None) -> bool:
    if copy is None:
        return False
    try:
        with (job.out / copy["file"]).open("rb") as file:
            return bool(hashlib.file_digest(file, "sha256").hexdigest() == copy["sha256"])
    except OSError:
        return False
