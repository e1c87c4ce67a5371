"""Hooks: real commands and a real server are told; those that fail or hang harm nothing and are warned of."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from experiments.workspace import NotifySettings
from orchestrator import notify
from orchestrator.notify import Notifier
from orchestrator.sweep_state import Status, SweepState


@pytest.fixture
def state(make_task, make_graph) -> SweepState:
    tasks = [make_task(name) for name in ("good", "bad", "after")]
    status = dict(zip((task.key for task in tasks), (Status.DONE, Status.SUBMITTED, Status.WAITING), strict=True))
    return SweepState(make_graph(*tasks), status)


def fail(state: SweepState) -> None:
    _, bad, after = state.status
    state.status[bad], state.status[after] = Status.FAILED, Status.SKIPPED
    state.messages |= {after: "needs bad", bad: "no luck"}


Start = Callable[..., Notifier]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def start(state: SweepState, warnings: list[str]) -> Start:
    return lambda **settings: Notifier(NotifySettings(**settings), state, "/results", warnings.append)


class Server(ThreadingHTTPServer):
    """Keeps what is posted; answers with `code`, or never while `hangs` is not set."""

    code = 200

    def __init__(self) -> None:
        self.posts: list[tuple[str, dict[str, Any]]] = []
        self.go_on = threading.Event()
        self.go_on.set()
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/secret"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        text = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.headers["Content-Type"], json.loads(text)))
        self.server.go_on.wait(60)
        self.send_response(self.server.code)
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    made = Server()
    thread = threading.Thread(target=made.serve_forever, args=(0.05,))
    thread.start()
    yield made
    made.go_on.set()
    made.shutdown()
    thread.join()
    HTTPServer.server_close(made)


def test_the_end_and_the_first_failure_are_posted_once_each(start: Start, server: Server, state, warnings) -> None:
    with start(url=server.url) as notifier:
        notifier.update(state)
        assert server.posts == []
        fail(state)
        notifier.update(state)
        notifier.update(state)
    assert warnings == []
    assert {kind for kind, _ in server.posts} == {"application/json"}
    told = {summary["event"]: summary for _, summary in server.posts}
    assert len(server.posts) == len(told) == 2
    failure, end = told["failure"], told["end"]
    assert (failure["task"], failure["message"], failure["outcome"]) == ("bad", "no luck", "running")
    assert "bad failed: no luck" in failure["text"]
    assert f"segshift logs {failure['key'][:12]}" in failure["text"]
    assert (end["outcome"], end["experiment"], end["profile"], end["store"]) == ("failed", "byhand", "full", "/results")
    assert end["counts"] == {"cached": 0, "waiting": 0, "done": 1, "failed": 1, "skipped": 1}
    assert "1 done, 1 failed, 1 skipped" in end["text"]


@pytest.mark.parametrize(("on", "events"), [(["end"], ["end"]), (["failure"], ["failure"])])
def test_only_what_was_asked_for_is_told(on, events, start: Start, server: Server, state) -> None:
    with start(url=server.url, on=on) as notifier:
        fail(state)
        notifier.update(state)
    assert [summary["event"] for _, summary in server.posts] == events


def test_a_sweep_that_is_stopped_says_so(start: Start, server: Server) -> None:
    with pytest.raises(KeyboardInterrupt), start(url=server.url):
        raise KeyboardInterrupt
    assert [summary["outcome"] for _, summary in server.posts] == ["stopped"]


def test_a_command_has_the_summary_in_variables_and_on_its_input(
    start: Start, state, warnings: list[str], tmp_path: Path
) -> None:
    state.status = dict.fromkeys(state.status, Status.DONE)
    with start(
        command=f'cat > {tmp_path}/stdin; echo "$SEGSHIFT_EVENT,$SEGSHIFT_OUTCOME,$SEGSHIFT_DONE,$SEGSHIFT_TASK" > {tmp_path}/out'
    ):
        pass
    assert warnings == []
    assert (tmp_path / "out").read_text() == "end,complete,3,\n"
    assert json.loads((tmp_path / "stdin").read_text())["counts"]["done"] == 3


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("echo first >&2; echo no such room >&2; exit 3", "the notify command ended with code 3: no such room"),
        ("segshift-no-such-command", "code 127"),
        ("exec 0<&-; exit 0", None),  # it does not read its input
    ],
)
def test_a_command_that_fails_is_warned_of(command: str, told: str | None, start: Start, warnings: list[str]) -> None:
    with start(command=command):
        pass
    assert len(warnings) == (told is not None)
    assert told is None or told in warnings[0]


def test_a_command_that_hangs_is_ended_with_all_it_started(
    start: Start, warnings: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 0.5)
    with start(command=f"(sleep 100; echo > {tmp_path}/late) & echo $! > {tmp_path}/pid; wait"):
        pass
    assert warnings == ["the notify command took longer than 0.5 s and was ended"]
    child = Path("/proc") / (tmp_path / "pid").read_text().strip()
    deadline = time.monotonic() + 60
    while child.exists() and "Z" not in (child / "stat").read_text().split()[2]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_webhook_that_refuses_or_is_away_is_warned_of_without_its_secret(
    start: Start, server: Server, warnings: list[str]
) -> None:
    server.code = 403
    with start(url=server.url):
        pass
    with start(url="http://127.0.0.1:9/hooks/secret"):
        pass
    assert warnings[0] == "the notify webhook at 127.0.0.1 answered 403 Forbidden"
    assert warnings[1].startswith("the notify webhook at 127.0.0.1 does not answer")
    assert "secret" not in str(warnings)


def test_a_webhook_that_hangs_stops_neither_the_sweep_nor_its_end(
    start: Start, server: Server, state, warnings: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "LIMIT_S", 0.5)
    server.go_on.clear()
    with start(url=server.url, on=["failure"]) as notifier:
        fail(state)
        notifier.update(state)  # it returns at once: the server answers when the test is over
        assert not server.go_on.is_set()
    assert len(warnings) == 1
    assert "timed out" in warnings[0]


def test_nothing_is_told_where_nothing_is_configured(state: SweepState, warnings: list[str]) -> None:
    with Notifier(None, state, "/results", warnings.append) as notifier:
        fail(state)
        notifier.update(state)
    assert warnings == []
