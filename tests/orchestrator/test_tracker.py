"""The tracker: while MLflow is away nothing is lost and nothing waits; what came in is sent when it is back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from experiments.recorded_facts import FactsNote
from experiments.search import TRIALS_FILE
from orchestrator import mlflow_mirror, tracker
from orchestrator.plan_note import PlanNote, name_plan
from orchestrator.store import Store
from orchestrator.tracker import MirrorTarget, Tracker

TARGET = MirrorTarget("http://127.0.0.1:1", "byhand", "mini", None)
DEADLINE_S = 30


class FakeMirror:
    """An MLflow that can be away: `away` is set by the test, `failed` by the first call that finds it so."""

    away = threading.Event()
    failed = threading.Event()
    arrived = threading.Event()
    sent: list[tuple[str, Any]] = []
    made = 0

    def __init__(self, *target: object) -> None:
        self.check()
        type(self).made += 1

    def check(self) -> None:
        if self.away.is_set():
            self.failed.set()
            raise ConnectionError("server away\nsecond line")

    def log_steps(self, key: str, name: str, steps: list[tuple[int, int, dict[str, float]]]) -> None:
        self.check()
        self.sent += [(key, (step, values)) for _, step, values in steps]
        self.arrived.set()

    def log_pictures(self, key: str, name: str, files: list[Path]) -> None:
        if files:
            self.check()
            self.sent.append((key, [file.name for file in files]))
            self.arrived.set()

    def finish(self, record: Any, trained: Any, files: dict[str, Path], pictures: list[Path]) -> bool:
        self.check()
        self.log_pictures(record.key, record.stage, pictures)
        self.sent.append((record.key, record.status))
        self.arrived.set()
        return True

    @staticmethod
    def is_refusal(error: Exception) -> bool:
        return isinstance(error, PermissionError)

    def forget(self, key: str) -> None:
        self.sent.append((key, "forgotten"))

    def finish_parent(self, status: str) -> None:
        self.check()
        self.sent.append(("parent", status))


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> type[FakeMirror]:
    for event in (FakeMirror.away, FakeMirror.failed, FakeMirror.arrived):
        event.clear()
    FakeMirror.sent, FakeMirror.made = [], 0
    monkeypatch.setattr(mlflow_mirror, "MlflowMirror", FakeMirror)
    monkeypatch.setattr(tracker, "FLUSH_S", 0.01)
    return FakeMirror


@pytest.fixture
def finished(store: Store, make_task, make_record) -> Callable[..., Any]:
    """Leave the record of a task in the store; return the task."""

    def finish(stage: str, failure: str | None = None) -> Any:
        task = make_task(stage)
        store.folder(task.key).mkdir(parents=True)
        record = make_record(task, {"clean": ({}, ((1, 0), (0, 1)))}, failure=failure)
        (store.write_failure if failure else store.commit)(record)
        return task

    return finish


def test_steps_and_records_arrive_in_order_and_the_parent_ends_last(mirror, store: Store, finished) -> None:
    task, bad = finished("clean"), finished("bad", failure="no luck")
    made = Tracker(TARGET, store)
    for step in range(3):
        made.report(task.key, task.name, step, {"loss": float(step)})
    made.finish(task.key, task.name)
    made.finish(bad.key, bad.name)
    assert made.close("FAILED") is None
    assert mirror.sent == [
        (task.key, (0, {"loss": 0.0})),
        (task.key, (1, {"loss": 1.0})),
        (task.key, (2, {"loss": 2.0})),
        (task.key, "done"),
        (bad.key, "failed"),
        ("parent", "FAILED"),
    ]
    assert mirror.made == 1


def test_what_is_mirrored_is_marked_and_a_failure_is_not(mirror, store: Store, finished) -> None:
    task, bad = finished("clean"), finished("bad", failure="no luck")
    made = Tracker(TARGET, store)
    for each in (task, bad):
        made.finish(each.key, each.name)
    made.close("FAILED")
    assert [mark.name for mark in TARGET.marks(store).iterdir()] == [task.key]
    assert TARGET.has_all([task.key], store)
    assert not TARGET.has_all([task.key, bad.key], store)
    assert not MirrorTarget("http://127.0.0.1:2", "byhand", "mini", None).has_all([task.key], store)


@pytest.mark.parametrize("connected", [False, True])
def test_an_outage_loses_nothing_and_is_caught_up(connected: bool, mirror, store: Store, finished) -> None:
    task = finished("clean")
    made = Tracker(TARGET, store)
    expected = []
    if connected:  # away in the middle, and not from the start
        made.report(task.key, task.name, 0, {"loss": 0.5})
        expected.append((task.key, (0, {"loss": 0.5})))
        assert mirror.arrived.wait(DEADLINE_S)
    mirror.away.set()
    made.report(task.key, task.name, 1, {"loss": 1.0})
    assert mirror.failed.wait(DEADLINE_S)
    made.report(task.key, task.name, 2, {"loss": 2.0})
    made.finish(task.key, task.name)
    mirror.failed.clear()
    assert mirror.failed.wait(DEADLINE_S), "it does not try again"
    assert mirror.sent == expected
    mirror.away.clear()
    assert made.close("FINISHED") is None
    assert mirror.sent == [
        *expected, (task.key, (1, {"loss": 1.0})), (task.key, (2, {"loss": 2.0})), (task.key, "done"),
        ("parent", "FINISHED"),
    ]  # fmt: skip


def test_an_outage_to_the_end_is_reported_in_one_line_and_leaves_no_mark(mirror, store: Store, finished) -> None:
    task = finished("clean")
    mirror.away.set()
    made = Tracker(TARGET, store)
    made.finish(task.key, task.name)
    assert made.close("FINISHED") == "server away"
    assert not TARGET.has_all([task.key], store)


def test_a_long_outage_keeps_the_newest_steps(mirror, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracker, "KEPT_STEPS", 3)
    mirror.away.set()
    made = Tracker(TARGET, store)
    for step in range(10):
        made.report("k", "clean", step, {})
    assert mirror.failed.wait(DEADLINE_S)
    mirror.away.clear()
    made.close("FINISHED")
    assert mirror.sent == [*(("k", (step, {})) for step in (7, 8, 9)), ("parent", "FINISHED")]


def test_the_latest_scalars_are_those_of_running_tasks(store: Store, finished) -> None:
    task = finished("clean")
    made = Tracker(None, store)
    made.report(task.key, task.name, 1, {"loss": 2.0, "q": 0.1})
    made.report(task.key, task.name, 2, {"loss": 1.0})
    assert made.poll().latest == {task.key: {"loss": 1.0, "q": 0.1, "step": 2}}
    made.finish(task.key, task.name)
    assert made.poll().latest == {}
    assert made.close("FINISHED") is None


def test_without_a_target_nothing_is_mirrored(mirror, store: Store, finished) -> None:
    task = finished("clean")
    made = Tracker(None, store)
    made.report(task.key, task.name, 1, {"loss": 2.0})
    made.finish(task.key, task.name)
    assert made.close("FINISHED") is None
    assert mirror.made == 0


def draw(store: Store, task: Any, *names: str) -> None:
    folder = store.folder(task.key) / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_bytes(b"png")


def test_pictures_go_out_while_the_task_runs_and_the_last_ones_before_its_record(
    mirror, store: Store, make_task, make_record
) -> None:
    """What MLflow has already is the mirror's to know: it is given all pictures each time, unfinished ones never."""
    running = make_task("clean")
    draw(store, running, "iteration_000010.png", ".iteration_000020.png.x.partial", "notes.txt")
    made = Tracker(TARGET, store)
    made.report(running.key, running.name, 10, {})
    assert mirror.arrived.wait(DEADLINE_S)
    while (running.key, ["iteration_000010.png"]) not in mirror.sent:
        assert mirror.arrived.wait(DEADLINE_S)
    draw(store, running, "iteration_000020.png")
    store.commit(make_record(running, {"clean": ({}, ((1, 0), (0, 1)))}))
    made.finish(running.key, running.name)
    assert made.close("FINISHED") is None
    assert mirror.sent[-3:] == [
        (running.key, ["iteration_000010.png", "iteration_000020.png"]),
        (running.key, "done"),
        ("parent", "FINISHED"),
    ]


def test_pictures_that_could_not_be_sent_are_sent_when_mlflow_is_back(mirror, store: Store, make_task) -> None:
    task = make_task("clean")
    draw(store, task, "iteration_000010.png")
    mirror.away.set()
    made = Tracker(TARGET, store)
    made.report(task.key, task.name, 10, {})
    assert mirror.failed.wait(DEADLINE_S)
    assert mirror.sent == []
    mirror.away.clear()
    assert made.close("FINISHED") is None
    assert (task.key, ["iteration_000010.png"]) in mirror.sent


def test_a_task_that_has_begun_is_live_and_sends_nothing(mirror, store: Store, finished) -> None:
    task = finished("clean")
    made = Tracker(TARGET, store)
    made.start(task.key)
    assert made.poll().latest == {task.key: {}}
    made.report(task.key, task.name, 1, {"loss": 2.0})
    assert made.poll().latest == {task.key: {"loss": 2.0, "step": 1}}
    made.start(task.key, False)  # its process died, and it waits again
    assert made.poll().latest == {}
    made.start(task.key)
    assert made.poll().latest == {task.key: {}}
    made.finish(task.key, task.name)
    made.close("FINISHED")
    assert [sent for sent in mirror.sent if sent[0] == task.key] == [(task.key, (1, {"loss": 2.0})), (task.key, "done")]


def test_what_waits_for_mlflow_is_counted_also_while_it_is_being_sent(
    mirror, store: Store, finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = finished("clean")
    mirror.away.set()
    sending, go_on = threading.Event(), threading.Event()
    original = mirror.log_steps

    def log_steps(self: Any, *arguments: Any) -> None:
        sending.set()
        assert go_on.wait(DEADLINE_S)
        original(self, *arguments)

    monkeypatch.setattr(mirror, "log_steps", log_steps)
    made = Tracker(TARGET, store)

    def describe() -> tuple[int, str | None]:
        poll = made.poll()
        return poll.unsent, poll.problem

    assert describe() == (0, None)
    for step in range(3):
        made.report(task.key, task.name, step, {})
    made.finish(task.key, task.name)
    assert mirror.failed.wait(DEADLINE_S)
    while describe()[1] is None:
        time.sleep(0.01)
    assert describe() == (4, "server away")
    mirror.away.clear()
    assert sending.wait(DEADLINE_S)
    assert describe()[0] == 4, "taken out to be sent, and not there yet"
    go_on.set()
    made.close("FINISHED")
    assert describe() == (0, None)


def test_what_mlflow_refuses_of_one_task_keeps_nothing_else_back(
    mirror, store: Store, finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = finished("bad"), finished("good")
    original = mirror.finish

    def finish(self: Any, record: Any, *belonging: Any) -> bool:
        if record.key == bad.key:
            raise PermissionError("its run was deleted")
        return original(self, record, *belonging)

    monkeypatch.setattr(mirror, "finish", finish)
    made = Tracker(TARGET, store)
    for task in (bad, good):
        made.report(task.key, task.name, 1, {"loss": 1.0})
        made.finish(task.key, task.name)
    assert made.close("FINISHED") == "it refused bad: its run was deleted"
    assert (good.key, "done") in mirror.sent
    assert (bad.key, "forgotten") in mirror.sent
    assert TARGET.list_mirrored(store) == {good.key}


def test_trials_of_a_search_are_ended_from_the_list_that_it_left(
    mirror, store: Store, make_task, make_record, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = make_task("tuned")
    folder = store.folder(task.key)
    folder.mkdir(parents=True)
    trials = [{"point": {"lr": 0.1}, "status": "done"}, {"point": {"lr": 0.2}, "status": "pruned"}]
    (folder / TRIALS_FILE).write_text(json.dumps(trials))
    store.commit(make_record(task, files=store.list_files(task.key)))
    ended: list[tuple[str, int, str]] = []
    monkeypatch.setattr(
        mirror,
        "finish_trial",
        lambda self, record, number, trial: ended.append((record.key, number, trial["status"])) is None,
        raising=False,
    )
    made = Tracker(TARGET, store)
    made.report(task.key, task.name, 0, {"trials": 2.0})
    made.report(f"{task.key}/0001", "lr=0.2", 10, {"score": 0.3})
    assert set(made.poll().latest) == {task.key, f"{task.key}/0001"}
    made.finish(task.key, task.name)
    assert made.poll().latest == {}
    assert made.close("FINISHED") is None
    assert ended == [(task.key, 0, "done"), (task.key, 1, "pruned")]
    assert (f"{task.key}/0001", (10, {"score": 0.3})) in mirror.sent


def test_a_sweep_with_a_plan_sends_it_first_and_points_the_aliases_last_unless_it_is_stopped(
    mirror, store: Store, finished, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = finished("clean")
    facts = FactsNote(datasets={}, models={}, weights={})
    note = PlanNote(
        schema_version=1, experiment="byhand", variant="mini", facts=facts, tasks=(task.key,), ranked=(task.key,), baseline=()
    )  # fmt: skip
    store.write_note(name_plan("byhand", "mini"), note.model_dump_json())
    sent = mirror.sent
    monkeypatch.setattr(mirror, "send_plan", lambda self, text: sent.append(("plan", text)), raising=False)
    monkeypatch.setattr(mirror, "point_aliases", lambda self, found: sent.append(("aliases", found)), raising=False)
    for status in ("FINISHED", "KILLED"):
        sent.clear()
        made = Tracker(TARGET, store)
        made.finish(task.key, task.name)
        assert made.close(status) is None
        expected = [("plan", note.model_dump_json(indent=1)), (task.key, "done"), ("parent", status)]
        assert sent == expected + ([("aliases", {})] if status == "FINISHED" else [])
