"""The copy, in a bucket, of what a running task would go on from: another machine takes it where this one is lost.

Files are sent when they have changed, each under a new name; the list of them is replaced last. So whatever moment the
machine is lost at, the list names whole files. A file that was written to while it was sent stays listed as it was before.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adapt.atomic import write_atomically
from adapt.errors import SegshiftError
from orchestrator.bucket import Bucket, run_at_once
from orchestrator.lease import Lease

log = logging.getLogger(__name__)

LIST = "files.json"
MARK = ".carried"  # in the task's folder: which list of the bucket it was last equal to, or older than
SAVE_S = 30.0  # ours: what a lost machine takes with it at most, where the network keeps up
SAVE_SHARE = 4  # ours: of five seconds, at most one is spent on sending
UNFINISHED = (".partial", ".tmp")


class WorkCopy:
    """Sends and fetches what a task left.

    Args:
        bucket: where the copy is.
        place: its name there, without files beside it.
        folder: the task's folder on this machine.
        left_out: names in that folder that stay here.
        log: the file that the task prints to, and its name in the bucket; sent with the rest, and kept when that is dropped.
    """

    def __init__(
        self, bucket: Bucket, place: str, folder: Path, left_out: tuple[str, ...], log: tuple[Path, str]
    ) -> None:
        self._bucket = bucket
        self._place = place
        self._folder = folder
        self._left_out = left_out
        self._log, self._log_name = log
        self._logged_bytes = 0
        self._sent: dict[str, dict[str, Any]] = {}  # file -> its name in the bucket, size, time of change and hash
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def fetch(self) -> None:
        """Bring what another machine left here, in the place of anything older; keep what this machine left last."""
        found = self._bucket.read(f"{self._place}/{LIST}")
        if found is None:
            return
        content, stamp = found
        listed: dict[str, dict[str, Any]] = json.loads(content)
        self._sent = listed
        mark = self._folder / MARK
        if mark.is_file() and mark.read_text() == str(stamp.e_tag):
            return
        for path in self._list_files():
            path.unlink()

        def bring(name: str) -> None:
            path, one = self._folder / name, listed[name]
            path.parent.mkdir(parents=True, exist_ok=True)
            if self._bucket.fetch(f"{self._place}/{one['object']}", path, one.get("sha256", "")):
                os.utime(path, ns=(one["changed"], one["changed"]))  # so that it is not sent back
            else:
                log.warning("the task %s goes on without %s: its copy is damaged or gone", self._folder.name, name)

        run_at_once(bring, listed)
        self._mark(str(stamp.e_tag))

    def start(self, lease: Lease) -> None:
        """Send what has changed now and then from a thread, as long as the lease is ours."""
        self._thread = threading.Thread(target=self._keep_sending, args=(lease,), name="work-copy", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()

    def _keep_sending(self, lease: Lease) -> None:
        pause = SAVE_S
        while not self._stop.wait(pause):
            started = time.monotonic()
            self.save(lease)
            pause = max(SAVE_S, SAVE_SHARE * (time.monotonic() - started))

    def save(self, lease: Lease) -> None:
        """Send what has changed since the last time; a bucket that is away is no reason to stop a task."""
        try:
            if not lease.is_lost():
                self.save_log()
                self._save()
        except (OSError, SegshiftError) as error:
            log.warning("what the task %s would go on from was not sent: %s", self._folder.name, error)

    def save_log(self) -> None:
        """Send the log where it has grown."""
        size = self._log.stat().st_size if self._log.is_file() else 0
        if size != self._logged_bytes:
            self._bucket.write(self._log_name, self._log)
            self._logged_bytes = size

    def _save(self) -> None:
        found = {}
        for path in self._list_files():
            with contextlib.suppress(FileNotFoundError):  # gone since it was listed
                found[path.relative_to(self._folder).as_posix()] = _read_version(path.stat())
        changed = [name for name, version in found.items() if not _is_version(self._sent.get(name), version)]
        if not changed and found.keys() == self._sent.keys():
            return
        sent = dict(zip(changed, run_at_once(lambda name: self._send(name, found[name]), changed), strict=True))
        whole = {name: one for name, one in sent.items() if one is not None}
        listed = {name: one for name, one in (self._sent | whole).items() if name in found}
        self._bucket.write(f"{self._place}/{LIST}", json.dumps(listed).encode())
        stamp = self._bucket.look(f"{self._place}/{LIST}")
        self._mark(str(stamp.e_tag) if stamp is not None else "")
        spare = {one["object"] for one in self._sent.values()} - {one["object"] for one in listed.values()}
        self._sent = listed
        self._bucket.delete(f"{self._place}/{name}" for name in spare)

    def _send(self, name: str, version: dict[str, int]) -> dict[str, Any] | None:
        """Send a file; return what the list says of it, or None where it changed since it was found.

        One that is replaced while it is sent is sent as it was: an open file keeps its content.
        """
        target = f"{uuid.uuid4().hex}/{name}"
        try:
            file = (self._folder / name).open("rb")
        except FileNotFoundError:
            return None
        with file:
            if not _is_version(version, _read_version(os.fstat(file.fileno()))):
                return None
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            file.seek(0)
            self._bucket.write(f"{self._place}/{target}", file)
            if _is_version(version, _read_version(os.fstat(file.fileno()))):
                return version | {"object": target, "sha256": sha256}
        self._bucket.delete([f"{self._place}/{target}"])
        return None

    def _mark(self, e_tag: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self._folder / MARK, e_tag)

    def drop(self) -> None:
        """Remove the copy."""
        self._bucket.delete(stamp.name for stamp in self._bucket.list(self._place))
        (self._folder / MARK).unlink(missing_ok=True)

    def _list_files(self) -> list[Path]:
        """Return the files that are carried: not drafts, of ours or of others, and no links."""
        return [
            path
            for path in sorted(self._folder.rglob("*"))
            if path.relative_to(self._folder).parts[0] not in self._left_out
            and not path.name.startswith(".")
            and path.suffix not in UNFINISHED
            and path.is_file()
            and not path.is_symlink()
        ]


def _read_version(status: os.stat_result) -> dict[str, int]:
    return {"size": status.st_size, "changed": status.st_mtime_ns}


def _is_version(known: Mapping[str, Any] | None, version: Mapping[str, int]) -> bool:
    return known is not None and all(known[name] == value for name, value in version.items())
