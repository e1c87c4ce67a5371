"""A store in a folder: `tasks/<key>/` holds all that a task made, `record.json` in it is the commit mark."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from adapt.atomic import create_atomically, write_atomically
from adapt.hashing import hash_file
from orchestrator.backend import FAILURE_FILE, LEASE_FILE, LOG_FILE, SCHEMA_FILE, SCRATCH, Leftover
from orchestrator.lease import FileLease, Lease, read_clock
from orchestrator.record import FILE, Record, StoredFile, dump_record, read_record

TASKS = "tasks"
HELLO_FILE = "segshift-store.txt"
HELLO = "The results of segshift sweeps. `segshift status` lists them.\n"


class FolderBackend:
    """See `Backend`.

    Args:
        root: of the store.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def _folder(self, key: str) -> Path:
        return self._root / TASKS / key

    def check_writable(self) -> None:
        """Write something small, to see that it can be done."""
        self._root.mkdir(parents=True, exist_ok=True)
        write_atomically(self._root / HELLO_FILE, HELLO)

    def read_schema(self) -> str | None:
        """Return what `write_schema` wrote, or None."""
        return self.read_note(SCHEMA_FILE)

    def write_schema(self, text: str) -> None:
        """Keep which layout the store has."""
        self.write_note(SCHEMA_FILE, text)

    def read_note(self, name: str) -> str | None:
        """Return a small text, or None."""
        try:
            return (self._root / name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write_note(self, name: str, text: str) -> None:
        """Keep a small text in the place of the one before it."""
        file = self._root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text)

    def list_notes(self, folder: str) -> list[str]:
        """Return the names of the texts in a folder and below it."""
        files = (self._root / folder).rglob("[!.]*")
        return sorted(file.relative_to(self._root).as_posix() for file in files if file.is_file())

    def share(self, file: Path) -> None:
        """Do nothing: others see the folder."""

    def is_done(self, key: str) -> bool:
        """Say whether a task is committed."""
        return (self._folder(key) / FILE).is_file()

    def list_done(self) -> set[str]:
        """Return the keys of all committed tasks."""
        return {key for key in self._list_keys() if self.is_done(key)}

    def _list_keys(self) -> list[str]:
        tasks = self._root / TASKS
        return [entry.name for entry in os.scandir(tasks)] if tasks.is_dir() else []

    def fetch_records(self, keys: Iterable[str]) -> None:
        """Do nothing: they are here."""

    def read(self, key: str) -> Record:
        """Return the record of a committed task."""
        return read_record(self._folder(key) / FILE)

    def fetch(self, key: str, name: str, kept: StoredFile) -> bool:
        """Return False: it is here, or lost."""
        return False

    def check_file(self, key: str, name: str, kept: StoredFile) -> str | None:
        """Say what is wrong with a file of a committed task, or None."""
        path = self._folder(key) / name
        if not path.is_file():
            return "it is missing"
        if path.stat().st_size != kept.size_bytes:
            return f"it has {path.stat().st_size} bytes and should have {kept.size_bytes}"
        return None if hash_file(path) == kept.sha256 else "its bytes are not those that were recorded"

    def make_lease(self, key: str) -> Lease:
        """Return the lease of a task, free or held."""
        return FileLease(self._folder(key) / LEASE_FILE)

    def carry(self, key: str, lease: Lease) -> contextlib.AbstractContextManager[None]:
        """Do nothing: others see the folder."""
        return contextlib.nullcontext()

    def commit(self, record: Record) -> bool:
        """Write the record as the last file of its task; False where another one is there already.

        What it names is on the disk before it is: a host that loses power leaves no record of files that are empty.
        """
        folder = self._folder(record.key)
        files = [folder / name for name in record.files]
        for path in [*files, *sorted({parent for file in files for parent in _list_folders(file, folder)})]:
            _flush(path)
        if not create_atomically(folder / FILE, dump_record(record)):
            return False
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)
        return True

    def read_failure(self, key: str) -> Record | None:
        """Return the record of the last failure, or None."""
        file = self._folder(key) / FAILURE_FILE
        return read_record(file) if file.is_file() else None

    def write_failure(self, record: Record) -> None:
        """Keep the record of a failure."""
        folder = self._folder(record.key)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FAILURE_FILE, dump_record(record), durable=True)

    def name_failure(self, key: str) -> str:
        """Return where a user finds the record of a failure."""
        return str(self._folder(key) / FAILURE_FILE)

    def find_log(self, key: str) -> Path | None:
        """Return the log of a task, or None."""
        file = self._folder(key) / LOG_FILE
        return file if file.is_file() else None

    def list_failed(self) -> set[str]:
        """Return the keys of all tasks that failed and are not done since."""
        return {
            key for key in self._list_keys() if (self._folder(key) / FAILURE_FILE).is_file() and not self.is_done(key)
        }

    def list_leases(self) -> set[str]:
        """Return the keys of all tasks with a lease, of a live process or a dead one."""
        return {key for key in self._list_keys() if (self._folder(key) / LEASE_FILE).is_file()}

    def list_leftovers(self) -> list[Leftover]:
        """Return what is there of tasks that are not done, and of done ones what they need no more."""
        if not self._list_keys():
            return []
        now, found = read_clock(self._root), []
        for key in self._list_keys():
            if self.is_done(key):
                files, what = self._list_spare(key), "what it left behind while it ran"
            else:
                files = [path for path in self._folder(key).rglob("*") if path.is_file()]
                what = "a failed or interrupted attempt"
            sizes, times = [], [self._folder(key).stat().st_mtime] if not self.is_done(key) else []
            for path in files:
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    sizes.append(status.st_size)
                    times.append(status.st_mtime)
            if times:
                found.append(Leftover(key, what, sum(sizes), now - max(times)))
        return found

    def _list_spare(self, key: str) -> list[Path]:
        """Return the files of a finished task that no record names: scratch and drafts that a crash left."""
        folder = self._folder(key)
        spare = [path for path in folder.iterdir() if path.name in (SCRATCH, FAILURE_FILE) or path.name[0] == "."]
        inside = [file for path in spare for file in (path.rglob("*") if path.is_dir() else (path,)) if file.is_file()]
        return [file for file in inside if not file.name.endswith(".thief")]  # empty, and another process may want it

    def remove(self, key: str) -> None:
        """Remove all that is there of a task but its lease, the record first: a removal that is cut off leaves no result."""
        (self._folder(key) / FILE).unlink(missing_ok=True)
        for path in self._folder(key).iterdir() if self._folder(key).is_dir() else ():
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name != LEASE_FILE:
                path.unlink(missing_ok=True)

    def remove_leftovers(self, key: str) -> None:
        """Remove what `list_leftovers` named of a task, but its lease."""
        if not self.is_done(key):
            self.remove(key)
            return
        for file in self._list_spare(key):
            file.unlink(missing_ok=True)
        shutil.rmtree(self._folder(key) / SCRATCH, ignore_errors=True)

    def explain_removal(self, key: str) -> str:
        """Say to a user how to remove a task."""
        return f"Remove the folder {self._folder(key)}"


def _list_folders(file: Path, top: Path) -> list[Path]:
    """Return the folders that a file is in, up to one that is given."""
    return [folder for folder in file.parents if folder.is_relative_to(top)]


def _flush(path: Path) -> None:
    """Wait until the content of a file, or the names in a folder, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if not (path.is_dir() and error.errno in (errno.EINVAL, errno.EBADF)):  # some file systems sync no folders
            raise
    finally:
        os.close(handle)
