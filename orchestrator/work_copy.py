"""The copy, in a bucket, of what a running task would go on from: another machine takes it where this one is lost.

Files are sent when they have changed, each under a new name; the list of them is replaced last. So whatever moment the
machine is lost at, the list names whole files that belong together.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from adapt.atomic import replace_atomically, write_atomically
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
        self._sent: dict[str, dict[str, Any]] = {}  # file -> its name in the bucket, size and time of change
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
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with replace_atomically(path) as draft:
                self._bucket.download(f"{self._place}/{listed[name]['object']}", draft)
                os.utime(draft, ns=(listed[name]["changed"], listed[name]["changed"]))  # so that it is not sent back

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
        found, changed = {}, []
        for path in self._list_files():
            name, status = path.relative_to(self._folder).as_posix(), path.stat()
            known = self._sent.get(name)
            now = {"size": status.st_size, "changed": status.st_mtime_ns}
            if known is not None and {key: known[key] for key in now} == now:
                found[name] = known
            else:
                found[name] = now | {"object": f"{uuid.uuid4().hex}/{name}"}
                changed.append(name)
        if found == self._sent:
            return

        def send(name: str) -> None:
            self._bucket.write(f"{self._place}/{found[name]['object']}", self._folder / name)

        run_at_once(send, changed)
        whole = {name for name in changed if self._is_same(name, found[name])}  # not written to while it was sent
        listed = {name: one for name, one in found.items() if name not in changed or name in whole}
        self._bucket.write(f"{self._place}/{LIST}", json.dumps(listed).encode())
        stamp = self._bucket.look(f"{self._place}/{LIST}")
        self._mark(str(stamp.e_tag) if stamp is not None else "")
        spare = {one["object"] for one in (*self._sent.values(), *found.values())}
        spare -= {one["object"] for one in listed.values()}
        self._sent = listed
        self._bucket.delete(f"{self._place}/{name}" for name in spare)

    def _is_same(self, name: str, sent: dict[str, Any]) -> bool:
        try:
            status = (self._folder / name).stat()
        except FileNotFoundError:
            return False
        return (status.st_size, status.st_mtime_ns) == (sent["size"], sent["changed"])

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
