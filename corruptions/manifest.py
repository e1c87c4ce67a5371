"""The manifest of a folder of corrupted copies: what they were made with, and a line for every image.

A running command first writes a manifest that says `incomplete`, then appends a line for each image to a journal of the same
form; when it ends, journal and earlier manifest become the new manifest, sorted. In memory there is only where each image's line
stands, so that ten thousand images take no more than their names.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from corruptions.errors import CorruptionError

NAME = "manifest.json"
JOURNAL = ".manifest.journal"
_IMAGES = b' "images": [\n'
_FOLLOWS_FROM = {"cells": "protocol", "version": "backends"}  # key of an identity -> whose difference brings its own

Row = dict[str, Any]


class Manifest:
    """The lines of a folder's images, by the image's id."""

    def __init__(self, out: Path, identity: Mapping[str, Any]) -> None:
        """Open the manifest of a folder, or begin one; nobody else may until it is closed.

        Args:
            out: The folder; made where it does not exist.
            identity: What decides the pixels of every copy, as JSON holds it.

        Raises:
            CorruptionError: If the folder holds something else or copies made otherwise, cannot be written, or is being
                written by another command.
        """
        self._out, self._identity = out, dict(identity)
        self._places: dict[str, tuple[BinaryIO, int]] = {}
        self._refuse_others()
        try:
            out.mkdir(parents=True, exist_ok=True)
            self._journal = self._open_journal()
            self._finished = (out / NAME).open("rb") if (out / NAME).exists() else None
        except OSError as error:
            raise CorruptionError(
                f"'{out}' cannot be written ({error.strerror or error}): give another folder, or mend its permissions"
            ) from error
        for file in (self._finished, self._journal):
            if file is not None:
                self._index(file)

    def __contains__(self, source: str) -> bool:
        return source in self._places

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def find(self, source: str) -> Row | None:
        """Return the line of an image, None where it has none."""
        if source not in self._places:
            return None
        row: Row = json.loads(self._read(source))
        return row

    def add(self, row: Row) -> None:
        """Write the line of an image; it replaces an earlier one. `row["source"]` is the image's id."""
        offset = self._journal.seek(0, os.SEEK_END)
        self._journal.write(_dump(row) + b",\n")
        self._journal.flush()
        self._places[row["source"]] = (self._journal, offset)

    def begin(self, ending: Mapping[str, Any]) -> None:
        """Write what is known so far, which stands there while a command works and after it was killed.

        Args:
            ending: What stands after the lines.

        Raises:
            CorruptionError: If it cannot be written.
        """
        self._write((), ending)

    def finish(self, left_out: Collection[str], ending: Mapping[str, Any]) -> None:
        """Write the manifest, sorted by image, and remove the journal.

        Args:
            left_out: Images whose lines do not hold any more.
            ending: What stands after the lines.

        Raises:
            CorruptionError: If it cannot be written.
        """
        self._write(left_out, ending)
        (self._out / JOURNAL).unlink()

    def _write(self, left_out: Collection[str], ending: Mapping[str, Any]) -> None:
        draft = self._out / f".{NAME}.partial"
        try:
            with draft.open("wb") as file:
                file.write(self._header())
                separator = b""
                for source in sorted(self._places.keys() - set(left_out)):
                    file.write(separator + self._read(source))
                    separator = b",\n"
                rest = "".join(f",\n {json.dumps(key)}: {json.dumps(value)}" for key, value in ending.items())
                file.write(f"\n ]{rest}\n}}\n".encode())
            draft.replace(self._out / NAME)
        except OSError as error:
            raise CorruptionError(
                f"'{self._out / NAME}' cannot be written ({error.strerror or error}): make room, then run the same command again"
            ) from error

    def close(self) -> None:
        """Let go of the files; what was added stays in the journal, and the next command finds it."""
        self._journal.close()
        if self._finished is not None:
            self._finished.close()

    def _refuse_others(self) -> None:
        out = self._out
        if out.exists() and not out.is_dir():
            raise CorruptionError(f"'{out}' is a file, and copies need a folder: give another")
        present = [out / name for name in (NAME, JOURNAL) if (out / name).exists()]
        if not present and out.is_dir() and any(out.iterdir()):
            raise CorruptionError(
                f"'{out}' is not empty and holds no corrupted copies: give a new folder, or an empty one"
            )
        for path in present:
            found = _read_header(path)
            if found is None or found.keys() != self._identity.keys():
                raise CorruptionError(
                    f"'{path}' is no manifest of corrupted copies of this version of segshift: give a new folder, or an empty one"
                )
            if differing := _tell_differences(found, self._identity):
                raise CorruptionError(
                    f"'{out}' holds copies that were made otherwise ({differing}): give another folder, or remove that one"
                )

    def _open_journal(self) -> BinaryIO:
        path = self._out / JOURNAL
        if not path.exists():
            draft = path.with_name(f"{JOURNAL}.{os.getpid()}")
            draft.write_bytes(self._header())
            draft.replace(path)
        journal = path.open("a+b")
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            journal.close()
            raise CorruptionError(
                f"another command is writing copies into '{self._out}': wait for it, or give another folder"
            ) from error
        except OSError:  # a file system without locks: then nobody is kept away
            pass
        journal.write(b"\n")  # ends a line of which an interrupted command wrote a part
        journal.flush()
        return journal

    def _header(self) -> bytes:
        lines = [f" {json.dumps(key)}: {json.dumps(value)},\n" for key, value in self._identity.items()]
        return b"{\n" + "".join(lines).encode() + _IMAGES

    def _read(self, source: str) -> bytes:
        file, offset = self._places[source]
        file.seek(offset)
        return _strip(file.readline())

    def _index(self, file: BinaryIO) -> None:
        file.seek(0)
        offset = 0
        for line in file:
            if line.startswith(b'{"source": '):
                with contextlib.suppress(ValueError):  # a line that was cut short
                    self._places[json.loads(_strip(line))["source"]] = (file, offset)
            offset += len(line)


def _read_header(path: Path) -> dict[str, Any] | None:
    lines: list[bytes] = []
    with path.open("rb") as file:
        for line in file:
            lines.append(line)
            if line == _IMAGES:
                break
    try:
        header = json.loads(b"".join(lines) + b"]}")
    except ValueError:
        return None
    del header["images"]
    return dict(header)


def _tell_differences(was: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Tell what differs, in a line: what follows from another difference, and whole grids of cells, are not written out."""
    differing = [key for key, value in now.items() if was[key] != value]
    told = [key for key in differing if _FOLLOWS_FROM.get(key) not in differing]
    return "; ".join(
        "its cells are others now"
        if key == "cells"
        else f"{key} was {json.dumps(was[key])}, and is {json.dumps(now[key])} now"
        for key in told
    )


def _strip(line: bytes) -> bytes:
    return line.rstrip().removesuffix(b",")


def _dump(row: Row) -> bytes:
    return json.dumps(row).encode()
