"""The content-addressed store of finished tasks: the record of a task, written last, commits it.

A store is a folder that all machines see, or a bucket. In both cases tasks work in folders of this machine below `root`:
of a store in a folder these are the store, of one in a bucket they are a working place, and copies.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from adapt.errors import PrerequisiteError, TaskError
from adapt.hashing import hash_file
from experiments.workspace import StorePlace, find_store_folder
from orchestrator import lease
from orchestrator.backend import FAILURE_FILE, LEASE_FILE, LOG_FILE, SCRATCH, Backend, Leftover
from orchestrator.bucket_backend import BucketBackend
from orchestrator.disk import explain_full_disk
from orchestrator.folder_backend import FolderBackend
from orchestrator.record import FILE, Record, StoredFile

PICTURES = "pictures"  # of a task's folder: what it draws while it runs; mirrored to MLflow as it comes
SCHEMA_VERSION = 1  # of the layout of a store; a record has a version of its own
MINIMUM_FREE_BYTES = 200 * 2**20  # ours: room for the records and checkpoints of a miniature sweep


class Store:
    """A place of finished tasks.

    Args:
        place: a folder, made on first use, on a disk that every machine of the cluster sees; or the URI of a bucket.

    Attributes:
        place: as given.
        root: the folder of this machine below which tasks work.
    """

    def __init__(self, place: StorePlace) -> None:
        self.place = place
        self.root = find_store_folder(place)
        self._backend: Backend = (
            FolderBackend(self.root) if isinstance(place, Path) else BucketBackend(place, self.root)
        )
        self._leases: dict[str, lease.Lease] = {}  # that this object holds

    def __reduce__(self) -> tuple[type[Store], tuple[StorePlace]]:
        return Store, (self.place,)

    def folder(self, key: str) -> Path:
        """Return the folder of a task on this machine, whether it exists or not."""
        return self.root / "tasks" / key

    def scratch(self, key: str) -> Path:
        """Return the folder in which a running task keeps what it goes on from after an interruption."""
        return self.folder(key) / SCRATCH

    def log_file(self, key: str) -> Path:
        """Return where the processes that work on a task print and log to; it stays beside a record and beside a failure."""
        return self.folder(key) / LOG_FILE

    def find_log(self, key: str) -> Path | None:
        """Return a file to read a task's log from, as far as it is known here, or None."""
        return self._backend.find_log(key)

    def write_note(self, name: str, text: str) -> None:
        """Keep a small text beside the tasks, such as `costs.json`, in the place of the one before it.

        Args:
            name: a relative path with forward slashes.
            text: is seen whole or not at all.
        """
        self._backend.write_note(name, text)

    def read_note(self, name: str) -> str | None:
        """Return a text that `write_note` kept, or None."""
        return self._backend.read_note(name)

    def list_notes(self, folder: str) -> list[str]:
        """Return the names of the texts that were kept below a folder, such as `sweeps`; `read_note` takes them."""
        return self._backend.list_notes(folder)

    def share(self, file: Path) -> None:
        """Keep a file that was written below `root`, such as a leaderboard, with the store: its name is that of a note."""
        self._backend.share(file)

    def is_done(self, key: str) -> bool:
        """Say whether a task is committed."""
        return self._backend.is_done(key)

    def is_held(self, key: str) -> bool:
        """Say whether a live process works on a task."""
        return self._backend.make_lease(key).is_held()

    def list_done(self) -> set[str]:
        """Return the keys of all committed tasks."""
        return self._backend.list_done()

    def fetch_records(self, keys: Iterable[str]) -> None:
        """Have the records of many tasks at hand before they are read one by one; those that are not done are passed over."""
        self._backend.fetch_records(keys)

    def read(self, key: str) -> Record:
        """Return the record of a committed task.

        Raises:
            PrerequisiteError: there is none, or it cannot be read.
        """
        return self._backend.read(key)

    def read_failure(self, key: str) -> Record | None:
        """Return the record of the last failure of a task, or None."""
        return self._backend.read_failure(key)

    def name_failure(self, key: str) -> str:
        """Return where a user finds the record of a failure."""
        return self._backend.name_failure(key)

    def verified_file(self, key: str, name: str) -> Path:
        """Return the path of a file of a committed task after checking its bytes against the record.

        A file of a bucket is brought to this machine, and anew where the copy here was damaged.

        Raises:
            TaskError: the file is gone or its bytes changed.
        """
        path, kept = self.folder(key) / name, self.read(key).files.get(name)
        if kept is None or not (_is_intact(path, kept) or self._backend.fetch(key, name, kept)):
            where = path if isinstance(self.place, Path) else f"{name} of the task {key} in {self.place}"
            raise TaskError(
                f"{where}: this stored file is missing or its bytes are not those that were recorded (a damaged disk, an "
                f"edit). {self._backend.explain_removal(key)} and run the same command again: only that task is made anew."
            )
        return path

    def list_pictures(self, key: str) -> list[Path]:
        """Return the pictures that a task has drawn so far, of a store in a bucket those drawn on this machine."""
        return sorted((self.folder(key) / PICTURES).glob("*.png"))  # one that is still being written has another suffix

    def fetch_pictures(self, record: Record) -> list[Path]:
        """Return the pictures of a finished task; one that is damaged is left out."""
        for name, kept in record.files.items():
            if name.startswith(f"{PICTURES}/") and not _is_intact(self.folder(record.key) / name, kept):
                self._backend.fetch(record.key, name, kept)
        return self.list_pictures(record.key)

    @contextlib.contextmanager
    def working_on(self, key: str) -> Iterator[bool]:
        """Hold the task's lease; yields False when another process committed it meanwhile.

        Raises:
            TaskError: the disk is full.
        """
        held = self._backend.make_lease(key)
        with contextlib.ExitStack() as stack:
            try:
                is_ours = stack.enter_context(lease.hold(held, lambda: self.is_done(key)))
                if is_ours:
                    stack.enter_context(self._backend.carry(key, held))
            except OSError as error:
                raise explain_full_disk(error, self.root) from error
            if is_ours:
                self._leases[key] = held
                stack.callback(self._leases.pop, key, None)
            yield is_ours

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
        held = self._leases.get(record.key)
        if (held is not None and held.is_lost()) or not self._backend.commit(record):
            raise TaskError(
                f"{record.stage}: this process was suspended for so long that another took the task over. "
                "Run the same command again: it takes that result."
            )

    def write_failure(self, record: Record) -> None:
        """Keep the record of a failure; the task stays to be done."""
        self._backend.write_failure(record)

    def check_file(self, key: str, name: str) -> str | None:
        """Say what is wrong with a file of a committed task, where the truth is kept, or None."""
        return self._backend.check_file(key, name, self.read(key).files[name])

    def list_held(self) -> set[str]:
        """Return the keys of all tasks that live processes work on."""
        return {key for key in self._backend.list_leases() if self.is_held(key)}

    def list_abandoned(self) -> set[str]:
        """Return the keys of the tasks that a process worked on which died and left its lease."""
        return {key for key in self._backend.list_leases() if not self.is_held(key)}

    def list_failed(self) -> set[str]:
        """Return the keys of all tasks that failed and are not done since."""
        return self._backend.list_failed()

    def list_leftovers(self) -> list[Leftover]:
        """Return what the store holds beside finished tasks."""
        return self._backend.list_leftovers()

    def remove(self, key: str) -> bool:
        """Remove a task, with all that it left; say whether it was: a task that a live process works on stays."""
        return self._clear(key, self._backend.remove)

    def remove_leftovers(self, key: str) -> bool:
        """Remove what a task left beside its result, as `remove` does."""
        return self._clear(key, self._backend.remove_leftovers)

    def _clear(self, key: str, remove: Callable[[str], None]) -> bool:
        held = self._backend.make_lease(key)
        if not held.try_acquire():
            return False
        try:
            remove(key)
        finally:
            held.release()
            with contextlib.suppress(OSError):  # it is not empty: the task is still there, or there again
                self.folder(key).rmdir()
        return True

    def explain_removal(self, key: str) -> str:
        """Say to a user how to remove a task."""
        return self._backend.explain_removal(key)

    def check_schema(self) -> None:
        """Check that this segshift understands the store.

        Raises:
            PrerequisiteError: a newer segshift made it, or it cannot be reached.
        """
        try:
            text = self._backend.read_schema()
        except OSError as error:
            raise PrerequisiteError(
                f"the store {self.place} cannot be read ({error.strerror}). Mend its permissions, or give another with --store."
            ) from error
        version = _parse_version(text) if text is not None else SCHEMA_VERSION  # older ones have no such file
        if version is None or version > SCHEMA_VERSION:
            raise PrerequisiteError(
                f"the store {self.place} has the layout version {'unknown' if version is None else version}, and this "
                f"segshift knows version {SCHEMA_VERSION}. Install a newer segshift, or give another store with --store."
            )

    def check_writable(self) -> None:
        """Check that the store can take results, before anything expensive starts.

        Raises:
            PrerequisiteError: a newer segshift made it, it cannot be written, or the disk is all but full.
        """
        self.check_schema()
        try:
            self._backend.check_writable()
            if self._backend.read_schema() is None:
                self._backend.write_schema(json.dumps({"schema_version": SCHEMA_VERSION}) + "\n")
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


def open_store(place: StorePlace) -> Store:
    """Return the store at a place, after a look at whether it can be understood.

    Raises:
        PrerequisiteError: a newer segshift made it, or its bucket cannot be reached.
    """
    store = Store(place)
    store.check_schema()
    return store


def _is_intact(path: Path, kept: StoredFile) -> bool:
    return path.is_file() and path.stat().st_size == kept.size_bytes and hash_file(path) == kept.sha256


def _parse_version(text: str) -> int | None:
    try:
        version = json.loads(text)["schema_version"]
    except (ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, int) else None
