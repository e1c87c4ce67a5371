"""Order, bounds and errors of the two threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from adapt.tta.live.background import WriteBehind, read_ahead


def test_items_come_in_order() -> None:
    with read_ahead(iter(range(50)), capacity=3) as items:
        assert list(items) == list(range(50))


def test_it_reads_ahead_but_not_far() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        for number in range(20):
            made.append(number)
            yield number

    with read_ahead(make(), capacity=3) as items:
        assert next(items) == 0
        deadline = time.monotonic() + 5
        while len(made) < 5 and time.monotonic() < deadline:  # one taken, three waiting, one in the reader's hand
            time.sleep(0.01)
        time.sleep(0.05)
        assert made == [0, 1, 2, 3, 4]


def test_an_error_comes_in_its_place() -> None:
    def make() -> Iterator[int]:
        yield 1
        raise ValueError("torn")

    with read_ahead(make()) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="torn"):
            next(items)


def test_leaving_early_ends_the_thread() -> None:
    before = threading.active_count()

    def count() -> Iterator[int]:
        number = 0
        while True:
            yield number
            number += 1

    with read_ahead(count(), capacity=2) as items:
        next(items)
    assert threading.active_count() == before


def test_everything_is_written_in_order_before_it_ends() -> None:
    written: list[int] = []

    def write(number: int) -> None:
        time.sleep(0.002)
        written.append(number)

    with WriteBehind(write, capacity=3) as writer:
        for number in range(20):
            writer.put(number)
    assert written == list(range(20))


def test_an_error_of_writing_comes_back_and_nothing_follows_it() -> None:
    written: list[int] = []

    def write(number: int) -> None:
        if number == 2:
            raise OSError("disk full")
        written.append(number)

    put: list[int] = []

    def put_all() -> None:
        with WriteBehind(write, capacity=1) as writer:
            for number in range(1000):
                writer.put(number)
                put.append(number)
                time.sleep(0.001)

    with pytest.raises(OSError, match="disk full"):
        put_all()
    assert written == [0, 1]
    assert len(put) < 1000, "the work stops soon after"


def test_an_error_of_the_last_item_comes_back_too() -> None:
    def refuse(number: int) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), WriteBehind(refuse) as writer:
        writer.put(1)


def test_what_was_handed_over_is_written_when_the_work_is_broken_off() -> None:
    written: list[int] = []

    def break_off() -> None:
        with WriteBehind(written.append) as writer:
            writer.put(1)
            writer.put(2)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        break_off()
    assert written == [1, 2]
