"""Applies a function to many items in several processes, holding no more of them than these work on."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.synchronize import Event
from typing import TypeVar

from corruptions.errors import CorruptionError

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2  # items of each process that are handed out; ours: one in work, one waiting

_stop: Event | None = None


def is_stopped() -> bool:
    """Tell a long function that it should end early: nobody waits for its result any more."""
    return _stop is not None and _stop.is_set()


def map_unordered(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Generator[Result, None, None]:
    """Yield `function(item)` for every item, as they come.

    Args:
        function: A picklable function.
        items: Its picklable arguments, taken as they are needed.
        workers: Processes; 1 stays in this one.

    Yields:
        The results, in the order in which they are ready.

    Raises:
        CorruptionError: If a process dies.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    # Spawn: a fork would copy the threads of OpenCV or numba in an unknown state.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = ProcessPoolExecutor(workers, context, _start_process, (stop,))
    pending: set[Future[Result]] = set()
    try:
        for item in items:
            pending.add(pool.submit(function, item))
            if len(pending) >= AHEAD * workers:
                done, pending = wait(pending, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        while pending:
            done, pending = wait(pending, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in done)
    except BrokenProcessPool as error:
        raise CorruptionError(
            "a process ended abruptly, as when memory runs out: run the same command again, with fewer workers; it goes on "
            "from there"
        ) from error
    finally:
        stop.set()
        pool.shutdown(wait=True, cancel_futures=True)


def _start_process(stop: Event) -> None:
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which sets the event
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import cv2

    cv2.setNumThreads(1)  # the processes share the cores already


def _end_with_parent() -> None:
    """Wait for the parent to be killed: nothing else would end this process then."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
