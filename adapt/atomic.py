"""Writes a file so that a reader finds either all of it or none, even after a crash."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_SHARED = 0o644  # mkstemp makes files private; data sets and stores are shared


@contextlib.contextmanager
def replace_atomically(path: Path, durable: bool = False) -> Iterator[Path]:
    """Fill a draft beside a file's final place; it takes that place when the body ends well.

    What an interrupted run leaves is a hidden `.NAME.*.partial`, which no reader takes for the file.

    Args:
        path: The final place; its folder exists.
        durable: Whether the content must be on the disk before the name is (slower): for files that commit something.

    Yields:
        The draft, an empty file.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    os.close(handle)
    draft = Path(name)
    try:
        yield draft
        if durable:
            with draft.open("rb") as file:
                os.fsync(file.fileno())
        draft.chmod(_SHARED)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def write_atomically(path: Path, content: bytes | str, durable: bool = False) -> None:
    """Write a whole file by `replace_atomically`; text is written as UTF-8."""
    with replace_atomically(path, durable) as draft:
        draft.write_bytes(content.encode() if isinstance(content, str) else content)


def create_atomically(path: Path, content: bytes | str) -> bool:
    """Write a whole file that must not exist yet, durably; of several processes one succeeds.

    Args:
        path: The final place; its folder exists and takes hard links.
        content: Text is written as UTF-8.

    Returns:
        False where the file was there already; it is left alone.

    Raises:
        OSError: The folder cannot be written to, or the disk is full.
    """
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".partial", dir=path.parent)
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        draft.chmod(_SHARED)
        return link_atomically(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def link_atomically(draft: Path, path: Path) -> bool:
    """Give a whole file its second name; False where another file has that name."""
    try:
        os.link(draft, path)
        return True
    except FileExistsError:
        # NFS may repeat a request whose answer was lost, and then report its own success as a conflict.
        return draft.stat().st_nlink == 2
