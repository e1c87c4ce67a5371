"""The tracker: one actor that takes live scalars from tasks and mirrors them, their pictures and the records to MLflow.

Tasks never wait for it, and it never stops one: while MLflow is away, what comes in is kept (the newest, if it becomes
too much) and sent when it is back; records that could not be sent are sent by the next sweep. Pictures lie in the store:
those that MLflow has not got are sent while the task runs, the last ones with its record.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.mlflow_mirror import TRIAL
from orchestrator.record import Record
from orchestrator.store import Store

log = logging.getLogger(__name__)

FLUSH_S = 2.0
KEPT_STEPS = 10_000  # live scalars a task kept while MLflow is away; final scores are in the store in any case


@dataclass(frozen=True)
class MirrorTarget:
    """Which MLflow, and which experiment of it, a sweep is mirrored to."""

    tracking_uri: str
    experiment: str
    profile: str
    artifact_root: str | None

    def has_all(self, keys: Iterable[str], store: Store) -> bool:
        """Say whether all these tasks are mirrored there."""
        return set(keys) <= self.list_mirrored(store)

    def list_mirrored(self, store: Store) -> set[str]:
        """Return the keys of the tasks that are mirrored there; none where its sqlite file is gone, to be made anew."""
        marks, database = self.marks(store), self.tracking_uri.removeprefix("sqlite:///")
        if not marks.is_dir() or (database != self.tracking_uri and not os.path.exists(database)):
            return set()
        return set(os.listdir(marks))

    def mark(self, store: Store, key: str) -> None:
        """Note that a task is mirrored there."""
        marks = self.marks(store)
        marks.mkdir(parents=True, exist_ok=True)
        (marks / key).touch()

    def marks(self, store: Store) -> Path:
        """Return the folder with an empty file for each task that is mirrored there."""
        name = "".join(c if c.isalnum() else "-" for c in self.tracking_uri)[-80:]
        return store.root / "mirrored" / name / self.experiment


@dataclass(frozen=True)
class Poll:
    """What a tracker knows of the tasks that run.

    Attributes:
        latest: key -> the latest value of each scalar; empty for one that has begun and not reported yet.
        seconds: key -> for how long it has worked, by the tracker's own clock.
        unsent: metrics and records that wait to be sent to MLflow.
        problem: what goes wrong with MLflow, if anything.
    """

    latest: Mapping[str, Mapping[str, float]]
    seconds: Mapping[str, float]
    unsent: int
    problem: str | None


class Tracker:
    """Holds the latest scalars for the progress view, and mirrors to MLflow from a thread of its own.

    Args:
        target: where to mirror to; None mirrors nowhere.
        store: where the marks of mirrored tasks are kept.
    """

    def __init__(self, target: MirrorTarget | None, store: Store) -> None:
        self._target = target
        self._store = store
        self._latest: dict[str, dict[str, float]] = {}
        self._started: dict[str, float] = {}
        self._is_stopping = False
        self._steps: dict[str, list[tuple[int, int, Mapping[str, float]]]] = {}
        self._sending: dict[str, list[tuple[int, int, Mapping[str, float]]]] = {}  # taken out of `_steps` by a flush
        self._lock = threading.Lock()
        self._finished: collections.deque[Record] = collections.deque()
        self._names: dict[str, str] = {}
        self._mirror: Any = None
        self._problem: str | None = None
        self._refused: str | None = None  # the last refusal of this sweep
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        if target is not None:
            self._thread.start()

    def report(self, key: str, name: str, step: int, values: Mapping[str, float]) -> None:
        """Take live scalars of a task, or of a trial of a search under the key that `name_trial_run` gives."""
        self._names[key] = name
        self._latest.setdefault(key, {}).update(values, step=step)
        if self._target is not None:
            with self._lock:
                kept = self._steps.setdefault(key, [])
                kept.append((int(time.time() * 1000), step, dict(values)))
                del kept[:-KEPT_STEPS]

    def start(self, key: str, is_working: bool = True) -> None:
        """Note that a task works from now on, or that its process is gone and it waits again."""
        if is_working:
            self._started[key] = time.monotonic()
        else:
            self._started.pop(key, None)
            self._latest.pop(key, None)

    def poll(self) -> Poll:
        """Return what is known of the tasks that run."""
        now = time.monotonic()
        with self._lock:
            waiting = [*self._steps.values(), *self._sending.values()]
        return Poll(
            {key: self._latest.get(key, {}) for key in (*self._started, *self._latest)},
            {key: now - started for key, started in self._started.items()},
            sum(map(len, waiting)) + len(self._finished),
            self._problem,
        )

    def stop(self) -> None:
        """Have the tasks that ask know that the sweep is stopping."""
        self._is_stopping = True

    def is_stopping(self) -> bool:
        """Say whether tasks should keep what they go on from, and end."""
        return self._is_stopping

    def finish(self, key: str, name: str) -> None:
        """Note that a task has a record (of success or failure) to be mirrored."""
        for known in (self._latest, self._started):
            for ended in [each for each in known if each.partition(TRIAL)[0] == key]:
                del known[ended]
        if self._target is not None:
            record = self._store.read(key) if self._store.is_done(key) else self._store.read_failure(key)
            if record is not None:
                self._names[key] = name
                self._finished.append(record)

    def close(self, status: str) -> str | None:
        """Send what is left, end the parent run; return what went wrong with MLflow, if anything."""
        if self._target is None:
            return None
        self._stop.set()
        self._thread.join(timeout=60)
        if not (self._steps or self._finished):
            with self._noting_problems():
                mirror = self._connected()
                mirror.finish_parent(status)
                if status != "KILLED":  # there somebody waits
                    self._point_aliases(mirror)
        elif self._problem is None:
            self._problem = "MLflow is too slow: some metrics were not sent"
        return self._problem

    def _point_aliases(self, mirror: Any) -> None:
        """Have the aliases of the experiment's networks point at what its records say now."""
        from orchestrator.mlflow_sending import choose_aliases
        from orchestrator.plan_note import find_plan

        plan = None if self._target is None else find_plan(self._store, self._target.experiment, self._target.profile)
        if plan is not None:
            mirror.point_aliases(choose_aliases(self._store, plan.ranked, plan.baseline))

    def _run(self) -> None:
        while not self._stop.wait(FLUSH_S):
            with self._noting_problems():
                self._flush()
        with self._noting_problems():
            self._flush()

    @contextlib.contextmanager
    def _noting_problems(self) -> Any:
        try:
            yield
            self._problem = self._refused
        except Exception as error:  # whatever a tracking client raises, a sweep goes on
            self._problem = str(error).splitlines()[0][:300] if str(error) else type(error).__name__
            log.warning("MLflow: %s", self._problem)

    def _connected(self) -> Any:
        from orchestrator.mlflow_mirror import MlflowMirror
        from orchestrator.plan_note import find_plan

        if self._mirror is None and self._target is not None:
            target = self._target
            place = str(self._store.place)
            mirror = MlflowMirror(target.tracking_uri, target.experiment, target.profile, target.artifact_root, place)
            plan = find_plan(self._store, target.experiment, target.profile)
            if plan is not None:
                mirror.send_plan(plan.model_dump_json(indent=1))
            self._mirror = mirror
        return self._mirror

    def _flush(self) -> None:
        mirror = self._connected()
        with self._lock:
            steps, self._steps = self._steps, {}
            self._sending = steps
        try:
            for key in list(steps):
                with self._passing_refusals(mirror, key):
                    mirror.log_steps(key, self._names[key], steps[key])
                with self._lock:
                    del steps[key]
            for key in list(self._latest):
                with self._passing_refusals(mirror, key):
                    mirror.log_pictures(key, self._names[key], self._store.list_pictures(key))
        finally:
            with self._lock:  # what could not be sent goes back, before what came in meanwhile
                self._sending = {}
                for key, unsent in steps.items():
                    self._steps[key] = (unsent + self._steps.get(key, []))[-KEPT_STEPS:]
        while self._finished:
            record = self._finished[0]
            with self._passing_refusals(mirror, record.key):
                self._finish(mirror, record)
            self._finished.popleft()

    def _finish(self, mirror: Any, record: Record) -> None:
        """Send a record and what belongs to it, and note that MLflow has it."""
        from orchestrator.mlflow_sending import send_record

        send_record(mirror, self._store, record)
        if self._target is not None and record.status == "done":
            self._target.mark(self._store, record.key)

    @contextlib.contextmanager
    def _passing_refusals(self, mirror: Any, key: str) -> Iterator[None]:
        """Go on where MLflow refuses what is sent of one task, as where its run was deleted: its record goes with the next sweep.

        An outage is no refusal: nothing could be sent then, and all of it waits.
        """
        try:
            yield
        except Exception as error:
            if not mirror.is_refusal(error):
                raise
            self._refused = f"it refused {self._names.get(key, key)}: {str(error).splitlines()[0][:200]}"
            mirror.forget(key)
            log.warning("MLflow: %s", self._refused)
