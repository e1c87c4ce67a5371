"""A lease on a task of the store, so that two sweeps never compute one key at once.

A lease of another machine is dead when its heart has not beaten for a while, by the clock of the file server, which
also dates the heartbeats: what this machine or the other one takes for the time plays no part.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import logging
import os
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import psutil

from adapt.atomic import link_atomically
from adapt.errors import SegshiftError

log = logging.getLogger(__name__)

HEARTBEAT_S = 5.0
STALE_AFTER_S = 60.0  # ours: twelve missed heartbeats; survives a paused NFS server, not a dead machine
POLL_S = 0.5
READS, READ_PAUSE_S = 4, 1.0  # ours: a file server that hands over answers with an error for a moment
START_TICKS = 19  # of /proc/PID/stat behind the name: ticks from boot to the start, which no set clock moves


class Lease(Protocol):
    """A lease that one process at a time holds."""

    @property
    def poll_s(self) -> float:
        """Seconds between two looks of a process that waits for it."""

    def try_acquire(self) -> bool:
        """Take it if it is free or its holder is dead; say whether it is ours now."""

    def beat(self) -> None:
        """Show that the holder lives; called every `HEARTBEAT_S`, errors do no harm."""

    def release(self) -> None:
        """Give it back, unless it has passed to another."""

    def is_lost(self) -> bool:
        """Say whether it was ours and has passed to another: this process was suspended for longer than a lease lives."""

    def is_held(self) -> bool:
        """Say whether a live process holds it."""


_held: set[Lease] = set()  # by this process, for its heart


@contextlib.contextmanager
def hold(lease: Lease, is_done: Callable[[], bool]) -> Iterator[bool]:
    """Hold a lease for the body, with a heartbeat; wait while another live process holds it.

    Args:
        lease: what to hold.
        is_done: says whether the work that it stands for is done.

    Yields:
        True when the lease is ours and the body should do the work; False when the work came to be done meanwhile.
    """
    is_ours = lease.try_acquire()
    while not is_ours and not is_done():
        time.sleep(lease.poll_s)
        is_ours = lease.try_acquire()
    if not is_ours:
        yield False
        return
    _start_heart()
    _held.add(lease)
    try:
        yield not is_done()
    finally:
        _held.discard(lease)
        try:
            lease.release()
        except (OSError, SegshiftError) as error:  # the work is kept; without a heart the lease dies by itself
            log.warning("a lease could not be given back: %s", error)


@functools.cache
def _start_heart() -> None:
    """Start this process's one thread that beats for all the leases it holds."""
    threading.Thread(target=_beat, name="lease-heartbeat", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(HEARTBEAT_S)
        for lease in tuple(_held):
            with contextlib.suppress(Exception):  # the disk or the network is away: the next beat may reach it
                lease.beat()


class FileLease:
    """A lease that is a file, on a disk of this machine or of a file server.

    Args:
        file: holds who holds it; its time of change is the last heartbeat.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._token: str | None = None

    @property
    def poll_s(self) -> float:
        """Seconds between two looks of a process that waits for it."""
        return POLL_S

    def try_acquire(self) -> bool:
        """Take it if it is free or its holder is dead; say whether it is ours now."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        token = uuid.uuid4().hex
        draft = self._file.with_name(f".{self._file.name}.{token}")
        try:
            draft.write_text(json.dumps(describe_holder(token)))
            for _ in range(2):
                if link_atomically(draft, self._file):  # and the file is never seen half written
                    self._token = token
                    return True
                if not self._is_dead():
                    return False
                self._bury()
            return False
        except FileNotFoundError:  # the task's folder is being removed
            return False
        finally:
            draft.unlink(missing_ok=True)

    def beat(self) -> None:
        """Date the file anew. Without a time of ours, a file server takes its own."""
        if not self.is_lost():
            os.utime(self._file)

    def release(self) -> None:
        """Remove the file, unless the lease has passed to another."""
        if not self.is_lost():
            self._file.unlink(missing_ok=True)
        self._token = None

    def is_lost(self) -> bool:
        """Say whether it was ours and has passed to another: a file that cannot be read for a moment says neither.

        Raises:
            OSError: it cannot be read for longer.
        """
        if self._token is None:
            return False
        for _ in range(READS - 1):
            with contextlib.suppress(OSError):
                return self._read()[0].get("token") != self._token
            time.sleep(READ_PAUSE_S)
        return self._read()[0].get("token") != self._token

    def is_held(self) -> bool:
        """Say whether a live process holds it."""
        return self._file.exists() and not self._is_dead()

    def _read(self) -> tuple[dict[str, Any], float | None]:
        """Return who holds it and when it last beat; None where there is no lease.

        The time is that of the opened file: NFS asks the server anew when a file is opened, and may else remember for
        a minute what it was told.
        """
        try:
            with self._file.open("rb") as file:
                return parse_holder(file.read()), os.fstat(file.fileno()).st_mtime
        except FileNotFoundError:
            return {}, None

    def _is_dead(self) -> bool:
        """Say whether no live process holds it: there is no lease, or that of a dead holder."""
        return self._find_dead() is not False

    def _find_dead(self) -> bool | None:
        """Say whether there is a dead holder's lease; None where there is none at all."""
        try:
            holder, beat = self._read()
        except OSError:  # nobody knows
            return False
        if beat is None:
            return None
        if holder.get("host") == name_machine():
            return has_ended(holder)
        return read_clock(self._file.parent) - beat > STALE_AFTER_S

    def _bury(self) -> None:
        """Remove a dead holder's lease. Thieves go one at a time and look again: a quicker one may have replaced it."""
        with self._file.with_name(f".{self._file.name}.thief").open("w") as gate:
            try:
                fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return
            if self._find_dead():  # where there is none, one that comes now is a quicker thief's
                self._file.unlink(missing_ok=True)


def read_clock(folder: Path) -> float:
    """Return the time by the clock of a folder's disk, which dates a file that is written now; seconds since the epoch."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".clock.", dir=folder) as file:
            file.write(b"now")
            file.flush()
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_mtime
    except OSError:  # a reader who may not write, or a full disk: this machine's clock has to do
        return time.time()


def describe_holder(token: str) -> dict[str, Any]:
    """Describe this process as the holder of a lease."""
    pid = os.getpid()
    return {"token": token, "host": name_machine(), "pid": pid, "started": read_start(pid)}


def parse_holder(content: bytes) -> dict[str, Any]:
    """Return the holder that a lease names; of what makes no sense, none."""
    try:
        data = json.loads(content)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


def has_ended(holder: dict[str, Any]) -> bool:
    """Say whether a holder on this machine runs no more."""
    try:
        process = psutil.Process(int(holder["pid"]))
        if read_start(process.pid) != holder["started"]:  # the id was reused
            return True
        return process.status() == psutil.STATUS_ZOMBIE  # killed, and nobody reaped it
    except (psutil.Error, OSError, ValueError, TypeError, KeyError):
        return True


def read_start(pid: int) -> int:
    """Return when a process started, in clock ticks after the boot. Dates would move when the clock is set."""
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[START_TICKS])


@functools.cache
def name_machine() -> str:
    """Return what tells this machine, since its boot, and this container from others of the same host name."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)
