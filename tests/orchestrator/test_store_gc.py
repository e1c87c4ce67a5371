"""What nothing refers to is found, and only that: what an experiment, a leaderboard, a sweep or a live process needs stays."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapt.errors import SpecError
from experiments.graph import Graph
from experiments.planning import plan_experiment
from experiments.task import Task
from experiments.workspace import Workspace
from orchestrator import store_gc
from orchestrator.store import Store
from orchestrator.store_gc import DAY_S, collect, find_garbage


@pytest.fixture(autouse=True)
def _only_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shipped experiments are expanded by one test; each costs a second or two."""
    monkeypatch.setattr(store_gc, "list_experiments", lambda: ())


@pytest.fixture
def workspace(store: Store) -> Workspace:
    return Workspace(store=store.place)


def plan(tiny: Path, workspace: Workspace, *overrides: str) -> Graph:
    return plan_experiment(str(tiny), workspace, "full", overrides, None).graph


@pytest.fixture
def finish(store: Store, make_record) -> Callable[..., None]:
    """Commit a task with a file of a hundred bytes."""

    def commit(*tasks: Task, **fields: Any) -> None:
        for task in tasks:
            with store.working_on(task.key):
                (store.folder(task.key) / "checkpoint.pth").write_bytes(bytes(100))
                files = store.list_files(task.key)
                store.commit(make_record(task, files=files, **{"experiment": "tiny", **fields}))

    return commit


def list_keys(garbage: store_gc.Garbage) -> set[str]:
    return {one.key for one in garbage.tasks}


def test_what_an_experiment_refers_to_stays_and_the_rest_goes(
    store: Store, workspace: Workspace, tiny: Path, finish, make_task
) -> None:
    graph, strange = plan(tiny, workspace), make_task("strange", "train")
    finish(*graph.tasks.values(), strange)
    garbage = find_garbage(store, workspace, [str(tiny)], 0.0)
    assert list_keys(garbage) == {strange.key}
    assert garbage.size_bytes == 100
    assert collect(store, garbage) == 0
    assert store.list_done() == set(graph.tasks)
    assert find_garbage(store, workspace, [str(tiny)], 0.0).tasks == ()


def test_without_its_file_an_experiment_refers_to_nothing(
    store: Store, workspace: Workspace, tiny: Path, finish
) -> None:
    graph = plan(tiny, workspace)
    finish(*graph.tasks.values())
    assert list_keys(find_garbage(store, workspace, [], 0.0)) == set(graph.tasks)


def test_what_a_kept_task_was_made_from_stays(
    store: Store, workspace: Workspace, tiny: Path, finish, make_task
) -> None:
    """The file has changed since: the training is referred to no more, but an evaluation that is was made from it."""
    graph = plan(tiny, workspace)
    clean = next(task for task in graph.tasks.values() if task.kind == "evaluate")
    old, older = make_task("old", "train"), make_task("older", "train")
    finish(older)
    finish(old, inputs={"weights": older.key})
    finish(clean, inputs={"checkpoint": old.key})
    assert list_keys(find_garbage(store, workspace, [str(tiny)], 0.0)) == set()


def test_the_overrides_of_a_leaderboard_in_the_store_count(
    store: Store, workspace: Workspace, tiny: Path, finish
) -> None:
    seeds = plan(tiny, workspace, "matrix.seed=[0,1,2]")
    finish(*seeds.tasks.values())
    others = set(seeds.tasks) - set(plan(tiny, workspace).tasks)
    assert list_keys(find_garbage(store, workspace, [str(tiny)], 0.0)) == others
    board = {"experiment": "tiny", "profile": "full", "overrides": ["matrix.seed=[0,1,2]"]}
    store.write_note("leaderboards/tiny-full+1/leaderboard.json", json.dumps(board))
    assert list_keys(find_garbage(store, workspace, [str(tiny)], 0.0)) == set()


def test_an_experiment_that_cannot_be_judged_keeps_all(
    store: Store, workspace: Workspace, tiny: Path, finish, make_task, tmp_path: Path
) -> None:
    """Its data is not on this machine: nobody knows here what keys it has."""
    file = tmp_path / "tiny.yaml"
    file.write_text("".join(line for line in tiny.open() if not line.startswith("miniature:")))
    task = make_task("strange", "train")
    finish(task, profile="full")
    finish(make_task("other", "train"), profile="gone")
    (store.folder("interrupted") / "work").mkdir(parents=True)
    garbage = find_garbage(store, workspace, [str(file)], 0.0)
    assert list_keys(garbage) == {make_task("other", "train").key}
    assert garbage.leftovers == (), "of an interrupted task nobody knows whose it is"
    (note,) = garbage.notes
    assert note.startswith("all of tiny, full profile, since it needs what is not on this machine: data set")


def test_what_is_young_or_being_worked_on_stays(store: Store, workspace: Workspace, finish, make_task) -> None:
    young, old, busy = (make_task(name, "train") for name in ("young", "old", "busy"))
    now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
    finish(young, started_at=now)
    finish(old, busy)
    lease = store._backend.make_lease(busy.key)
    assert lease.try_acquire()
    garbage = find_garbage(store, workspace, [], DAY_S)
    assert list_keys(garbage) == {old.key}
    assert list_keys(find_garbage(store, workspace, [], 0.0)) == {old.key, young.key}
    taken = store._backend.make_lease(old.key)
    assert taken.try_acquire(), "between the question and the answer someone began to work on it"
    assert collect(store, garbage) == 1
    assert store.is_done(old.key)


@pytest.mark.parametrize("ended", [None, "stopped", "failed"])
def test_what_a_sweep_made_stays_until_it_is_complete(
    store: Store, workspace: Workspace, finish, make_task, ended: str | None
) -> None:
    """Without `ended` it runs, or its driver died: in no case is there a leaderboard that would tell its overrides."""
    task, source = make_task("of a sweep", "train"), make_task("source", "train")
    finish(source)
    finish(task, inputs={"checkpoint": source.key})
    store.write_note("sweeps/tiny-full+1.json", json.dumps({"ended": ended, "tasks": {task.key: {}}}))
    assert list_keys(find_garbage(store, workspace, [], 0.0)) == set()
    store.write_note("sweeps/tiny-full+1.json", json.dumps({"ended": "complete", "tasks": {task.key: {}}}))
    assert list_keys(find_garbage(store, workspace, [], 0.0)) == {task.key, source.key}


def test_a_note_of_a_sweep_that_cannot_be_read_keeps_what_it_names(
    store: Store, workspace: Workspace, finish, make_task
) -> None:
    task = make_task("of a sweep", "train")
    finish(task)
    store.write_note("sweeps/tiny-full.json", f'{{"tasks": {{"{task.key}": ')
    assert list_keys(find_garbage(store, workspace, [], 0.0)) == set()


@pytest.mark.parametrize("ended", [None, "complete"])
def test_what_a_sweep_wants_that_began_before_the_answer_stays(
    store: Store, workspace: Workspace, finish, make_task, ended: str | None
) -> None:
    wanted, unwanted = make_task("wanted", "train"), make_task("unwanted", "train")
    finish(wanted, unwanted)
    for key in ("a" * 32, "b" * 32):
        (store.folder(key) / "work").mkdir(parents=True)
    old = {"ended": "complete", "tasks": {unwanted.key: {}}}
    store.write_note("sweeps/tiny-mini.json", json.dumps(old))
    garbage = find_garbage(store, workspace, [], -1.0)
    assert list_keys(garbage) == {wanted.key, unwanted.key}
    assert {one.key for one in garbage.leftovers} == {"a" * 32, "b" * 32}
    store.write_note("sweeps/tiny-full+1.json", json.dumps({"ended": ended, "tasks": {wanted.key: {}, "a" * 32: {}}}))
    assert collect(store, garbage) == 2
    assert store.list_done() == {wanted.key}
    assert store.folder("a" * 32).exists()
    assert not store.folder("b" * 32).exists()


def test_leftovers_of_nobody_go_and_those_of_an_experiment_stay(
    store: Store, workspace: Workspace, tiny: Path, finish, make_task, make_record
) -> None:
    graph = plan(tiny, workspace)
    wanted = next(iter(graph.tasks))
    done = make_task("done", "train")
    finish(done)
    for key in (wanted, "nobody"):
        (store.folder(key) / "work").mkdir(parents=True)
        (store.folder(key) / "work" / "resume.pth").write_bytes(bytes(50))
    store.write_failure(make_record(make_task("failed"), failure="no luck"))
    (store.folder(done.key) / ".record.json.x.partial").write_bytes(bytes(7))
    (store.folder(done.key) / "work").mkdir()
    (store.folder(done.key) / "work" / "resume.pth").write_bytes(bytes(5))
    for path in store.root.rglob("*"):
        os.utime(path, (0, 0))
    assert find_garbage(store, workspace, [str(tiny)], 1e12).leftovers == ()
    garbage = find_garbage(store, workspace, [str(tiny)], DAY_S)
    sizes = {one.key: one.size_bytes for one in garbage.leftovers}
    assert sizes.keys() == {"nobody", make_task("failed").key, done.key}
    assert (sizes["nobody"], sizes[done.key]) == (50, 12)
    assert collect(store, store_gc.Garbage((), garbage.leftovers, ())) == 0
    assert (store.folder(wanted) / "work" / "resume.pth").exists()
    assert sorted(os.listdir(store.folder(done.key))) == ["checkpoint.pth", "record.json"]
    assert not store.folder("nobody").exists()


def test_an_experiment_that_cannot_be_read_is_an_error_and_nothing_goes(store: Store, workspace: Workspace) -> None:
    with pytest.raises(SpecError, match="does not exist"):
        find_garbage(store, workspace, ["gone.yaml"], 0.0)


def test_the_experiments_that_are_shipped_refer_to_their_tasks(
    store: Store, workspace: Workspace, finish, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_gc, "list_experiments", lambda: ("gta2cityscapes",))
    graph = plan_experiment("gta2cityscapes", workspace, "mini", (), None).graph
    finish(next(iter(graph.tasks.values())), experiment="gta2cityscapes", profile="mini")
    assert find_garbage(store, workspace, [], 0.0).tasks == ()
