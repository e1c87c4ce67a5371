"""What a store needs of the place that holds the truth: a folder that all machines see, or a bucket."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from orchestrator.lease import Lease
from orchestrator.record import Record, StoredFile

FAILURE_FILE = "failure.json"
LEASE_FILE = "lease.json"
LOG_FILE = "log.txt"  # what the processes of a task printed and logged, of all its attempts
SCRATCH = "work"  # of a task's folder: what an interrupted task goes on from; removed at the commit


@dataclass(frozen=True)
class Leftover:
    """Something that a store holds beside finished tasks, and could do without.

    Attributes:
        key: of the task that left it.
        what: in words.
        size_bytes: of all its files.
        age_s: since it last changed, by the clock of the disk or bucket.
    """

    key: str
    what: str
    size_bytes: int
    age_s: float


SCHEMA_FILE = "segshift-store.json"


class Backend(Protocol):
    """The place that holds the truth. Every method may raise OSError or PrerequisiteError where it cannot be reached."""

    def check_writable(self) -> None:
        """Write something small, to see that it can be done."""

    def read_schema(self) -> str | None:
        """Return what `write_schema` wrote, or None, within seconds: the first word with a place that may be away."""

    def write_schema(self, text: str) -> None:
        """Keep which layout the store has."""

    def read_note(self, name: str) -> str | None:
        """Return a small text, or None."""

    def write_note(self, name: str, text: str) -> None:
        """Keep a small text in the place of the one before it."""

    def list_notes(self, folder: str) -> list[str]:
        """Return the names of the texts in a folder and below it."""

    def share(self, file: Path) -> None:
        """Let other machines see a file below the store's root."""

    def is_done(self, key: str) -> bool:
        """Say whether a task is committed."""

    def list_done(self) -> set[str]:
        """Return the keys of all committed tasks."""

    def fetch_records(self, keys: Iterable[str]) -> None:
        """Bring records to this machine, many at once, for `read` to find."""

    def read(self, key: str) -> Record:
        """Return the record of a committed task."""

    def fetch(self, key: str, name: str, kept: StoredFile) -> bool:
        """Bring a file of a committed task to this machine; False where its bytes cannot be had as they were recorded."""

    def check_file(self, key: str, name: str, kept: StoredFile) -> str | None:
        """Say what is wrong with a file of a committed task, or None."""

    def make_lease(self, key: str) -> Lease:
        """Return the lease of a task, free or held."""

    def carry(self, key: str, lease: Lease) -> contextlib.AbstractContextManager[None]:
        """Let another machine go on from what a task leaves while the body works on it."""

    def commit(self, record: Record) -> bool:
        """Keep the files of a task and then its record; False where another record is there already."""

    def read_failure(self, key: str) -> Record | None:
        """Return the record of the last failure, or None."""

    def write_failure(self, record: Record) -> None:
        """Keep the record of a failure."""

    def name_failure(self, key: str) -> str:
        """Return where a user finds the record of a failure."""

    def find_log(self, key: str) -> Path | None:
        """Return a file of this machine with a task's log as far as it is known, or None."""

    def list_failed(self) -> set[str]:
        """Return the keys of all tasks that failed and are not done since."""

    def list_leases(self) -> set[str]:
        """Return the keys of all tasks with a lease, of a live process or a dead one."""

    def list_leftovers(self) -> list[Leftover]:
        """Return what is there of tasks that are not done, and of done ones what they need no more."""

    def remove(self, key: str) -> None:
        """Remove all that is there of a task but its lease, the record first: a removal that is cut off leaves no result."""

    def remove_leftovers(self, key: str) -> None:
        """Remove what `list_leftovers` named of a task, but its lease."""

    def explain_removal(self, key: str) -> str:
        """Say to a user how to remove a task."""
