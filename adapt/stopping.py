"""A request to this process to stop soon: long work keeps what it needs to go on later, and ends with `Stopped`."""

from __future__ import annotations

import threading

_requested = threading.Event()


class Stopped(Exception):  # noqa: N818  it is no error
    """The work was stopped on request, and can go on from what it kept. It has not failed."""


def request_stop() -> None:
    """Ask all work of this process to stop; safe in a signal handler."""
    _requested.set()


def withdraw_stop() -> None:
    """Let this process work again."""
    _requested.clear()


def is_stop_requested() -> bool:
    """Say whether work should stop at the next place from which it can go on."""
    return _requested.is_set()
