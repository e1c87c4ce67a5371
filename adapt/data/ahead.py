"""Items that other processes prepare ahead of whoever takes them, in order."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from adapt.errors import TaskError

Item = TypeVar("Item")


def prepare_ahead(
    dataset: Dataset[Item | Exception], workers: int, places: Iterable[Any] | None = None, pin: bool = False
) -> Iterator[Item]:
    """Go through the items of a data set while other processes prepare those to come, two each.

    Torch's random state stays as it was.

    Args:
        dataset: makes an item; an error is its value, because a loader that meets one in another process rewrites its text.
        workers: the number of processes; 0 makes each item in this one, when it is asked for.
        places: what the data set is asked for, gone through in this process; None is 0, 1, ... to its length.
        pin: whether tensors lie in pinned memory, from which they reach a GPU faster.

    Yields:
        The items in order.

    Raises:
        Exception: the error that an item is.
    """
    loader: DataLoader[Item | Exception] = DataLoader(
        dataset,
        sampler=places,
        batch_size=None,
        num_workers=workers,
        pin_memory=pin,
        collate_fn=_keep,
        generator=torch.Generator(),  # or else each loader draws from the global one
    )
    for item in _start(loader):
        if isinstance(item, Exception):
            raise item
        yield item


@contextlib.contextmanager
def naming_lost_processes() -> Iterator[None]:
    """Say what to do when a process that prepares items dies: torch says so in the middle of whatever the body does.

    Raises:
        TaskError: such a process was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise TaskError(
            "A process that prepares frames was killed, as when memory runs out, or the shared memory in /dev/shm that frames "
            f"go through ({error}). Lower `workers`, or give the machine or its container more of both (`--shm-size`)."
        ) from error


def _start(loader: Iterable[Item]) -> Iterator[Item]:
    """Start the processes of a loader while OpenCV has no threads.

    A fork of a process that has some believes that it has them too, and waits for ever when it is to end them.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(loader)
    finally:
        cv2.setNumThreads(threads)


def _keep(item: Any) -> Any:
    """Hand an item over as it is, where the loader would make a batch of it."""
    return item
