"""A lease on a task of the store, so that two sweeps never compute one key at once."""

from __future__ import annotations

import contextlib
import fcntl
import functools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil

HEARTBEAT_S = 5.0
STALE_AFTER_S = 60.0  # ours: twelve missed heartbeats; survives a paused NFS server, not a dead machine
SAME_START_S = 2.0  # ours: start times are boot time plus ticks, and the boot time moves when the clock is set
POLL_S = 0.5

_held: dict[Path, str] = {}  # the leases of this process and their tokens


def try_acquire(file: Path) -> str | None:
    """Take the lease at `file` if it is free or its holder is dead; return its token, or None where it is held."""
    file.parent.mkdir(parents=True, exist_ok=True)
    token = uuid.uuid4().hex
    draft = file.with_name(f".{file.name}.{token}")
    process = psutil.Process()
    holder = {"token": token, "host": name_machine(), "pid": process.pid, "started": process.create_time()}
    draft.write_text(json.dumps(holder))
    try:
        for _ in range(2):
            try:
                os.link(draft, file)  # atomic: fails where a lease exists, and the file is never seen half written
                return token
            except FileExistsError:
                if not _is_dead(file):
                    return None
                _bury(file)
        return None
    finally:
        draft.unlink(missing_ok=True)


@contextlib.contextmanager
def hold(file: Path, done: Path) -> Iterator[bool]:
    """Hold the lease at `file` for the body, with a heartbeat; wait while another live process holds it.

    Yields:
        True when the lease is ours and the body should do the work; False when `done` came to exist meanwhile.
    """
    token = try_acquire(file)
    while token is None and not done.exists():
        time.sleep(POLL_S)
        token = try_acquire(file)
    if token is None:
        yield False
        return
    _start_heart()
    _held[file] = token
    try:
        yield not done.exists()
    finally:
        _held.pop(file, None)
        if _read(file).get("token") == token:
            file.unlink(missing_ok=True)


def is_lost(file: Path) -> bool:
    """Say whether a lease that this process took has passed to another: it was suspended for longer than a lease lives."""
    return file in _held and _read(file).get("token") != _held[file]


def is_held(file: Path) -> bool:
    """Say whether a live process holds the lease at `file`."""
    return file.exists() and not _is_dead(file)


def _bury(file: Path) -> None:
    """Remove a dead holder's lease. Thieves go one at a time and look again: a quicker one may have replaced it."""
    with file.with_name(f".{file.name}.thief").open("w") as gate:
        try:
            fcntl.flock(gate, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if _is_dead(file):
            file.unlink(missing_ok=True)


@functools.cache
def name_machine() -> str:
    """Return what tells this machine, since its boot, and this container from others of the same host name."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


@functools.cache
def _start_heart() -> None:
    """Start this process's one thread that beats for all the leases it holds."""
    threading.Thread(target=_beat, name="lease-heartbeat", daemon=True).start()


def _beat() -> None:
    while True:
        time.sleep(HEARTBEAT_S)
        for file in tuple(_held):
            with contextlib.suppress(OSError):
                os.utime(file)


def _read(file: Path) -> dict[str, object]:
    try:
        data = json.loads(file.read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_dead(file: Path) -> bool:
    holder = _read(file)
    if holder.get("host") == name_machine():
        try:
            process = psutil.Process(int(str(holder["pid"])))
            is_other = abs(process.create_time() - float(str(holder["started"]))) > SAME_START_S  # the id was reused
            return is_other or process.status() == psutil.STATUS_ZOMBIE  # killed, and nobody reaped it
        except (psutil.NoSuchProcess, psutil.AccessDenied, ValueError, KeyError):
            return True
    try:
        return time.time() - file.stat().st_mtime > STALE_AFTER_S
    except FileNotFoundError:
        return True
