"""The log of a task: what its process prints and logs while it works, and the stacks of its threads where it hangs."""

from __future__ import annotations

import contextlib
import datetime
import faulthandler
import logging
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from experiments.task import Task
from orchestrator.request import find_limit_s

LOGGED = ("adapt", "corruptions", "experiments", "orchestrator")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@contextlib.contextmanager
def keep_log(file: Path, title: str, dump_after_s: float | None = None) -> Iterator[None]:
    """Send what this process writes to stdout and stderr, and logs, to the end of a file for the body.

    It is done where the operating system does it, so that compiled code and child processes write there too.

    Args:
        file: of the task; what earlier attempts left stays.
        title: of this attempt.
        dump_after_s: after so long the stacks of all threads are written too, even where one of them holds the interpreter;
            None never does.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(_FORMAT))
    with file.open("ab", buffering=0) as log, _redirect(log.fileno()):
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        os.write(log.fileno(), f"--- {now} {title}\n".encode())
        with _listen(handler):
            if dump_after_s is not None:
                faulthandler.dump_traceback_later(dump_after_s, file=log.fileno(), exit=False)
            try:
                yield
            finally:
                if dump_after_s is not None:
                    faulthandler.cancel_dump_traceback_later()


def find_dump_time(task: Task) -> float | None:
    """Return when a task that begins now reaches its time limit, in seconds since the epoch, for the processes that it starts."""
    limit_s = find_limit_s(task)
    return None if limit_s is None else time.time() + limit_s


def left_until(dump_at: float | None) -> float | None:
    """Return the seconds until then, on this machine; at least one."""
    return None if dump_at is None else max(1.0, dump_at - time.time())


@contextlib.contextmanager
def _redirect(target: int) -> Iterator[None]:
    """Have file descriptors 1 and 2 stand for `target`."""
    _flush()
    kept = [(number, os.dup(number)) for number in (1, 2)]
    for number, _ in kept:
        os.dup2(target, number)
    try:
        yield
    finally:
        _flush()
        for number, copy in kept:
            os.dup2(copy, number)
            os.close(copy)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


@contextlib.contextmanager
def _listen(handler: logging.Handler) -> Iterator[None]:
    """Have our own loggers, from INFO upwards, write to a handler."""
    loggers = [logging.getLogger(name) for name in LOGGED]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
