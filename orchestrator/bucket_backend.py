"""A store in a bucket. Tasks work in a folder of their machine; the bucket holds the truth, and the folder copies of it.

records/<key>.json              the commit mark, written last and once
tasks/<key>/<hash>/<name>       the files of a task; the hash in the name keeps a late loser from overwriting a winner
failures/<key>.json, leases/<key>.json, logs/<key>/<machine>.txt, notes/<name>
work/<key>/                     what an unfinished task goes on from
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path

from adapt.atomic import write_atomically
from adapt.errors import PrerequisiteError
from adapt.hashing import hash_file
from orchestrator.backend import FAILURE_FILE, LEASE_FILE, LOG_FILE, SCHEMA_FILE, SCRATCH, Leftover
from orchestrator.bucket import Bucket, Stamp, run_at_once
from orchestrator.lease import Lease
from orchestrator.object_lease import CLOCK, ObjectLease
from orchestrator.record import FILE, Record, StoredFile, dump_record, read_record
from orchestrator.work_copy import WorkCopy

RECORDS, TASKS, FAILURES, LEASES = "records", "tasks", "failures", "leases"
LOGS, NOTES, WORK = "logs", "notes", "work"
HELLO_FILE = "segshift-store.txt"
HELLO = b"The results of segshift sweeps. `segshift status` lists them.\n"
TAG_DIGITS = 12


class BucketBackend:
    """See `Backend`.

    Args:
        uri: of the store.
        root: the folder of this machine in which its tasks work.
    """

    def __init__(self, uri: str, root: Path) -> None:
        self._uri = uri
        self._root = root
        self._known: dict[str, Stamp] = {}  # records that are known to be committed, as they were seen last
        self._stray_key, self._stray_files = "", dict[str, StoredFile]()  # the record that was compared with last

    @functools.cached_property
    def _bucket(self) -> Bucket:
        return Bucket(self._uri)

    def _folder(self, key: str) -> Path:
        return self._root / TASKS / key

    def check_writable(self) -> None:
        """Write something small, to see that it can be done, and within seconds."""
        hasty = Bucket(self._uri, is_hasty=True)
        hasty.write(HELLO_FILE, HELLO)
        _require_conditions(hasty)
        self._root.mkdir(parents=True, exist_ok=True)
        write_atomically(self._root / HELLO_FILE, HELLO + f"Working place and copies of {self._uri}.\n".encode())

    def read_schema(self) -> str | None:
        """Return what `write_schema` wrote, or None, within seconds: the first word with a bucket."""
        found = Bucket(self._uri, is_hasty=True).read(SCHEMA_FILE)
        return None if found is None else found[0].decode()

    def write_schema(self, text: str) -> None:
        """Keep which layout the store has."""
        self._bucket.write(SCHEMA_FILE, text.encode())

    def read_note(self, name: str) -> str | None:
        """Return a small text, or None."""
        found = self._bucket.read(f"{NOTES}/{name}")
        return None if found is None else found[0].decode()

    def write_note(self, name: str, text: str) -> None:
        """Keep a small text in the place of the one before it."""
        self._bucket.write(f"{NOTES}/{name}", text.encode())

    def list_notes(self, folder: str) -> list[str]:
        """Return the names of the texts in a folder and below it."""
        return sorted(stamp.name.removeprefix(f"{NOTES}/") for stamp in self._bucket.list(f"{NOTES}/{folder}"))

    def share(self, file: Path) -> None:
        """Send a file below the root, as a note of the same name."""
        self._bucket.write(f"{NOTES}/{file.relative_to(self._root).as_posix()}", file)

    def is_done(self, key: str) -> bool:
        """Say whether a task is committed."""
        if key not in self._known:
            stamp = self._bucket.look(f"{RECORDS}/{key}.json")
            if stamp is None:
                return False
            self._known[key] = stamp
        return True

    def list_done(self) -> set[str]:
        """Return the keys of all committed tasks: one request for a thousand."""
        self._known = {_key(stamp): stamp for stamp in self._bucket.list(RECORDS)}
        return set(self._known)

    def fetch_records(self, keys: Iterable[str]) -> None:
        """Bring records to this machine, many at once, for `read` to find."""
        done = self.list_done()
        run_at_once(self._fetch_record, [key for key in keys if key in done and not self._copy(key).is_file()])

    def _copy(self, key: str) -> Path:
        """Return where this machine keeps a copy of a known record: another one when the record changes."""
        tag = hashlib.sha256(str(self._known[key].e_tag).encode()).hexdigest()[:TAG_DIGITS]
        return self._root / RECORDS / f"{key}-{tag}.json"

    def _fetch_record(self, key: str) -> None:
        found = self._bucket.read(f"{RECORDS}/{key}.json")
        if found is None:
            self._known.pop(key, None)
            raise PrerequisiteError(
                f"the store {self._uri} holds no record of the task {key}. Run the sweep that makes it again."
            )
        content, self._known[key] = found
        (self._root / RECORDS).mkdir(parents=True, exist_ok=True)
        for older in (self._root / RECORDS).glob(f"{key}-*.json"):
            older.unlink(missing_ok=True)
        write_atomically(self._copy(key), content)

    def read(self, key: str) -> Record:
        """Return the record of a committed task. One that this object has listed or read is taken as it was then."""
        if key not in self._known or not self._copy(key).is_file():
            self._fetch_record(key)
        with contextlib.suppress(PrerequisiteError):
            return read_record(self._copy(key))
        self._fetch_record(key)  # the copy may have been damaged
        try:
            return read_record(self._copy(key))
        except PrerequisiteError as error:
            raise PrerequisiteError(
                f"{self._uri}/{RECORDS}/{key}.json is a record that cannot be used; of the copy of it: {error} In a bucket, "
                f"a task is removed by `segshift store rm {key[:12]}`."
            ) from error

    def fetch(self, key: str, name: str, kept: StoredFile) -> bool:
        """Bring a file of a committed task to this machine; False where its bytes cannot be had as they were recorded."""
        path = self._folder(key) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return self._bucket.fetch(_name_file(key, name, kept), path, kept.sha256)

    def check_file(self, key: str, name: str, kept: StoredFile) -> str | None:
        """Say what is wrong with a file of a committed task, or None. The bucket's own bytes are read."""
        stamp = self._bucket.look(_name_file(key, name, kept))
        if stamp is None:
            return "it is missing"
        if stamp.size_bytes != kept.size_bytes:
            return f"it has {stamp.size_bytes} bytes and should have {kept.size_bytes}"
        path = self._folder(key) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
        try:
            self._bucket.download(stamp.name, draft)
            return None if hash_file(draft) == kept.sha256 else "its bytes are not those that were recorded"
        finally:
            draft.unlink(missing_ok=True)

    def make_lease(self, key: str) -> Lease:
        """Return the lease of a task, free or held."""
        return ObjectLease(self._bucket, f"{LEASES}/{key}.json")

    @contextlib.contextmanager
    def carry(self, key: str, lease: Lease) -> Iterator[None]:
        """Fetch what another machine left of a task, and send now and then, and at the end, what this one leaves."""
        left_out = (FILE, FAILURE_FILE, LEASE_FILE, LOG_FILE)
        log = (self._folder(key) / LOG_FILE, f"{LOGS}/{key}/{self._name_writer()}.txt")
        copy = WorkCopy(self._bucket, f"{WORK}/{key}", self._folder(key), left_out, log)
        copy.fetch()
        copy.start(lease)
        try:
            yield
        finally:
            copy.stop()
            with contextlib.suppress(PrerequisiteError, OSError):  # the task has its result, or its own error
                copy.save_log()
                if self.is_done(key):
                    copy.drop()
                else:
                    copy.save(lease)

    def _name_writer(self) -> str:
        """Return what tells the logs of this machine from those of others: each machine adds to its own."""
        return hashlib.sha256(f"{socket.gethostname()} {self._root}".encode()).hexdigest()[:TAG_DIGITS]

    def commit(self, record: Record) -> bool:
        """Send the files of a task and then its record; False where another record is there already."""
        folder = self._folder(record.key)
        run_at_once(
            lambda item: self._bucket.write(_name_file(record.key, *item), folder / item[0]), record.files.items()
        )
        name = f"{RECORDS}/{record.key}.json"
        if not self._bucket.create(name, dump_record(record).encode()):
            return False
        stamp = self._bucket.look(name)
        if stamp is not None:
            self._known[record.key] = stamp
        self._bucket.delete([f"{FAILURES}/{record.key}.json"])
        shutil.rmtree(folder / SCRATCH, ignore_errors=True)
        return True

    def read_failure(self, key: str) -> Record | None:
        """Return the record of the last failure, or None."""
        found = self._bucket.read(f"{FAILURES}/{key}.json")
        if found is None:
            return None
        file = self._folder(key) / FAILURE_FILE
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, found[0])
        return read_record(file)

    def write_failure(self, record: Record) -> None:
        """Keep the record of a failure."""
        self._bucket.write(f"{FAILURES}/{record.key}.json", dump_record(record).encode())

    def name_failure(self, key: str) -> str:
        """Return where a user finds the record of a failure."""
        return f"{self._uri}/{FAILURES}/{key}.json"

    def find_log(self, key: str) -> Path | None:
        """Return a copy of a task's log as far as machines have sent it, and as far as it is this machine's own."""
        own, mine = self._folder(key) / LOG_FILE, f"{self._name_writer()}.txt"
        stamps = sorted(self._bucket.list(f"{LOGS}/{key}"), key=lambda stamp: stamp.modified)
        others = [stamp for stamp in stamps if not stamp.name.endswith(mine)]
        if not others and own.is_file():
            return own
        parts = [
            found[0] for stamp in (others if own.is_file() else stamps) if (found := self._bucket.read(stamp.name))
        ]
        parts += [own.read_bytes()] if own.is_file() else []
        if not parts:
            return None
        file = self._root / LOGS / f"{key}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, b"".join(parts))
        return file

    def list_failed(self) -> set[str]:
        """Return the keys of all tasks that failed and are not done since."""
        return {_key(stamp) for stamp in self._bucket.list(FAILURES)} - self.list_done()

    def list_leases(self) -> set[str]:
        """Return the keys of all tasks with a lease, of a live process or a dead one."""
        return {_key(stamp) for stamp in self._bucket.list(LEASES)}

    def list_leftovers(self) -> list[Leftover]:
        """Return what is there of tasks that are not done, and of done ones what they need no more."""
        done = self.list_done()
        stamps = {key: list(found) for key, found in self._list_spare(done).items()}
        if not stamps:
            return []
        self._bucket.write(CLOCK, os.urandom(16))
        clock = self._bucket.look(CLOCK)
        now = clock.modified if clock is not None else 0.0
        return [
            Leftover(
                key,
                "what it left behind while it ran" if key in done else "a failed or interrupted attempt",
                sum(stamp.size_bytes for stamp in found),
                now - max(stamp.modified for stamp in found),
            )
            for key, found in stamps.items()
        ]

    def _list_spare(self, done: set[str], key: str | None = None) -> dict[str, list[Stamp]]:
        """Return the objects that belong to no record, by task; of one task or of all."""
        spare: dict[str, list[Stamp]] = {}
        self._stray_key = ""  # the record may have been made anew since
        for stamp in self._list_task_objects(key):
            folder, owner = stamp.name.split("/")[0], _key(stamp)
            if owner not in done or folder in (FAILURES, WORK) or (folder == TASKS and self._is_stray(stamp)):
                spare.setdefault(owner, []).append(stamp)
        return spare

    def _list_task_objects(self, key: str | None) -> Iterator[Stamp]:
        for folder in (TASKS, LOGS, WORK):
            yield from self._bucket.list(f"{folder}/{key}" if key is not None else folder)
        if key is None:
            yield from self._bucket.list(FAILURES)
            yield from self._bucket.list(LEASES)
        elif (failure := self._bucket.look(f"{FAILURES}/{key}.json")) is not None:
            yield failure

    def _is_stray(self, stamp: Stamp) -> bool:
        """Say whether a file of a finished task is not of its record: a process that lost its lease sent it."""
        _, key, digits, name = stamp.name.split("/", 3)
        if key != self._stray_key:  # listings are in order, so a record is read once
            self._stray_key, self._stray_files = key, self.read(key).files
        kept = self._stray_files.get(name)
        return kept is None or not kept.sha256.startswith(digits)

    def remove(self, key: str) -> None:
        """Remove all that is there of a task but its lease, the record first: a removal that is cut off leaves no result."""
        self._bucket.delete([f"{RECORDS}/{key}.json"])
        self.remove_leftovers(key)

    def remove_leftovers(self, key: str) -> None:
        """Remove what `list_leftovers` named of a task but its lease, and the copies on this machine of what is not done."""
        self._known.pop(key, None)  # since it was listed, another process may have committed it, or made it anew
        done = {key} if self.is_done(key) else set()
        self._bucket.delete(stamp.name for stamps in self._list_spare(done, key).values() for stamp in stamps)
        if not done:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(self._folder(key))

    def explain_removal(self, key: str) -> str:
        """Say to a user how to remove a task."""
        return f"Remove it with `segshift store rm {key[:12]} --store {self._uri}`"


def _require_conditions(bucket: Bucket) -> None:
    """Refuse a service that ignores the conditions of writes: on it, two sweeps would overwrite each other's leases."""
    name = f"probe-{uuid.uuid4().hex}"
    try:
        is_safe = bucket.create(name, b"first") and not bucket.create(name, b"second")
        stamp = bucket.look(name)
        is_safe = (
            is_safe and stamp is not None and bucket.replace(stamp, b"third") and not bucket.replace(stamp, b"fourth")
        )
    finally:
        bucket.delete([name])
    if not is_safe:
        raise PrerequisiteError(
            f"the store {bucket.uri}: this service does not honour conditional writes (If-None-Match, If-Match), which keep "
            "sweeps apart. Take another service, a newer version of its server, or a folder on a shared disk."
        )


def _name_file(key: str, name: str, kept: StoredFile) -> str:
    return f"{TASKS}/{key}/{kept.sha256[:TAG_DIGITS]}/{name}"


def _key(stamp: Stamp) -> str:
    """Return the key of the task that an object belongs to: its second part."""
    return stamp.name.split("/")[1].removesuffix(".json")
