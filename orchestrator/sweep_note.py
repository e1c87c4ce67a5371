"""The note of a sweep: what its driver leaves in the store now and then, so that other terminals need no Ray.

The note tells what is, records and leases tell what is true: a note whose driver died is checked against them.
"""

from __future__ import annotations

import datetime
import json
import logging
import math
import os
import socket
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Literal

from pydantic import ValidationError

from adapt.errors import PrerequisiteError
from adapt.settings import Settings
from orchestrator.costs import Costs, estimate_remaining_s
from orchestrator.lease import name_machine, read_start
from orchestrator.pace import Pace
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState

log = logging.getLogger(__name__)

FOLDER = "sweeps"
SCHEMA_VERSION: Literal[1] = 1
REFRESH_S = 2.0  # between two notes at least
REFRESH_SHARE = 20  # ours: and this many times what writing one takes, so that notes cost a driver 5% at most

TaskStatus = Literal["cached", "waiting", "running", "done", "failed", "skipped"]
Ending = Literal["complete", "failed", "stopped"]


class TaskNote(Settings):
    """One task of a sweep.

    Attributes:
        name: as shown to people.
        stage: of its experiment.
        kind: of its stage.
        status: `waiting` until its process has begun.
        seconds: how long it took, or has been running.
        message: why it failed or was skipped.
        steps_per_s: of a running task.
        live: the latest live scalars of a running task, soon among them `step` and `progress` in [0, 1].
    """

    name: str
    stage: str
    kind: str
    status: TaskStatus
    seconds: float | None = None
    message: str | None = None
    steps_per_s: float | None = None
    live: dict[str, float] = {}


class DriverNote(Settings):
    """The process that runs a sweep, and what it showed when it started.

    Attributes:
        host: its host name.
        machine: what tells its machine from others, see `lease.name_machine`.
        pid: its process id there.
        process_started: when the process began, see `lease.read_start`: process ids are used again.
        refresh_s: how soon it writes its note again, at the latest when all goes well.
        dashboard_url: of the Ray dashboard.
        mlflow_url: of MLflow.
        resources: what the cluster had: `CPU`, `GPU`, `GB`.
    """

    host: str
    machine: str
    pid: int
    process_started: int
    refresh_s: float = REFRESH_S
    dashboard_url: str | None = None
    mlflow_url: str | None = None
    resources: dict[str, float] = {}


class SweepNote(Settings):
    """A sweep as its driver saw it last.

    Attributes:
        schema_version: of this file.
        experiment: its name.
        variant: the profile, with a hash of the overrides where there are any.
        title: what the experiment asks.
        started_at: ISO 8601, UTC, by the driver's clock.
        updated_at: ISO 8601, UTC, by the driver's clock.
        driver: who runs it; None where no driver is known and the store alone tells.
        ended: how it ended; None while it runs.
        mirror_problem: what went wrong with MLflow.
        mlflow_queue: metrics and records that wait to be sent to MLflow.
        seconds_to_go: as estimated from measured costs, None where nothing was measured yet.
        tasks: key -> task.
    """

    schema_version: Literal[1]
    experiment: str
    variant: str
    title: str
    started_at: str | None = None
    updated_at: str
    driver: DriverNote | None = None
    ended: Ending | None = None
    mirror_problem: str | None = None
    mlflow_queue: int = 0
    seconds_to_go: float | None = None
    tasks: dict[str, TaskNote]

    def count(self) -> dict[str, int]:
        """Return how many tasks are in each state; states that no task is in count 0."""
        counts = dict.fromkeys(("cached", "done", "running", "waiting", "failed", "skipped"), 0)
        for task in self.tasks.values():
            counts[task.status] += 1
        return counts


def name_note(experiment: str, variant: str) -> str:
    """Return under which name the note of a sweep is kept."""
    return f"{FOLDER}/{experiment}-{variant}.json"


def make_note(
    state: SweepState,
    driver: DriverNote | None = None,
    started_at: str | None = None,
    ended: Ending | None = None,
    seconds_to_go: float | None = None,
    pace: Pace | None = None,
    before: Mapping[str, TaskNote] | None = None,
) -> SweepNote:
    """Describe a sweep as it is now.

    Args:
        state: of all tasks.
        driver: who runs it.
        started_at: ISO 8601, UTC.
        ended: how it ended.
        seconds_to_go: the estimate.
        pace: tells seconds and speed of running tasks; it has observed `state.live`.
        before: the tasks of the note before it, of the same sweep: those whose status is the same are not described again.
    """
    now = time.monotonic()
    tasks: dict[str, TaskNote] = {}
    for key, status in state.status.items():
        live = _choose_live(state, key)
        name = _name_status(status, live is not None)
        known = before.get(key) if before is not None else None
        if known is not None and known.status == name != "running":
            tasks[key] = known
            continue
        task = state.graph.tasks[key]
        tasks[key] = TaskNote(
            name=task.name,
            stage=task.stage,
            kind=task.kind,
            status=name,
            seconds=pace.seconds(key, now) if pace is not None and live is not None else state.seconds.get(key),
            message=state.messages.get(key),
            steps_per_s=pace.rate(key, now) if pace is not None and live is not None else None,
            live={scalar: value for scalar, value in (live or {}).items() if math.isfinite(value)},
        )
    return SweepNote(
        schema_version=SCHEMA_VERSION,
        experiment=state.graph.name,
        variant=state.graph.variant,
        title=state.graph.title,
        started_at=started_at,
        updated_at=tell_time(),
        driver=driver,
        ended=ended,
        mirror_problem=state.mirror_problem,
        mlflow_queue=state.mlflow_queue,
        seconds_to_go=seconds_to_go,
        tasks=tasks,
    )


def _choose_live(state: SweepState, key: str) -> Mapping[str, float] | None:
    """Return the live scalars of a task that runs; one that ended may still be among the live for a moment."""
    return state.live.get(key) if state.status[key] is Status.SUBMITTED else None


_NAMES: dict[Status, TaskStatus] = {
    Status.CACHED: "cached",
    Status.WAITING: "waiting",
    Status.SUBMITTED: "waiting",
    Status.DONE: "done",
    Status.FAILED: "failed",
    Status.SKIPPED: "skipped",
}


def _name_status(status: Status, runs: bool) -> TaskStatus:
    return "running" if runs else _NAMES[status]


def tell_time() -> str:
    """Return this moment as ISO 8601, UTC."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")


def read_note(store: Store, name: str) -> SweepNote | None:
    """Read the note of a sweep, or None where there is none.

    Raises:
        PrerequisiteError: a newer segshift wrote it, or it is no note.
    """
    text = store.read_note(name)
    if text is None:
        return None
    try:
        raw = json.loads(text)
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != SCHEMA_VERSION:
            raise PrerequisiteError(
                f"{store.place}/{name}: sweep note schema {version!r}, but this segshift reads {SCHEMA_VERSION}. "
                "Use the segshift that wrote it."
            )
        return SweepNote.model_validate(raw)
    except (json.JSONDecodeError, ValidationError) as error:
        raise PrerequisiteError(
            f"{store.place}/{name}: this sweep note cannot be read ({type(error).__name__}). Remove it: "
            "records hold the results, and the next sweep writes another."
        ) from error


def read_notes(store: Store) -> dict[str, SweepNote]:
    """Return the name and the note of every sweep of a store, the one that was written last first."""
    notes = {name: read_note(store, name) for name in store.list_notes(FOLDER)}
    there = [(name, note) for name, note in notes.items() if note is not None]
    return dict(sorted(there, key=lambda pair: pair[1].updated_at, reverse=True))


class NoteWriter:
    """Leaves the note of a sweep: at its start, now and then, and always at its end.

    Args:
        store: where it is left.
        state: of the sweep; the driver changes it in place.
        costs: measured seconds by stage, for the time to go.
        slots: how many tasks run at once, for the time to go.
        dashboard_url: of the Ray dashboard.
        mlflow_url: of MLflow.
        resources: what the cluster has.
    """

    def __init__(
        self,
        store: Store,
        state: SweepState,
        costs: Costs,
        slots: float,
        dashboard_url: str | None = None,
        mlflow_url: str | None = None,
        resources: Mapping[str, float] | None = None,
    ) -> None:
        self._store, self._state, self._costs, self._slots = store, state, costs, slots
        self._name = name_note(state.graph.name, state.graph.variant)
        self._started_at = tell_time()
        self._driver = DriverNote(
            host=socket.gethostname(),
            machine=name_machine(),
            pid=os.getpid(),
            process_started=read_start(os.getpid()),
            dashboard_url=dashboard_url,
            mlflow_url=mlflow_url,
            resources=dict(resources or {}),
        )
        self._pace = Pace()
        self._before: Mapping[str, TaskNote] = {}
        self._wait_s = REFRESH_S
        self._next = 0.0

    def __enter__(self) -> NoteWriter:
        self.update(self._state)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        complete: Ending = "complete" if self._state.is_complete else "failed"
        self._write("stopped" if kind is not None else complete)

    def update(self, state: SweepState) -> None:
        """Write the note anew if the last one is old enough, changed or not: its time says that the driver lives."""
        if time.monotonic() >= self._next:
            self._write(None)

    def _write(self, ended: Ending | None) -> None:
        begun = time.monotonic()
        try:
            self._pace.observe(self._state.live, begun)
            driver = self._driver.model_copy(update={"refresh_s": self._wait_s})
            left_s = None if ended else estimate_remaining_s(self._state, self._costs, self._slots)
            note = make_note(self._state, driver, self._started_at, ended, left_s, self._pace, self._before)
            self._before = note.tasks
            self._store.write_note(self._name, note.model_dump_json(exclude_defaults=True))
        except Exception as error:  # whatever a store raises: a sweep never fails for want of a note
            log.warning("the note of the sweep could not be written: %s", error)
        took = time.monotonic() - begun
        self._wait_s = max(REFRESH_S, REFRESH_SHARE * took)
        self._next = time.monotonic() + self._wait_s
