"""How a sweep stands, from the store alone: drivers that live, that died here or elsewhere, and clocks that differ."""

from __future__ import annotations

import datetime
import os
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

import psutil
import pytest

from orchestrator import sweep_status
from orchestrator.lease import name_machine, read_start
from orchestrator.store import Store
from orchestrator.sweep_note import DriverNote, SweepNote, TaskNote, read_note
from orchestrator.sweep_status import find_answering, judge, sum_finished, survey_records

HERE, ELSEWHERE = name_machine(), "another-host"


def make_driver(machine: str = ELSEWHERE, pid: int = 1, started: int = 0, refresh_s: float = 0.1) -> DriverNote:
    return DriverNote(host="h", machine=machine, pid=pid, process_started=started, refresh_s=refresh_s)


def make_sweep(driver: DriverNote | None, age_s: float = 0.0, ended: Any = None, **tasks: TaskNote) -> SweepNote:
    moment = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age_s)
    return SweepNote(
        schema_version=1, experiment="byhand", variant="full", title="?", updated_at=moment.isoformat(),
        driver=driver, ended=ended, tasks=tasks,
    )  # fmt: skip


def answers(note: SweepNote, store: Store) -> bool:
    return find_answering({"n": note}, store) == {"n"}


def test_on_the_same_machine_the_process_decides_whatever_the_clock_says(store: Store) -> None:
    pid, started = os.getpid(), read_start(os.getpid())
    assert answers(make_sweep(make_driver(HERE, pid, started), age_s=1e6), store)
    assert not answers(make_sweep(make_driver(HERE, pid, started - 100)), store), "the id was used again"
    child = subprocess.Popen(["sleep", "60"])
    started = read_start(child.pid)
    assert answers(make_sweep(make_driver(HERE, child.pid, started)), store)
    child.kill()
    while psutil.Process(child.pid).status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.01)
    assert not answers(make_sweep(make_driver(HERE, child.pid, started)), store), "killed, not reaped"
    child.wait()
    assert not answers(make_sweep(make_driver(HERE, child.pid, started)), store)


@pytest.mark.parametrize(
    ("age_s", "ended", "expected"),
    [(1, None, True), (1, "complete", False), (200_000, None, False), (3600, None, False), (-3600, None, False)],
)
def test_from_elsewhere_a_fresh_note_counts(age_s: float, ended: Any, expected: bool, store: Store) -> None:
    assert answers(make_sweep(make_driver(), age_s, ended), store) is expected


@pytest.mark.parametrize("skew_s", [3600, -3600])
def test_a_clock_that_is_wrong_by_an_hour_hides_no_living_driver(
    skew_s: float, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The note is looked at until it changes: here by a driver that writes it when it is looked at."""
    monkeypatch.setattr(sweep_status, "LOOK_EVERY_S", 0.01)
    driver = make_driver(refresh_s=20.0)

    def write() -> None:
        store.write_note("n", make_sweep(driver, skew_s).model_dump_json())

    write()
    first = read_note(store, "n")
    assert first is not None
    later = threading.Timer(0.2, write)
    later.start()
    assert answers(first, store)
    later.join()


def test_a_store_without_notes_asks_nobody(store: Store) -> None:
    assert find_answering({}, store) == set()
    assert not answers(make_sweep(None), store)


def task_note(status: Any, **fields: Any) -> TaskNote:
    return TaskNote(name="t", stage="s", kind="evaluate", status=status, **fields)


def test_where_the_driver_answers_the_note_is_believed(store: Store) -> None:
    note = make_sweep(make_driver(), k=task_note("running", live={"step": 1}))
    status = judge(note, True, store)
    assert (status.state, status.note) == ("running", note)


def test_a_lost_driver_is_corrected_by_records_and_leases(store: Store, make_task, make_record) -> None:
    task = make_task("clean")
    store.folder(task.key).mkdir(parents=True)
    store.commit(make_record(task))
    held = {"live": {"step": 1}, "seconds": 5.0}
    tasks = {
        task.key: task_note("running", **held),  # it was committed after the last note
        "dead": task_note("running", **held),
        "held": task_note("running", **held),
        "gone": task_note("done", seconds=9.0),  # removed since
        "bad": task_note("failed", message="no luck"),
        "next": task_note("waiting"),
    }
    with store.working_on("held"):
        status = judge(make_sweep(make_driver(), **tasks), False, store)
    assert status.state == "lost"
    assert {key: each.status for key, each in status.note.tasks.items()} == {
        task.key: "done", "dead": "waiting", "held": "running", "gone": "waiting", "bad": "failed", "next": "waiting",
    }  # fmt: skip
    assert status.note.tasks["dead"].live == {}
    assert status.note.tasks["bad"].message == "no luck"
    assert judge(make_sweep(make_driver(), ended="stopped"), False, store).state == "stopped"


def test_without_a_note_the_plan_is_compared_with_the_store(
    store: Store, make_task, make_record, make_graph, make_plan
) -> None:
    done, failed, held, waiting = (make_task(name) for name in ("done", "failed", "held", "waiting"))
    for task in (done, failed):
        store.folder(task.key).mkdir(parents=True)
    store.commit(make_record(done))
    store.write_failure(make_record(failed, failure="no luck"))
    with store.working_on(held.key):
        status = survey_records(make_plan(make_graph(done, failed, held, waiting)), store)
    assert status.state == "unknown"
    assert {task.name: task.status for task in status.note.tasks.values()} == {
        "done": "done",
        "failed": "failed",
        "held": "running",
        "waiting": "waiting",
    }
    assert status.note.tasks[failed.key].message == "no luck"


Finish = Callable[..., None]


@pytest.fixture
def finish(store: Store, make_task, make_record) -> Finish:
    def commit(name: str, **fields: Any) -> None:
        task = make_task(name)
        store.folder(task.key).mkdir(parents=True)
        store.commit(make_record(task, **fields))

    return commit


def test_finished_tasks_are_summed_and_each_record_is_read_once(
    store: Store, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sum_finished(store) == []
    finish("a", stage="clean", seconds=1.0)
    finish("b", stage="clean", seconds=2.5)
    finish("c", stage="weather", seconds=4.0, profile="mini")
    expected = [("byhand", "full", "clean", 2, 3.5), ("byhand", "mini", "weather", 1, 4.0)]
    read: list[str] = []
    original = store.read
    monkeypatch.setattr(store, "read", lambda key: (read.append(key), original(key))[1])
    for _ in range(2):
        got = [(s.experiment, s.profile, s.stage, s.tasks, s.seconds) for s in sum_finished(store)]
        assert got == expected
    assert len(read) == 3
    finish("d", stage="clean", seconds=1.0)
    assert sum_finished(store)[0].tasks == 3
    assert len(read) == 4


def test_a_store_that_may_only_be_read_is_summed_too(
    store: Store, finish: Finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish("a")

    def refuse(name: str, text: str) -> None:
        raise PermissionError(os.strerror(13))

    monkeypatch.setattr(store, "write_note", refuse)
    assert [stage.tasks for stage in sum_finished(store)] == [1]
    monkeypatch.undo()
    store.write_note("finished.json", "[damaged")
    assert [stage.tasks for stage in sum_finished(store)] == [1]
