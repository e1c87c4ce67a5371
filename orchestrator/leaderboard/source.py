"""Where a leaderboard finds what it is made from: a store, or an MLflow server that mirrors one."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from adapt.errors import PrerequisiteError, TaskError
from orchestrator.record import Record
from orchestrator.store import Store


class RecordSource(Protocol):
    """Records and the files beside them, by the key of their task."""

    def find_record(self, key: str) -> Record | None:
        """Return the record of a finished task, or None where there is none."""

    def explain_missing(self, key: str) -> str | None:
        """Say why a task has no record that can be used: its failure, or what is wrong with its record; None if it never ran."""

    def find_file(self, key: str, name: str) -> Path | None:
        """Return a file of a finished task, whose hash is the record's; None where it is gone or damaged."""


class StoreSource:
    """What a store holds."""

    def __init__(self, store: Store, keys: set[str]) -> None:
        """Look at a store once.

        Args:
            store: of any kind; records of a bucket are fetched here.
            keys: the tasks that will be asked for.
        """
        self._store = store
        self._done = store.list_done() & keys
        store.fetch_records(self._done)
        self._records: dict[str, Record] = {}
        self._unusable: dict[str, str] = {}  # key -> what is wrong with its record

    def find_record(self, key: str) -> Record | None:
        """Return the record of a finished task, or None where there is none."""
        if key not in self._done or key in self._unusable:
            return None
        if key not in self._records:
            try:
                self._records[key] = self._store.read(key)
            except PrerequisiteError as error:
                self._unusable[key] = str(error)
                return None
        return self._records[key]

    def explain_missing(self, key: str) -> str | None:
        """Say why a task has no record that can be used: its failure, or what is wrong with its record; None if it never ran."""
        if key in self._unusable:
            return self._unusable[key]
        failed = None if key in self._done else self._store.read_failure(key)
        failure = None if failed is None else failed.failure
        return None if failure is None else f"failed with {failure.kind}: {failure.message}".splitlines()[0][:200]

    def find_file(self, key: str, name: str) -> Path | None:
        """Return a file of a finished task, whose hash is the record's; None where it is gone or damaged."""
        if self.find_record(key) is None:
            return None
        try:
            return self._store.verified_file(key, name)
        except TaskError:
            return None
