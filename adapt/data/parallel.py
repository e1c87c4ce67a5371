"""Applies a function to every file of a data set, in several processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

OnProgress = Callable[[int, int], None]
"""Called with (files done, files in all) after each file."""

_CHUNK = 16  # files handed to a process at once; ours: small enough for a lively progress bar, large enough to be cheap


def map_files(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int = 1,
    on_progress: OnProgress | None = None,
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order.

    Args:
        function: A picklable function.
        items: Its picklable arguments.
        workers: Processes to use; 1 stays in this one.
        on_progress: Told after each item.

    Yields:
        The results in the order of the items.
    """
    if workers <= 1 or len(items) <= 1:
        yield from _count(map(function, items), len(items), on_progress)
        return
    # Spawn: a fork would copy the threads of OpenCV, torch or Ray in an unknown state.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(items)), mp_context=context) as pool:
        try:
            yield from _count(pool.map(function, items, chunksize=_CHUNK), len(items), on_progress)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _count(results: Iterator[Result], total: int, on_progress: OnProgress | None) -> Iterator[Result]:
    for done, result in enumerate(results, start=1):
        if on_progress is not None:
            on_progress(done, total)
        yield result
