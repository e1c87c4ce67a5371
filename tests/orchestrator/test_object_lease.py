"""The lease in a bucket: one holder, a heartbeat, takeover from the dead, whatever the clocks of the hosts say."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

import pytest

from orchestrator import object_lease
from orchestrator.bucket import Bucket, run_at_once
from orchestrator.lease import describe_holder, hold
from orchestrator.object_lease import ObjectLease

NAME = "leases/k.json"


@pytest.fixture
def bucket(bucket_uri: str) -> Bucket:
    return Bucket(bucket_uri)


def write_holder(bucket: Bucket, **changes: object) -> None:
    bucket.write(NAME, json.dumps(describe_holder("t") | changes).encode())


def read_token(bucket: Bucket) -> str:
    found = bucket.read(NAME)
    assert found is not None
    return json.loads(found[0])["token"]


def test_of_several_one_holds_it_and_gives_it_back(bucket: Bucket) -> None:
    leases = [ObjectLease(bucket, NAME) for _ in range(6)]
    taken = run_at_once(lambda lease: lease.try_acquire(), leases)
    assert sum(taken) == 1
    holder = leases[taken.index(True)]
    assert ObjectLease(bucket, NAME).is_held()
    assert not holder.is_lost()
    holder.release()
    assert not ObjectLease(bucket, NAME).is_held()
    assert ObjectLease(bucket, NAME).try_acquire()


def test_who_waited_takes_the_result(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(object_lease, "POLL_S", 0.01)
    write_holder(bucket)
    looks: list[bool] = []
    with hold(ObjectLease(bucket, NAME), lambda: looks.append(len(looks) > 2) or looks[-1]) as ours:
        assert not ours
    assert read_token(bucket) == "t", "the lease of another was taken away"


def test_the_lease_of_an_ended_process_of_this_machine_is_taken_over_at_once(bucket: Bucket) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    write_holder(bucket, pid=process.pid)
    assert not ObjectLease(bucket, NAME).is_held()
    assert ObjectLease(bucket, NAME).try_acquire()


def test_of_several_thieves_one_wins(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    write_holder(bucket, host="elsewhere")
    monkeypatch.setattr(object_lease, "STALE_AFTER_S", -1.0)  # the service counts whole seconds
    thieves = [ObjectLease(bucket, NAME) for _ in range(6)]
    monkeypatch.setattr(ObjectLease, "_is_dead", lambda self, content, stamp: json.loads(content)["token"] == "t")
    won = run_at_once(lambda thief: thief.try_acquire(), thieves)
    assert sum(won) == 1
    assert [thief.is_lost() for thief in thieves] == [False] * 6, "who never held it cannot lose it"
    assert not thieves[won.index(True)].is_lost()


@pytest.mark.parametrize("ahead_s", [-3600.0, 3600.0], ids=["an hour behind", "an hour ahead"])
def test_the_buckets_clock_tells_the_dead_from_the_living(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, ahead_s: float
) -> None:
    """A host whose clock is wrong by an hour takes a lease of another machine when it is silent for long, and not before."""
    write_holder(bucket, host="elsewhere")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead_s)
    assert ObjectLease(bucket, NAME).is_held()
    assert not ObjectLease(bucket, NAME).try_acquire()
    monkeypatch.setattr(object_lease, "STALE_AFTER_S", 1.0)
    deadline = time.monotonic() + 60
    while not ObjectLease(bucket, NAME).try_acquire():  # nobody beats for it
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert read_token(bucket) != "t"


def test_a_beat_is_dated_by_the_bucket_and_changes_the_tag(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    lease = ObjectLease(bucket, NAME)
    assert lease.try_acquire()
    before = bucket.look(NAME)
    lease.beat()
    assert bucket.look(NAME) == before, "beats cost a request each: one now and then is enough"
    monkeypatch.setattr(object_lease, "BEAT_S", 0.0)
    lease.beat()
    after = bucket.look(NAME)
    assert before is not None
    assert after is not None
    assert after.e_tag != before.e_tag, "a thief that read it before the beat could still replace it"
    assert not bucket.replace(before, b"the thief's")


def test_a_holder_that_was_suspended_knows_that_it_lost_and_leaves_the_new_one_alone(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lease, "BEAT_S", 0.0)
    lease = ObjectLease(bucket, NAME)
    with hold(lease, lambda: False) as ours:
        assert ours
        write_holder(bucket, token="the thief's")
        assert lease.is_lost()
        lease.beat()
    assert read_token(bucket) == "the thief's"


def test_a_beat_while_it_is_given_back_does_not_leave_it_behind(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_lease, "BEAT_S", 0.0)
    lease, read = ObjectLease(bucket, NAME), Bucket.read
    assert lease.try_acquire()
    heart = threading.Thread(target=lease.beat)

    def read_slowly(self: Bucket, name: str) -> object:
        found = read(self, name)
        if not heart.is_alive() and heart.ident is None:
            heart.start()
            heart.join(timeout=0.5)  # it ends at once, or waits for its turn
        return found

    monkeypatch.setattr(Bucket, "read", read_slowly)
    lease.release()
    heart.join()
    assert bucket.look(NAME) is None


def test_who_may_not_write_can_still_look(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    from adapt.errors import PrerequisiteError

    def refuse(*arguments: object) -> None:
        raise PrerequisiteError("read only")

    write_holder(bucket, host="elsewhere")
    monkeypatch.setattr(Bucket, "write", refuse)
    assert ObjectLease(bucket, NAME).is_held()
