"""The note of a sweep: what it says, when it is written, how it ends, and that it never harms the sweep."""

from __future__ import annotations

import json
import math
import os
import time
from types import SimpleNamespace

import pytest

from adapt.errors import PrerequisiteError
from orchestrator import sweep_note
from orchestrator.pace import Pace
from orchestrator.store import Store
from orchestrator.sweep_note import NoteWriter, SweepNote, make_note, name_note, read_note, read_notes
from orchestrator.sweep_state import Status, SweepState

NAME = "sweeps/byhand-full.json"


@pytest.fixture
def state(make_task, make_graph) -> SweepState:
    """A task in every state; `begun` has begun and not reported yet."""
    kinds = {
        "cached": Status.CACHED,
        "done": Status.DONE,
        "begun": Status.SUBMITTED,
        "busy": Status.SUBMITTED,
        "queued": Status.SUBMITTED,
        "waiting": Status.WAITING,
        "failed": Status.FAILED,
        "skipped": Status.SKIPPED,
    }
    tasks = {name: make_task(name) for name in kinds}
    keys = {name: task.key for name, task in tasks.items()}
    live = {keys["begun"]: {}, keys["busy"]: {"step": 30, "loss": 0.5, "q": math.nan}, keys["done"]: {"step": 9}}
    return SweepState(
        make_graph(*tasks.values()),
        {keys[name]: status for name, status in kinds.items()},
        {keys["done"]: 12.0, keys["failed"]: 3.0},
        {keys["failed"]: "no luck", keys["skipped"]: "needs failed"},
        live,
        "server away",
        17,
    )


def key_of(note: SweepNote, name: str) -> str:
    return next(key for key, task in note.tasks.items() if task.name == name)


def test_a_note_says_of_every_task_where_it_is(state: SweepState) -> None:
    pace = Pace()
    now = time.monotonic()
    busy = next(key for key, task in state.graph.tasks.items() if task.name == "busy")
    pace.observe({busy: {"step": 10}}, now - 20)
    pace.observe({busy: {"step": 30}}, now - 10)
    note = make_note(state, seconds_to_go=60.0, pace=pace)
    tasks = {task.name: task for task in note.tasks.values()}
    assert {name: task.status for name, task in tasks.items()} == {
        "cached": "cached",
        "done": "done",
        "begun": "running",
        "busy": "running",
        "queued": "waiting",
        "waiting": "waiting",
        "failed": "failed",
        "skipped": "skipped",
    }
    assert note.count() == {"cached": 1, "done": 1, "running": 2, "waiting": 2, "failed": 1, "skipped": 1}
    assert tasks["done"].seconds == 12.0
    assert tasks["done"].live == {}, "it ended, whatever the tracker still had"
    assert tasks["busy"].steps_per_s == pytest.approx(2.0)
    assert tasks["busy"].seconds == pytest.approx(20, abs=5)
    assert tasks["busy"].live == {"step": 30, "loss": 0.5}, "what is not finite is left out"
    assert (tasks["failed"].message, tasks["skipped"].message) == ("no luck", "needs failed")
    assert (note.mirror_problem, note.mlflow_queue, note.seconds_to_go) == ("server away", 17, 60.0)


def test_a_note_after_another_tells_all_that_changed(state: SweepState) -> None:
    before = make_note(state)
    keys = {task.name: key for key, task in before.tasks.items()}
    state.status[keys["busy"]], state.seconds[keys["busy"]] = Status.DONE, 7.0
    state.status[keys["queued"]], state.messages[keys["queued"]] = Status.FAILED, "no luck either"
    state.status[keys["waiting"]] = Status.SUBMITTED
    state.live = {keys["begun"]: {"step": 1}, keys["waiting"]: {"step": 2}}
    after = make_note(state, before=before.tasks)
    assert after.tasks == make_note(state).tasks
    assert after.tasks != before.tasks


def test_a_note_is_read_as_it_was_written(state: SweepState, store: Store) -> None:
    with NoteWriter(store, state, {}, 2.0, "http://ray", "http://mlflow", {"CPU": 2.0}):
        note = read_note(store, NAME)
        assert note is not None
        assert note.ended is None
        assert note.driver is not None
        assert (note.driver.pid, note.driver.resources) == (os.getpid(), {"CPU": 2.0})
        assert (note.driver.dashboard_url, note.driver.mlflow_url) == ("http://ray", "http://mlflow")
        assert {key: task.name for key, task in note.tasks.items()} == {
            key: task.name for key, task in state.graph.tasks.items()
        }
    assert name_note("byhand", "full") == NAME
    assert list(read_notes(store)) == [NAME]


@pytest.mark.parametrize(
    ("statuses", "error", "ended"),
    [
        ({Status.DONE}, None, "complete"),
        ({Status.FAILED}, None, "failed"),
        ({Status.SUBMITTED}, KeyboardInterrupt, "stopped"),
        ({Status.SUBMITTED}, ValueError, "stopped"),
    ],
)
def test_the_note_says_how_the_sweep_ended(statuses, error, ended, state: SweepState, store: Store) -> None:
    state.status = {key: next(iter(statuses)) for key in state.status}
    try:
        with NoteWriter(store, state, {}, 1.0):
            if error is not None:
                raise error
    except (KeyboardInterrupt, ValueError):
        pass
    note = read_note(store, NAME)
    assert note is not None
    assert (note.ended, note.seconds_to_go) == (ended, None)


class Clock(SimpleNamespace):
    """A clock that the test moves; `sweep_note.time` is replaced by it."""

    now = 1000.0

    def monotonic(self) -> float:
        return self.now


def test_it_is_written_every_two_seconds_or_twenty_times_what_that_takes(
    state: SweepState, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, writes, takes = Clock(), [], 0.0
    monkeypatch.setattr(sweep_note, "time", clock)

    def write_note(name: str, text: str) -> None:
        writes.append(clock.now)
        clock.now += takes

    monkeypatch.setattr(store, "write_note", write_note)
    writer = NoteWriter(store, state, {}, 1.0)
    for moment in (1000, 1001, 1001.9, 1002, 1003):
        clock.now = moment
        writer.update(state)
    assert writes == [1000, 1002]
    takes = 1.0
    clock.now = 1004
    writer.update(state)  # until 1005; the next at 1025
    for moment in (1007, 1024.9, 1025):
        clock.now = moment
        writer.update(state)
    assert writes == [1000, 1002, 1004, 1025]


def test_a_store_that_takes_no_note_harms_nothing(
    state: SweepState, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(name: str, text: str) -> None:
        raise RuntimeError("bucket away")

    monkeypatch.setattr(store, "write_note", fail)
    with NoteWriter(store, state, {}, 1.0) as writer:
        writer.update(state)
    assert "bucket away" in caplog.text


def test_a_note_of_a_newer_schema_or_a_damaged_one_is_refused_by_name(store: Store) -> None:
    assert read_note(store, NAME) is None
    for text, told in ((json.dumps({"schema_version": 2}), "schema 2"), ("{", "cannot be read"), ("{}", "schema None")):
        store.write_note(NAME, text)
        with pytest.raises(PrerequisiteError, match=told):
            read_note(store, NAME)
