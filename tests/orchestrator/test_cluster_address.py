"""Addresses of clusters: what answers, what does not, and what is said of it in bounded time."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from adapt.errors import PrerequisiteError
from orchestrator import cluster_address
from orchestrator.cluster_address import check_head, connect, read_token, resolve, split_address
from orchestrator.cluster_session import open_cluster

SOON_S = 2.0  # stands for the 10 s of a user's patience


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(cluster_address, "send_token", lambda: None)  # it switches Ray's mode for the whole process


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and says nothing."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        yield server.getsockname()[1]


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@pytest.fixture
def start_head() -> Iterator[Callable[..., str]]:
    """Start what answers like a Ray head of given versions, or refuses."""
    import grpc
    from ray.core.generated import gcs_service_pb2 as messages

    servers: list[Any] = []

    def start(ray_version: str, python_version: str | None, refuses: bool = False) -> str:
        def check_alive(request: Any, context: Any) -> Any:
            if refuses:
                context.abort(grpc.StatusCode.UNAUTHENTICATED, "InvalidAuthToken")
            return messages.CheckAliveReply(ray_version=ray_version)

        def get(request: Any, context: Any) -> Any:
            assert (request.namespace, request.key) == (b"cluster", b"CLUSTER_METADATA")
            note = json.dumps({"python_version": python_version}).encode() if python_version else b""
            return messages.InternalKVGetReply(value=note)

        def handle(function: Any, request: Any, reply: Any) -> Any:
            return grpc.unary_unary_rpc_method_handler(function, request.FromString, reply.SerializeToString)

        server = grpc.server(futures.ThreadPoolExecutor(1))
        server.add_generic_rpc_handlers(
            (
                grpc.method_handlers_generic_handler(
                    "ray.rpc.NodeInfoGcsService",
                    {"CheckAlive": handle(check_alive, messages.CheckAliveRequest, messages.CheckAliveReply)},
                ),
                grpc.method_handlers_generic_handler(
                    "ray.rpc.InternalKVGcsService",
                    {"InternalKVGet": handle(get, messages.InternalKVGetRequest, messages.InternalKVGetReply)},
                ),
            )
        )
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None)


PYTHON = ".".join(map(str, sys.version_info[:3]))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("head:6379", ("head", 6379)),
        ("head", ("head", 1234)),
        ("10.0.0.1:1", ("10.0.0.1", 1)),
        ("[::1]:6379", ("::1", 6379)),
        ("[::1]", ("::1", 1234)),
        ("http://head:8265", ("head", 8265)),
        ("http://head:8265/", ("head", 8265)),
        ("https://head", ("head", 1234)),
        ("ray://head:10001", ("head", 10001)),
    ],
)
def test_addresses_are_taken_apart(address: str, expected: tuple[str, int]) -> None:
    assert split_address(address, 1234) == expected


def test_a_port_that_is_no_number() -> None:
    with pytest.raises(PrerequisiteError, match=r"HOST:PORT"):
        split_address("head:port", 6379)


def test_nobody_listens(closed_port: int) -> None:
    with pytest.raises(PrerequisiteError, match=r"nothing answers at .*refused.*ray status"):
        connect(f"127.0.0.1:{closed_port}", 1, SOON_S)


def test_packets_that_are_dropped_end_by_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {}

    def drop(place: tuple[str, int], timeout: float) -> socket.socket:
        seen["place"], seen["timeout"] = place, timeout
        raise TimeoutError("timed out")

    monkeypatch.setattr(socket, "create_connection", drop)
    with pytest.raises(PrerequisiteError, match=r"no answer within 10 s"):
        connect("10.255.255.1:6379", 6379)
    assert seen == {"place": ("10.255.255.1", 6379), "timeout": 10.0}


def test_a_name_that_does_not_exist() -> None:
    with pytest.raises(PrerequisiteError, match=r"nothing answers at nowhere.invalid:6379"):
        connect("nowhere.invalid:6379", 6379, SOON_S)


def test_a_port_that_says_nothing_is_no_head(silent_port: int) -> None:
    with pytest.raises(PrerequisiteError, match=r"is no Ray head .*6379.*segshift submit"):
        check_head(f"127.0.0.1:{silent_port}", SOON_S)


def test_a_head_like_this_process_is_joined(start_head: Callable[..., str]) -> None:
    import ray

    check_head(start_head(ray.__version__, PYTHON))
    check_head(start_head(ray.__version__, None))  # a head that notes nothing of its Python


def test_another_ray_is_told(start_head: Callable[..., str]) -> None:
    import ray

    with pytest.raises(
        PrerequisiteError, match=rf"runs Ray 2\.40\.0 on Python 3.*this is Ray {ray.__version__}.*segshift submit"
    ):
        check_head(start_head("2.40.0", PYTHON))


def test_another_python_is_told(start_head: Callable[..., str]) -> None:
    import ray

    with pytest.raises(PrerequisiteError, match=rf"on Python 3\.9\.1, .* on Python {PYTHON}"):
        check_head(start_head(ray.__version__, "3.9.1"))


def test_a_token_is_asked_for_and_there_is_none(start_head: Callable[..., str]) -> None:
    with pytest.raises(
        PrerequisiteError, match=r"asks for a token, and there is none here.*ray get-auth-token.*RAY_AUTH_TOKEN"
    ):
        check_head(start_head("any", None, refuses=True))


def test_a_token_is_sent_to_who_asks_for_it_alone(
    start_head: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that sends one also asks for one: a cluster without tokens could not tell it how its actors are."""
    import ray

    sent: list[str] = []
    monkeypatch.setattr(cluster_address, "send_token", lambda: sent.append("token"))
    check_head(start_head(ray.__version__, PYTHON))
    assert sent == []
    with pytest.raises(PrerequisiteError):
        check_head(start_head("any", None, refuses=True))
    assert sent == ["token"]


def test_a_refused_token_is_told_as_such(start_head: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", "wrong")
    with pytest.raises(PrerequisiteError, match=r"refused this user's token.*ray get-auth-token"):
        check_head(start_head("any", None, refuses=True))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(PrerequisiteError, match=r"RAY_AUTH_MODE=disabled keeps it back"):
        check_head(start_head("any", None, refuses=True))


def test_tokens_are_looked_for_in_rays_order(tmp_path: Path) -> None:
    named, default = tmp_path / "named", tmp_path / ".ray" / "auth_token"
    assert read_token({}, tmp_path) is None
    default.parent.mkdir()
    default.write_text("default\n")
    assert read_token({}, tmp_path) == "default"
    named.write_text(" named ")
    assert read_token({"RAY_AUTH_TOKEN_PATH": str(named)}, tmp_path) == "named"
    assert read_token({"RAY_AUTH_TOKEN": "own", "RAY_AUTH_TOKEN_PATH": str(named)}, tmp_path) == "own"


def test_a_token_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"RAY_AUTH_TOKEN_PATH names .*cannot be read"):
        read_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}, tmp_path)
    (tmp_path / "empty").touch()
    with pytest.raises(PrerequisiteError, match=r"which is empty"):
        read_token({"RAY_AUTH_TOKEN_PATH": str(tmp_path / "empty")}, tmp_path)


def test_other_services_of_a_cluster_are_refused_with_the_way_in() -> None:
    with pytest.raises(PrerequisiteError, match=r"Ray Client.*segshift submit --address http://head:8265"):
        resolve("ray://head:10001")
    with pytest.raises(PrerequisiteError, match=r"a dashboard.*segshift submit --address http://head:8265"):
        resolve("http://head:8265")


def test_a_host_alone_means_rays_port() -> None:
    assert resolve("head") == "head:6379"
    assert resolve("head:1") == "head:1"
    assert resolve("[::1]:6379") == "[::1]:6379"


@pytest.mark.parametrize(
    ("text", "match"), [("Could not find any", "no Ray cluster runs"), ("Found multiple", "several .*--address")]
)
def test_auto_needs_one_cluster_here(text: str, match: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from ray._private import services

    def fail(address: str) -> str:
        raise ConnectionError(text)

    monkeypatch.setattr(services, "canonicalize_bootstrap_address_or_die", fail)
    with pytest.raises(PrerequisiteError, match=match):
        resolve("auto")


def test_auto_is_ray_address_where_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "10.9.8.7:6379")
    assert resolve("auto") == "10.9.8.7:6379"


def test_a_session_on_an_address_that_nobody_answers(closed_port: int) -> None:
    session = open_cluster(f"127.0.0.1:{closed_port}")
    with pytest.raises(PrerequisiteError, match=r"nothing answers at 127\.0\.0\.1"):  # Ray alone: a signal after 122 s
        session.__enter__()
