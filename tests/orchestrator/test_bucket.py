"""The verbs of a bucket against a real S3 server, and what a user is told when it cannot be used."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapt.errors import PrerequisiteError
from orchestrator.bucket import Bucket, run_at_once

CONTACT_S = 30  # the promise is 10 s; the rest is for a machine that is busy with other work


@pytest.fixture
def bucket(bucket_uri: str) -> Bucket:
    return Bucket(bucket_uri)


def test_what_is_written_is_read_back_with_its_stamp(bucket: Bucket) -> None:
    assert bucket.read("a/b c=[é].json") is None
    assert bucket.look("a/b c=[é].json") is None
    bucket.write("a/b c=[é].json", b"one")
    found = bucket.read("a/b c=[é].json")
    assert found is not None
    assert found[0] == b"one"
    assert (found[1].name, found[1].size_bytes) == ("a/b c=[é].json", 3)
    assert found[1] == bucket.look("a/b c=[é].json")
    assert abs(found[1].modified - time.time()) < 60
    bucket.write("a/b c=[é].json", b"other")
    assert bucket.look("a/b c=[é].json") != found[1]


def test_of_many_that_create_an_object_one_succeeds(bucket: Bucket) -> None:
    contents = [str(index).encode() for index in range(8)]
    made = run_at_once(lambda content: bucket.create("record.json", content), contents)
    assert sum(made) == 1
    found = bucket.read("record.json")
    assert found is not None
    assert found[0] == contents[made.index(True)]


def test_a_creation_that_was_sent_twice_counts_as_one(bucket: Bucket) -> None:
    """Its answer was lost, and the client sent it again: the object that is there already is its own."""
    assert bucket.create("record.json", b"mine")
    assert bucket.create("record.json", b"mine")
    assert not bucket.create("record.json", b"theirs")


def test_of_many_that_replace_what_they_read_one_succeeds(bucket: Bucket) -> None:
    bucket.write("lease.json", b"dead")
    stamp = bucket.look("lease.json")
    assert stamp is not None
    contents = [str(index).encode() for index in range(8)]
    made = run_at_once(lambda content: bucket.replace(stamp, content), contents)
    assert sum(made) == 1
    found = bucket.read("lease.json")
    assert found is not None
    assert found[0] == contents[made.index(True)]


def test_what_is_gone_is_not_replaced(bucket: Bucket) -> None:
    bucket.write("lease.json", b"x")
    stamp = bucket.look("lease.json")
    assert stamp is not None
    bucket.delete(["lease.json"])
    bucket.delete(["lease.json"])
    assert not bucket.replace(stamp, b"y")
    assert bucket.look("lease.json") is None


def test_a_large_file_travels_in_parts(bucket: Bucket, tmp_path: Path) -> None:
    content = bytes(range(256)) * (20 * 2**20 // 256) + b"end"
    (tmp_path / "large").write_bytes(content)
    bucket.write("large", tmp_path / "large")
    assert bucket.download("large", tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == content
    assert not bucket.download("gone", tmp_path / "gone")


def test_a_listing_goes_on_beyond_one_page_and_stays_in_its_folder(bucket: Bucket) -> None:
    names = {f"records/{index:04}.json" for index in range(1100)}
    run_at_once(lambda name: bucket.write(name, b"{}"), sorted(names))
    bucket.write("records-of-others/x.json", b"{}")
    assert {stamp.name for stamp in bucket.list("records")} == names
    assert list(bucket.list("nothing")) == []


def test_the_error_of_one_of_many_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        run_at_once(lambda number: 1 / number, [1, 2, 0, 3])


def test_what_is_no_bucket_is_refused() -> None:
    with pytest.raises(PrerequisiteError, match=r"'ftp' is no kind of store\. Give a folder, or a bucket as s3://"):
        Bucket("ftp://host/folder")


@contextlib.contextmanager
def within_seconds() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < CONTACT_S


def test_a_bucket_that_is_not_there_is_named(bucket_uri: str) -> None:
    for use in (lambda one: one.read("x"), lambda one: one.write("x", b""), lambda one: list(one.list("x"))):
        with pytest.raises(
            PrerequisiteError, match=r"s3://no-such-bucket/x: there is no such bucket\. Make it, or correct"
        ):
            use(Bucket("s3://no-such-bucket/x", is_hasty=True))


def test_a_server_that_nobody_runs_is_said_within_seconds(bucket_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with (
        within_seconds(),
        pytest.raises(PrerequisiteError, match=r"cannot be used .* Check the network, .*AWS_ENDPOINT_URL"),
    ):
        Bucket(bucket_uri, is_hasty=True).read("x")


def test_a_server_that_does_not_answer_is_said_within_seconds(bucket_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with within_seconds(), pytest.raises(PrerequisiteError, match="cannot be used"):
            Bucket(bucket_uri, is_hasty=True).read("x")


def refuse_all(server: socket.socket, answer: bytes) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            connection.recv(65536)
            connection.sendall(answer)


@contextlib.contextmanager
def answering(monkeypatch: pytest.MonkeyPatch, status: str, body: bytes) -> Iterator[None]:
    """Let a server of ours answer every request like this."""
    head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        threading.Thread(target=refuse_all, args=(server, head.encode() + body), daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.getsockname()[1]}")
        yield
        server.shutdown(socket.SHUT_RDWR)


USES = (
    lambda bucket: bucket.read("tasks/4a"),
    lambda bucket: bucket.write("tasks/4a", b""),
    lambda bucket: list(bucket.list("tasks")),
    lambda bucket: bucket.delete(["tasks/4a"]),
)


@pytest.mark.parametrize("status", ["403 Forbidden", "401 Unauthorized"])
@pytest.mark.parametrize("body", [b"", b"<Error><Code>InvalidAccessKeyId</Code></Error>"], ids=["bare", "named"])
def test_credentials_that_are_refused_are_said(
    bucket_uri: str, monkeypatch: pytest.MonkeyPatch, status: str, body: bytes
) -> None:
    for use in USES:
        with (
            answering(monkeypatch, status, body),
            pytest.raises(PrerequisiteError, match=r"refuses these credentials .*Set AWS_ACCESS_KEY_ID"),
        ):
            use(Bucket(bucket_uri, is_hasty=True))


def test_a_key_with_such_digits_is_no_refusal(bucket_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are hexadecimal numbers: one in a hundred or so has 401 or 403 in it."""
    with (
        answering(monkeypatch, "400 Bad Request", b"too many questions"),
        pytest.raises(PrerequisiteError, match=r"cannot be used .*ab403cd.*Check the network"),
    ):
        Bucket(bucket_uri, is_hasty=True).read("tasks/ab403cd401")


def test_a_file_of_this_machine_that_is_gone_is_no_missing_bucket(bucket: Bucket, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"gone\.pth"):
        bucket.write("x", tmp_path / "gone.pth")
    assert bucket.look("x") is None
    bucket.write("x", b"x")
    with pytest.raises(FileNotFoundError, match="nowhere"):
        bucket.download("x", tmp_path / "nowhere" / "x")


def test_a_file_takes_its_place_whole_or_not_at_all(bucket: Bucket, tmp_path: Path) -> None:
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # of "abc", FIPS 180-2 appendix B.1
    file = tmp_path / "x"
    file.write_text("before")
    assert not bucket.fetch("x", file, sha256)
    bucket.write("x", b"ab")
    assert not bucket.fetch("x", file, sha256)
    assert file.read_text() == "before"
    bucket.write("x", b"abc")
    assert bucket.fetch("x", file, sha256)
    assert file.read_text() == "abc"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_missing_credentials_are_said_within_seconds(bucket_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://127.0.0.1:9")  # where a machine in a cloud asks for its role
    with within_seconds(), pytest.raises(PrerequisiteError, match=r"no credentials were found .*Set AWS_ACCESS_KEY_ID"):
        Bucket(bucket_uri, is_hasty=True).read("x")
