"""Whether the head of a cluster still listens."""

from __future__ import annotations

import socket

import pytest

from orchestrator import head
from orchestrator.head import HeadLostError, HeadWatch


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "PATIENCE_S", 0.0)


def test_a_head_that_is_away_for_a_moment_is_not_lost(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "PATIENCE_S", 60.0)
    port = listener.getsockname()[1]
    listener.close()
    opened: list[socket.socket] = []
    monkeypatch.setattr(head.time, "sleep", lambda seconds: opened.append(socket.create_server(("127.0.0.1", port))))
    HeadWatch(f"127.0.0.1:{port}").require()
    assert len(opened) == 1
    opened[0].close()


@pytest.fixture
def listener() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def test_a_silence_of_a_head_that_listens_is_no_loss(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "SILENT_S", 0.0)
    watch = HeadWatch(f"127.0.0.1:{listener.getsockname()[1]}")
    watch.check()
    watch.require()


def test_a_head_that_is_gone_is_named_with_what_to_do(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    watch = HeadWatch(address)
    listener.close()
    watch.check()  # no silence yet: nobody looks
    with pytest.raises(HeadLostError, match=rf"{address} no longer answers .*give the same command"):
        watch.require()
    monkeypatch.setattr(head, "SILENT_S", 0.0)
    with pytest.raises(HeadLostError):
        watch.check()


def test_an_answer_ends_a_silence(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = HeadWatch(f"127.0.0.1:{listener.getsockname()[1]}")
    listener.close()
    now = 0.0
    monkeypatch.setattr(head.time, "monotonic", lambda: now)
    watch.hear()
    now = head.SILENT_S - 1
    watch.check()
    watch.hear()
    now += head.SILENT_S - 1
    watch.check()
    now += 2
    with pytest.raises(HeadLostError):
        watch.check()
