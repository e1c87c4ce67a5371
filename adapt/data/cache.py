"""Decoded and resized pixels on a local disk: decoding a 1914x1052 PNG file costs twenty times what reading them does.

An entry is known by the content of the files that it was made from and by all that was done to them, so a data set that
changes needs no clearing. Several processes may share a folder; what is damaged in it is made anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import re
import struct
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from adapt.atomic import replace_atomically, write_atomically
from adapt.hashing import hash_file
from adapt.settings import Settings

VERSION = 1
"""Part of every entry's key: raise it when the format below changes, or what decoding and resizing make of a file."""

_HEADER = struct.Struct("<8s3II")  # magic, height, width, channels, CRC-32 of the pixels
_MAGIC = b"segshift"
_SUFFIX = ".pixels"
_OWN_NAME = re.compile(r"[0-9a-f]{64}\.pixels|\.[0-9a-f]{64}\.pixels\..*\.partial")  # an entry, a draft of one
_GATE = ".gate"
_SIZE_FILE = ".bytes"
# After an eviction an eighth is free, so that a full cache is not walked through at every new entry; ours.
_KEPT_SHARE = 7 / 8
_ABANDONED_S = 3600.0  # age at which a draft is one that a killed process left; writing one takes milliseconds

_log = logging.getLogger(__name__)


class CacheSettings(Settings):
    """Where decoded images are kept: a practical matter, which changes no result.

    Attributes:
        folder: A folder on a fast disk of this machine; made where it does not exist.
        max_gb: Most that it holds, in 10^9 bytes; what was used least recently goes first.
    """

    folder: Path
    max_gb: float = Field(default=50.0, gt=0)

    @property
    def max_bytes(self) -> int:
        """`max_gb` in bytes."""
        return int(self.max_gb * 1e9)


class ImageCache:
    """A bounded folder of pixel arrays. It holds no open file: loader workers each take a copy."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        """Name the folder; nothing is touched yet.

        Args:
            folder: Where entries lie; made at the first write.
            max_bytes: Most that all entries together take.
        """
        self.folder = folder
        self.max_bytes = max_bytes
        self._digests: dict[Path, tuple[tuple[int, ...], str]] = {}
        self._is_broken = False

    def fetch(self, files: Sequence[Path], recipe: str, make: Callable[[], NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """Read the pixels that were made from files before, or make and keep them.

        Args:
            files: What `make` reads.
            recipe: All else that decides what it returns.
            make: Decodes the files; called where there is no sound entry.

        Returns:
            What `make` returns: (H, W) or (H, W, C) uint8, writable.

        Raises:
            Exception: What `make` raises. Trouble with the cache itself is logged once, and the pixels made each time.
        """
        try:
            stamps = [_stamp(file) for file in files]
            path = self._locate(files, stamps, recipe)
        except OSError:
            return make()  # it says better what is wrong with its file
        pixels = _read(path)
        if pixels is not None:
            with contextlib.suppress(OSError):
                os.utime(path)  # the eviction's order
            return pixels
        pixels = make()
        try:
            # A file that changed meanwhile would stand under the name of what it was.
            if [_stamp(file) for file in files] == stamps:
                self._write(path, pixels)
        except OSError as error:
            self._warn(error)
        return pixels

    def _locate(self, files: Sequence[Path], stamps: Sequence[tuple[int, ...]], recipe: str) -> Path:
        digest = hashlib.sha256(f"{VERSION}\n{recipe}\n".encode())
        for file, stamp in zip(files, stamps, strict=True):
            known = self._digests.get(file)
            if known is None or known[0] != stamp:
                # Once a process: reading the files themselves each time would undo half of what is won.
                known = self._digests[file] = (stamp, hash_file(file))
            digest.update(known[1].encode())
        name = digest.hexdigest()
        return self.folder / name[:2] / (name + _SUFFIX)

    def _write(self, path: Path, pixels: NDArray[np.uint8]) -> None:
        """Keep pixels; one process at a time, or another's eviction would not see what is about to be written."""
        data = np.ascontiguousarray(pixels)
        channels = 0 if data.ndim == 2 else data.shape[2]
        header = _HEADER.pack(_MAGIC, data.shape[0], data.shape[1], channels, zlib.crc32(data.data))
        size = len(header) + data.nbytes
        if size > self.max_bytes:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with self._hold_gate():
            total = self._read_total()
            if total is None or total + size > self.max_bytes:
                total = self._evict(min(self.max_bytes * _KEPT_SHARE, self.max_bytes - size))
            # Counted first: a process that is killed here leaves a count that is too high, which the next eviction mends.
            write_atomically(self.folder / _SIZE_FILE, str(total + size))
            with replace_atomically(path) as draft, draft.open("wb") as file:
                file.write(header)
                file.write(data.data)

    @contextlib.contextmanager
    def _hold_gate(self) -> Iterator[None]:
        with (self.folder / _GATE).open("w") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            yield

    def _read_total(self) -> int | None:
        """Return the bytes counted so far: never less than there are; None where nobody counted."""
        try:
            return int((self.folder / _SIZE_FILE).read_text())
        except (OSError, ValueError):
            return None

    def _evict(self, limit: float) -> int:
        """Walk through the folder, remove what was used least recently until `limit` bytes are left; return those."""
        entries: list[tuple[float, int, Path]] = []
        now = time.time()
        for path in self.folder.glob("??/*"):
            if not _OWN_NAME.fullmatch(path.name):  # the folder may hold what is not ours
                continue
            with contextlib.suppress(OSError):  # another process may have replaced a draft
                found = path.stat()
                age = now - found.st_mtime
                is_abandoned = path.suffix != _SUFFIX and age > _ABANDONED_S
                entries.append((0.0 if is_abandoned else found.st_mtime, found.st_size, path))
        total = sum(size for _, size, _ in entries)
        for used, size, path in sorted(entries):
            if total <= limit and used > 0:
                break
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            total -= size
        return total

    def _warn(self, error: OSError) -> None:
        if not self._is_broken:
            self._is_broken = True
            _log.warning(
                "The image cache '%s' cannot be written to (%s): images are decoded each time.", self.folder, error
            )


def _stamp(file: Path) -> tuple[int, ...]:
    found = file.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(path: Path) -> NDArray[np.uint8] | None:
    """Read an entry; None where there is none, or a damaged one."""
    try:
        with path.open("rb") as file:
            magic, height, width, channels, checksum = _HEADER.unpack(file.read(_HEADER.size))
            size = os.fstat(file.fileno()).st_size - _HEADER.size
            if magic != _MAGIC or size != height * width * max(channels, 1):
                return None
            pixels = np.empty((height, width, channels) if channels else (height, width), np.uint8)
            is_whole = file.readinto(pixels.data) == size and zlib.crc32(pixels.data) == checksum
    except (OSError, struct.error):
        return None
    return pixels if is_whole else None
