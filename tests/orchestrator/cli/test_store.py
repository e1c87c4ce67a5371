"""`segshift store`: what it lists and shows is what the records say; it asks before it removes; a newer store is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from experiments.task import Task
from orchestrator.cli import store as command
from orchestrator.progress import show_bytes
from orchestrator.store import Store

Confusion = ((90, 10), (0, 100))  # IoU 0.9 and 100/110


@pytest.fixture
def filled(tmp_path: Path, make_task: Callable[..., Task], make_record) -> tuple[Store, Task, Task]:
    """The store of the command line with a training and the evaluation of its network."""
    store = Store(tmp_path / "store")
    source = make_task("source_only", "train", point={"seed": 1}, seed=1)
    clean = make_task("clean", needs=source)
    for task, cells in ((source, {}), (clean, {"clean": ({}, Confusion)})):
        with store.working_on(task.key):
            (store.folder(task.key) / "checkpoint.pth").write_bytes(bytes(1_500_000))
            store.commit(make_record(task, cells, files=store.list_files(task.key), notes=("Look at this.",)))
    return store, source, clean


def test_ls_lists_tasks_and_their_sizes(segshift, filled: tuple[Store, Task, Task]) -> None:
    store, source, clean = filled
    done = segshift("store", "ls")
    assert done.code == 0
    lines = done.out.splitlines()
    rows = {tuple(line.split()[:5]) for line in lines[1:3]}
    assert rows == {(task.key[:12], task.kind, task.stage, "byhand", "(full)") for task in (source, clean)}
    assert all("1.5 MB" in line for line in lines[1:3])
    assert f"2 tasks, 3.0 MB, in {store.place}" in done.out
    assert "1 tasks" in segshift("store", "ls", "--kind", "train").out
    assert "0 tasks" in segshift("store", "ls", "--stage", "train").out
    listed = json.loads(segshift("store", "ls", "--json", "--experiment", "byhand", "--stage", "clean").out)
    assert [(one["key"], one["size_bytes"], one["kind"]) for one in listed] == [(clean.key, 1_500_000, "evaluate")]
    assert listed[0]["age_seconds"] > 0


def test_ls_of_an_empty_store(segshift) -> None:
    done = segshift("store", "ls")
    assert (done.code, done.err) == (0, "")
    assert "0 tasks, 0 B" in done.out
    assert json.loads(segshift("store", "ls", "--json").out) == []


def test_show_prints_settings_scores_files_inputs_and_who_needs_it(segshift, filled: tuple[Store, Task, Task]) -> None:
    _, source, clean = filled
    text = segshift("store", "show", clean.key[:8]).out
    assert "clean  (evaluate, stage clean of byhand, full profile)" in text
    assert f"miou = {100 * (0.9 + 100 / 110) / 2:.2f} %" in text
    assert "checkpoint.pth  1.5 MB" in text
    assert f"checkpoint = {source.key[:12]}  source_only (source_only of byhand)" in text
    assert "Look at this." in text
    text = segshift("store", "show", source.key[:8]).out
    assert f"needed by {clean.key[:12]}  clean (clean)" in text
    assert "training.iterations = " in text
    assert "seed = 1" in text


def test_a_key_that_names_none_or_several_is_an_error(segshift, filled: tuple[Store, Task, Task]) -> None:
    for digits, count in (("zz", 0), ("", 2)):
        done = segshift("store", "show", digits)
        assert done.code == 2
        assert f"{count} finished tasks of" in done.err
        assert "`segshift store ls` lists them" in done.err


def test_verify_says_what_is_damaged_and_how_to_mend_it(segshift, filled: tuple[Store, Task, Task]) -> None:
    store, source, _ = filled
    done = segshift("store", "verify")
    assert (done.code, done.out) == (0, "All 2 tasks are as they were recorded.\n")
    (store.folder(source.key) / "checkpoint.pth").write_bytes(b"cut")
    (store.folder("interrupted") / "work").mkdir(parents=True)
    done = segshift("store", "verify")
    assert done.code == 1
    assert "checkpoint.pth: it has 3 bytes and should have 1500000." in done.out
    assert f"Remove the folder {store.folder(source.key)}." in done.out
    assert "1 leftovers of tasks that failed or were interrupted" in done.out
    assert "1 of 2 tasks damaged." in done.out


@pytest.fixture
def _nothing_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.store_gc.list_experiments", lambda: ())


@pytest.mark.usefixtures("_nothing_shipped")
def test_gc_shows_asks_and_removes(segshift, filled: tuple[Store, Task, Task], monkeypatch: pytest.MonkeyPatch) -> None:
    store, *_ = filled
    done = segshift("store", "gc", "--dry-run")
    assert done.code == 0
    assert "1 tasks of byhand, stage clean, that no experiment refers to: 1.5 MB" in done.out
    assert "3.0 MB would be removed (--dry-run)." in done.out
    done = segshift("store", "gc")
    assert done.code == 2
    assert "There is no terminal to ask on: say --yes." in done.err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("builtins.input", lambda question: "")
    assert segshift("store", "gc").code == 1
    assert len(store.list_done()) == 2
    done = segshift("store", "gc", "--yes")
    assert (done.code, store.list_done()) == (0, set())
    assert "Removed 2 of 2." in done.out
    assert "Nothing to remove." in segshift("store", "gc").out


@pytest.mark.usefixtures("_nothing_shipped")
def test_gc_spares_what_a_file_of_ones_own_refers_to(segshift, filled: tuple[Store, Task, Task], tiny: Path) -> None:
    done = segshift("store", "gc", tiny, "--dry-run", "--older-than", "100000")
    assert "Nothing to remove." in done.out
    assert segshift("store", "gc", "gone.yaml", "--yes").code == 2
    done = segshift("store", "gc", "--older-than", "-1")
    assert (done.code, "cannot be negative" in done.err) == (2, True)


def test_rm_removes_one_task(segshift, filled: tuple[Store, Task, Task]) -> None:
    store, source, clean = filled
    assert segshift("store", "rm", source.key[:10]).code == 2, "it did not ask"
    done = segshift("store", "rm", source.key[:10], "--yes")
    assert done.code == 0
    assert "source_only (source_only of byhand)" in done.out
    assert store.list_done() == {clean.key}
    assert segshift("store", "verify").code == 1, "the input of the other is gone"


@pytest.mark.parametrize(
    "arguments",
    [
        ("plan", "gta2cityscapes"),
        ("sweep", "gta2cityscapes"),
        ("status",),
        ("leaderboard", "gta2cityscapes"),
        ("run-task", "gta2cityscapes", "5f3a"),
        ("dashboard",),
        ("mlflow",),
        ("store", "ls"),
        ("store", "show", "5f"),
        ("store", "verify"),
        ("store", "gc"),
        ("store", "rm", "5f"),
        ("adapt", "frames", "--task", "5f3a", "--out", "out", "--method", "tent"),
    ],
    ids=" ".join,
)
def test_every_command_refuses_a_store_of_a_newer_layout(segshift, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "segshift-store.json").write_text('{"schema_version": 2}')
    (tmp_path / "frames").mkdir()
    cv2.imwrite(str(tmp_path / "frames" / "a.png"), np.zeros((32, 64, 3), np.uint8))
    done = segshift(*arguments)
    assert done.code == 2
    pattern = f"the store {tmp_path / 'store'} has the layout version 2, and this segshift knows version 1."
    assert pattern in done.err, done.err
    assert "Install a newer segshift, or give another store with --store." in done.err
    assert [path.name for path in (tmp_path / "store").iterdir()] == ["segshift-store.json"], "it did something"


def test_the_doctor_reports_a_store_of_a_newer_layout(segshift, tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / "segshift-store.json").write_text('{"schema_version": 2}')
    done = segshift("doctor")
    assert done.code == 1
    assert "has the layout version 2" in done.out


def test_sizes_and_ages_read_well() -> None:
    sizes = [show_bytes(size) for size in (0, 999, 1000, 1_500_000, 2_340_000_000)]
    assert sizes == ["0 B", "999 B", "1.0 kB", "1.5 MB", "2.3 GB"]
    assert [command.show_age(age) for age in (5, 90, 7200, 200_000)] == ["now", "2 min", "2 h", "2 d"]


def test_a_bucket_serves_every_action(
    segshift, bucket_uri: str, make_task, make_record, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSHIFT_STORE", bucket_uri)
    monkeypatch.setattr("orchestrator.store_gc.list_experiments", lambda: ())
    store, task = Store(bucket_uri), make_task("source_only", "train")
    with store.working_on(task.key):
        store.folder(task.key).mkdir(parents=True, exist_ok=True)
        (store.folder(task.key) / "checkpoint.pth").write_bytes(bytes(2000))
        store.commit(make_record(task, files=store.list_files(task.key)))
    assert f"1 tasks, 2.0 kB, in {bucket_uri}" in segshift("store", "ls").out
    assert "checkpoint.pth  2.0 kB" in segshift("store", "show", task.key[:6]).out
    assert segshift("store", "verify").code == 0
    assert segshift("status").code == 0
    done = segshift("store", "gc", "--yes", "--older-than", "0")
    assert (done.code, store.list_done()) == (0, set()), done.out + done.err
