"""How sweeps stand, told from the store alone: from the notes of their drivers, checked against records and leases."""

from __future__ import annotations

import contextlib
import datetime
import json
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.planning import Plan
from orchestrator.lease import has_ended, name_machine
from orchestrator.store import Store
from orchestrator.sweep_note import SCHEMA_VERSION, DriverNote, SweepNote, TaskNote, read_note, tell_time

FRESH_S = 90.0  # ours: a driver that ends may spend a minute on MLflow without a note
REFRESHES = 3  # so many times a driver's own promise is waited for where clocks may differ
CLOCKS_APART_S = 86_400.0  # ours: clocks that differ by more break TLS and object stores as well
LOOK_EVERY_S = 0.5
FINISHED_FILE = "finished.json"

Standing = Literal["running", "complete", "failed", "stopped", "lost", "unknown"]


@dataclass(frozen=True)
class SweepStatus:
    """A sweep and how it stands.

    Attributes:
        note: what is known of its tasks.
        state: `running`; `complete`, `failed` (tasks have no result) or `stopped` (Ctrl-C, an error), as its driver ended;
            `lost`: its driver no longer answers; `unknown`: no driver left a note, only records and leases tell.
    """

    note: SweepNote
    state: Standing

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able data: see docs/monitoring.md."""
        note = self.note.model_dump(mode="json")
        return {"schema_version": SCHEMA_VERSION, "state": self.state, "counts": self.note.count(), **note}


def find_answering(notes: Mapping[str, SweepNote], store: Store) -> set[str]:
    """Return the names of the notes whose driver lives.

    On the driver's own machine its process is looked for. From elsewhere a note that was just written says it; one that
    looks old, or comes from the future, may come from a clock that is wrong: whether it is written again decides then.

    Args:
        notes: by name, as `read_notes` gives them.
        store: where they lie.
    """
    answering: set[str] = set()
    unsure: dict[str, SweepNote] = {}
    now = datetime.datetime.now(datetime.UTC)
    for name, note in notes.items():
        if note.ended is not None or note.driver is None:
            continue
        age_s = (now - datetime.datetime.fromisoformat(note.updated_at)).total_seconds()
        if note.driver.machine == name_machine():
            if _is_alive(note.driver):
                answering.add(name)
        elif 0 <= age_s < max(FRESH_S, REFRESHES * note.driver.refresh_s):
            answering.add(name)
        elif abs(age_s) < CLOCKS_APART_S:
            unsure[name] = note
    return answering | _watch(unsure, store)


def _is_alive(driver: DriverNote) -> bool:
    return not has_ended({"pid": driver.pid, "started": driver.process_started})


def _watch(notes: Mapping[str, SweepNote], store: Store) -> set[str]:
    """Return which of the notes are written again while we look."""
    written: set[str] = set()
    begun = time.monotonic()
    patience = {name: REFRESHES * note.driver.refresh_s for name, note in notes.items() if note.driver is not None}
    while waiting := [n for n, s in patience.items() if n not in written and time.monotonic() - begun < s]:
        time.sleep(LOOK_EVERY_S)
        for name in waiting:
            again = read_note(store, name)
            if again is not None and again.updated_at != notes[name].updated_at:
                written.add(name)
    return written


def judge(note: SweepNote, answers: bool, store: Store) -> SweepStatus:
    """Say how a sweep stands; where no driver answers for a note, records and leases correct it.

    Args:
        note: of the sweep.
        answers: whether its driver lives, see `find_answering`.
        store: with the records.
    """
    if answers:
        return SweepStatus(note, "running")
    done = store.list_done()
    tasks = {key: _correct(key, task, done, store) for key, task in note.tasks.items()}
    return SweepStatus(note.model_copy(update={"tasks": tasks, "seconds_to_go": None}), note.ended or "lost")


def _correct(key: str, task: TaskNote, done: Collection[str], store: Store) -> TaskNote:
    status = task.status
    if key in done:
        status = "cached" if status == "cached" else "done"
    elif status in ("done", "cached", "running"):  # removed since, or its driver died
        status = "running" if store.is_held(key) else "waiting"
    if status == task.status:
        return task
    return task.model_copy(update={"status": status, "live": {}, "steps_per_s": None, "seconds": None, "message": None})


def survey_records(plan: Plan, store: Store) -> SweepStatus:
    """Say how an experiment stands that no driver left a note of: from its plan, records and leases."""
    graph, done = plan.graph, store.list_done()
    tasks: dict[str, TaskNote] = {}
    for key, task in graph.tasks.items():
        failure = None if key in done else store.read_failure(key)
        note = TaskNote(name=task.name, stage=task.stage, kind=task.kind, status="waiting")
        if key in done:
            note = note.model_copy(update={"status": "done"})
        elif store.is_held(key):
            note = note.model_copy(update={"status": "running"})
        elif failure is not None and failure.failure is not None:
            changes = {"status": "failed", "message": failure.failure.message, "seconds": failure.seconds}
            note = note.model_copy(update=changes)
        tasks[key] = note
    found = SweepNote(
        schema_version=SCHEMA_VERSION,
        experiment=graph.name,
        variant=graph.variant,
        title=graph.title,
        updated_at=tell_time(),
        tasks=tasks,
    )
    return SweepStatus(found, "unknown")


@dataclass(frozen=True)
class FinishedStage:
    """Finished tasks of one stage."""

    experiment: str
    profile: str
    stage: str
    tasks: int
    seconds: float


def sum_finished(store: Store) -> list[FinishedStage]:
    """Return the finished tasks of a store by experiment, profile and stage.

    What was read of a record is kept in `finished.json` of the store, so that ten thousand are read once.
    """
    done = store.list_done()
    kept = _read_finished(store)
    missing = done - kept.keys()
    store.fetch_records(missing)
    for key in missing:
        record = store.read(key)
        kept[key] = (record.experiment, record.profile, record.stage, round(record.seconds, 2))
    if missing:
        kept = {key: kept[key] for key in done}
        # A store may be one that may only be read, and local and remote ones raise what they will.
        with contextlib.suppress(Exception):
            store.write_note(FINISHED_FILE, json.dumps(kept, separators=(",", ":")))
    groups: dict[tuple[str, str, str], list[float]] = {}
    for key in sorted(done):
        experiment, profile, stage, seconds = kept[key]
        groups.setdefault((experiment, profile, stage), []).append(seconds)
    return [FinishedStage(*names, len(seconds), sum(seconds)) for names, seconds in sorted(groups.items())]


def _read_finished(store: Store) -> dict[str, tuple[str, str, str, float]]:
    try:
        kept = json.loads(store.read_note(FINISHED_FILE) or "{}")
    except json.JSONDecodeError:
        return {}
    return kept if isinstance(kept, dict) else {}
