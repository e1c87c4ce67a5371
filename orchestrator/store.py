"""The content-addressed store: `<store>/tasks/<key>/` holds all that a task made; `record.json`, written last, commits it."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from adapt.atomic import write_atomically
from adapt.errors import PrerequisiteError, TaskError
from adapt.hashing import hash_file
from orchestrator import lease
from orchestrator.record import FILE, Record, StoredFile, dump_record, read_record

FAILURE_FILE = "failure.json"
LEASE_FILE = "lease.json"
LOG_FILE = "log.txt"  # what the processes of a task printed and logged, of all its attempts
PICTURES = "pictures"  # of a task's folder: what it draws while it runs; mirrored to MLflow as it comes
SCRATCH = "work"  # of a task's folder: what an interrupted task goes on from; removed at the commit
MINIMUM_FREE_BYTES = 200 * 2**20  # ours: room for the records and checkpoints of a miniature sweep


class Store:
    """A folder of finished tasks, on a disk that every machine of the cluster sees.

    Args:
        root: the folder; made on first use.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.root,)

    def folder(self, key: str) -> Path:
        """Return the folder of a task, whether it exists or not."""
        return self.root / "tasks" / key

    def scratch(self, key: str) -> Path:
        """Return the folder in which a running task keeps what it goes on from after an interruption."""
        return self.folder(key) / SCRATCH

    def lease_file(self, key: str) -> Path:
        """Return the lease that the process working on a task holds."""
        return self.folder(key) / LEASE_FILE

    def log_file(self, key: str) -> Path:
        """Return where the processes that work on a task print and log to; it stays beside a record and beside a failure."""
        return self.folder(key) / LOG_FILE

    def write_note(self, name: str, text: str) -> None:
        """Keep a small text beside the tasks, such as `costs.json`, in the place of the one before it.

        Args:
            name: a relative path with forward slashes.
            text: is seen whole or not at all.
        """
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, text)

    def read_note(self, name: str) -> str | None:
        """Return a text that `write_note` kept, or None."""
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except (FileNotFoundError, NotADirectoryError):
            return None

    def list_notes(self, folder: str) -> list[str]:
        """Return the names of the notes of a folder, sorted."""
        place = self.root / folder
        names = os.listdir(place) if place.is_dir() else []
        return sorted(f"{folder}/{name}" for name in names if not name.startswith("."))  # a dot: a draft

    def is_done(self, key: str) -> bool:
        """Say whether a task is committed."""
        return (self.folder(key) / FILE).is_file()

    def list_done(self) -> set[str]:
        """Return the keys of all committed tasks."""
        tasks = self.root / "tasks"
        return {entry.name for entry in os.scandir(tasks) if self.is_done(entry.name)} if tasks.is_dir() else set()

    def read(self, key: str) -> Record:
        """Return the record of a committed task.

        Raises:
            PrerequisiteError: there is none, or it cannot be read.
        """
        return read_record(self.folder(key) / FILE)

    def read_failure(self, key: str) -> Record | None:
        """Return the record of the last failure of a task, or None."""
        file = self.folder(key) / FAILURE_FILE
        return read_record(file) if file.is_file() else None

    def verified_file(self, key: str, name: str) -> Path:
        """Return the path of a file of a committed task after checking its bytes against the record.

        Raises:
            TaskError: the file is gone or its bytes changed.
        """
        path, kept = self.folder(key) / name, self.read(key).files.get(name)
        if kept is None or not path.is_file() or hash_file(path) != kept.sha256:
            raise TaskError(
                f"{path}: this stored file is missing or its bytes are not those that were recorded (a damaged disk, an "
                f"edit). Remove the folder {self.folder(key)} and run the same command again: only that task is made anew."
            )
        return path

    @contextlib.contextmanager
    def working_on(self, key: str) -> Iterator[bool]:
        """Hold the task's lease; yields False when another process committed it meanwhile."""
        folder = self.folder(key)
        with lease.hold(self.lease_file(key), done=folder / FILE) as ours:
            yield ours

    def list_files(self, key: str) -> dict[str, StoredFile]:
        """Return the files that a task leaves behind, with hashes (scratch, leases, records and drafts apart)."""
        folder = self.folder(key)
        files = {}
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(folder)
            top = relative.parts[0]  # one that begins with a dot is a draft, of this process or of one that waits
            if top[0] != "." and top not in (SCRATCH, FILE, FAILURE_FILE, LEASE_FILE, LOG_FILE) and path.is_file():
                files[relative.as_posix()] = StoredFile(sha256=hash_file(path), size_bytes=path.stat().st_size)
        return files

    def commit(self, record: Record) -> None:
        """Write a record as the last file of its task: from then on the task is done.

        Raises:
            TaskError: another process has taken the task over meanwhile; its result is the one to keep.
        """
        folder = self.folder(record.key)
        if lease.is_lost(self.lease_file(record.key)):
            raise TaskError(
                f"{record.stage}: this process was suspended for so long that another took the task over. "
                "Run the same command again: it takes that result."
            )
        write_atomically(folder / FILE, dump_record(record), durable=True)
        (folder / FAILURE_FILE).unlink(missing_ok=True)
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)

    def write_failure(self, record: Record) -> None:
        """Keep the record of a failure; the task stays to be done."""
        folder = self.folder(record.key)
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / FAILURE_FILE, dump_record(record), durable=True)

    def check_writable(self) -> None:
        """Check that the store can take results, before anything expensive starts.

        Raises:
            PrerequisiteError: it cannot be written, or its disk is all but full.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            write_atomically(
                self.root / "segshift-store.txt", "The results of segshift sweeps. `segshift status` lists them.\n"
            )
            free_bytes = shutil.disk_usage(self.root).free
        except OSError as error:
            raise PrerequisiteError(
                f"the store {self.root} cannot be written ({error.strerror}). "
                "Give another folder with --store or SEGSHIFT_STORE, or mend its permissions."
            ) from error
        if free_bytes < MINIMUM_FREE_BYTES:
            raise PrerequisiteError(
                f"the disk of the store {self.root} has {free_bytes / 2**20:.0f} MiB left, and a sweep needs at least "
                f"{MINIMUM_FREE_BYTES / 2**20:.0f}. Free some, or give another folder with --store."
            )
