"""A lease that is an object of a bucket: taken, renewed and taken over by conditional writes, dated by the bucket's clock."""

from __future__ import annotations

import json
import threading
import time
import uuid

from adapt.errors import PrerequisiteError
from orchestrator.bucket import Bucket, Stamp
from orchestrator.lease import describe_holder, has_ended, name_machine, parse_holder

CLOCK = "clock"  # an object that is written to learn the time
POLL_S = 2.0  # ours: requests cost money, and a task takes minutes
BEAT_S = 20.0
STALE_AFTER_S = 120.0  # ours: six missed heartbeats


class ObjectLease:
    """The lease at a name of a bucket.

    Args:
        bucket: where it is.
        name: of the object.
    """

    def __init__(self, bucket: Bucket, name: str) -> None:
        self._bucket = bucket
        self._name = name
        self._token: str | None = None
        self._beats = 0
        self._beat_at = 0.0  # by the monotonic clock
        self._turn = (
            threading.Lock()
        )  # of the heart and who gives it back: a beat between look and removal would void it

    @property
    def poll_s(self) -> float:
        """Seconds between two looks of a process that waits for it."""
        return POLL_S

    def try_acquire(self) -> bool:
        """Take it if it is free or its holder is dead; say whether it is ours now."""
        token = uuid.uuid4().hex
        content = self._describe(token)
        if self._bucket.create(self._name, content):
            taken = True
        else:
            found = self._bucket.read(self._name)
            if found is None:  # given back since
                taken = self._bucket.create(self._name, content)
            else:  # of several thieves, the bucket lets one replace what all of them have read
                taken = self._is_dead(*found) and self._bucket.replace(found[1], content)
        if taken:
            self._token, self._beat_at = token, time.monotonic()
        return taken

    def beat(self) -> None:
        """Write it anew, so that the bucket dates it."""
        with self._turn:
            if time.monotonic() - self._beat_at >= BEAT_S:
                self._renew()

    def _renew(self) -> bool:
        """Write it anew where it is still ours; say whether it was."""
        found = self._bucket.read(self._name)
        if found is None or self._token is None or parse_holder(found[0]).get("token") != self._token:
            return False
        self._beats += 1  # content that differs: the tag of an object may be a hash of it
        is_ours = self._bucket.replace(found[1], self._describe(self._token))
        if is_ours:
            self._beat_at = time.monotonic()
        return is_ours

    def release(self) -> None:
        """Remove it, unless it has passed to another. Renewed first, nobody takes it between the look and the removal."""
        with self._turn:
            if self._renew():
                self._bucket.delete([self._name])
            self._token = None

    def is_lost(self) -> bool:
        """Say whether it was ours and has passed to another."""
        if self._token is None:
            return False
        found = self._bucket.read(self._name)
        return found is None or parse_holder(found[0]).get("token") != self._token

    def is_held(self) -> bool:
        """Say whether a live process holds it."""
        found = self._bucket.read(self._name)
        return found is not None and not self._is_dead(*found)

    def _describe(self, token: str) -> bytes:
        return json.dumps(describe_holder(token) | {"beats": self._beats}).encode()

    def _is_dead(self, content: bytes, stamp: Stamp) -> bool:
        holder = parse_holder(content)
        if holder.get("host") == name_machine():
            return has_ended(holder)
        return self._read_clock() - stamp.modified > STALE_AFTER_S

    def _read_clock(self) -> float:
        """Return the time by the clock of the bucket, which dates an object that is written now."""
        try:
            self._bucket.write(CLOCK, uuid.uuid4().bytes)
            stamp = self._bucket.look(CLOCK)
        except PrerequisiteError:  # a reader who may not write: this machine's clock has to do
            stamp = None
        return time.time() if stamp is None else stamp.modified
