"""Two threads that keep adaptation from waiting: one reads ahead, one writes behind."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Generic, TypeVar

Item = TypeVar("Item")

CAPACITY = 4  # ours: evens out a slow file now and then; four 1080p frames take 25 MB
_POLL_S = 0.1  # how soon a reader that waits for room notices that nobody wants its items any more
_END = object()


@contextlib.contextmanager
def read_ahead(items: Iterable[Item], capacity: int = CAPACITY) -> Iterator[Iterator[Item]]:
    """Iterate over items in a thread of its own, a few ahead of their use.

    Args:
        items: iterated over once, in the other thread.
        capacity: at most so many wait.

    Yields:
        The same items in the same order; an error raised while they were made is raised in their place.
    """
    waiting: queue.Queue[object] = queue.Queue(capacity)
    unwanted = threading.Event()

    def put(item: object) -> bool:
        while not unwanted.is_set():
            with contextlib.suppress(queue.Full):
                waiting.put(item, timeout=_POLL_S)
                return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not put(item):
                    return
        except BaseException as error:  # whatever it is, the thread that uses the items must see it
            put(_Failure(error))
        else:
            put(_END)

    def take() -> Iterator[Item]:
        while (item := waiting.get()) is not _END:
            if isinstance(item, _Failure):
                raise item.error
            yield item  # type: ignore[misc]  # all else in the queue are items

    thread = threading.Thread(target=read, name="read ahead", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        unwanted.set()
        thread.join()


class WriteBehind(Generic[Item]):
    """Hands items to a function in a thread of its own, in order, and waits for it only when many are under way.

    Args:
        write: called with one item after the other.
        capacity: at most so many wait.
    """

    def __init__(self, write: Callable[[Item], None], capacity: int = CAPACITY) -> None:
        self._write = write
        self._waiting: queue.Queue[object] = queue.Queue(capacity)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="write behind", daemon=True)

    def __enter__(self) -> WriteBehind[Item]:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until everything is written; raise what went wrong, unless another error is on its way."""
        self._waiting.put(_END)
        self._thread.join()
        if error is None:
            self._raise_error()

    def put(self, item: Item) -> None:
        """Hand over an item.

        Raises:
            Exception: what `write` raised on an earlier item; nothing is written after it.
        """
        self._raise_error()
        self._waiting.put(item)

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        # After an error it goes on taking items, or a full queue would block `put` for ever.
        while (item := self._waiting.get()) is not _END:
            if self._error is None:
                try:
                    self._write(item)  # type: ignore[arg-type]  # all else in the queue are items
                except BaseException as error:
                    self._error = error


class _Failure:
    """An error on its way from one thread to the other."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
