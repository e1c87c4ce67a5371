"""A disk that is really full, at every moment of a task: the reason is clear, the store whole, and the next run succeeds."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch

from adapt.atomic import replace_atomically
from adapt.errors import PrerequisiteError, TaskError
from experiments.task import Task
from orchestrator.disk import explain_full_disk
from orchestrator.execute import execute
from orchestrator.record import Network
from orchestrator.stages import catalog
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.store import Store

DISK_MB = 4
TOY = Network(architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None)

Stub = Callable[[Task, StageContext], StageResult]


def silent(step: int, values: Mapping[str, float]) -> None:
    pass


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "none", str(place)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def fill_up(disk: Path) -> None:
    """Take what is left, to the last byte."""
    with (disk / "filler").open("wb", buffering=0) as file:
        for size in (2**16, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
    assert shutil.disk_usage(disk).free == 0


def write_large_file(task: Task, context: StageContext) -> StageResult:
    with replace_atomically(context.folder / "counts.bin") as draft:
        draft.write_bytes(bytes((DISK_MB + 1) * 2**20))
    return StageResult(network=TOY)


def save_large_checkpoint(task: Task, context: StageContext) -> StageResult:
    with replace_atomically(context.folder / "checkpoint.pth") as draft:
        torch.save({"weight": torch.zeros((DISK_MB + 1) * 2**18)}, draft)
    return StageResult(network=TOY)


def fill_up_at_the_end(task: Task, context: StageContext) -> StageResult:
    (context.folder / "checkpoint.pth").write_text("abc")
    fill_up(context.folder.parents[2])
    return StageResult(network=TOY)


def fill_up_and_fail(task: Task, context: StageContext) -> StageResult:
    fill_up(context.folder.parents[2])
    raise ZeroDivisionError("no pixels")


def succeed(task: Task, context: StageContext) -> StageResult:
    (context.folder / "checkpoint.pth").write_text("abc")
    return StageResult(network=TOY)


@pytest.mark.parametrize(
    ("stage", "is_recorded"),
    [(write_large_file, True), (save_large_checkpoint, True), (fill_up_at_the_end, False)],
    ids=["a file", "a checkpoint", "the record"],
)
def test_a_task_fails_with_the_reason_and_all_else_goes_on(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, make_task, assign, stage: Stub, is_recorded: bool
) -> None:
    store = Store(small_disk / "store")
    stages = {"earlier": succeed, "large": stage, "later": succeed}
    monkeypatch.setitem(catalog.STAGE_FUNCTIONS, "train", lambda task, context: stages[task.stage](task, context))
    tasks = {name: make_task(name, "train") for name in stages}
    kept = execute(assign(tasks["earlier"]), store, silent)
    record = execute(assign(tasks["large"]), store, silent)
    assert record.failure is not None
    assert record.failure.kind == "TaskError"
    assert f"the disk of {store.root} is full (" in record.failure.message
    assert "`segshift store gc`" in record.failure.message
    assert "in " + stage.__name__ in record.failure.traceback or not is_recorded
    assert store.list_done() == {tasks["earlier"].key}
    assert store.read(tasks["earlier"].key) == kept
    assert store.read_failure(tasks["large"].key) == (record if is_recorded else None)
    assert not list(small_disk.rglob("*.partial")), "a draft takes room that nobody has"
    assert not store.is_held(tasks["large"].key)
    (small_disk / "filler").unlink(missing_ok=True)
    assert execute(assign(tasks["later"]), store, silent).status == "done"
    stages["large"] = succeed
    assert execute(assign(tasks["large"]), store, silent).status == "done"
    assert store.read_failure(tasks["large"].key) is None


def test_a_failure_that_cannot_be_kept_is_still_told(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch, make_task, assign
) -> None:
    store, task = Store(small_disk / "store"), make_task("bad", "train")
    monkeypatch.setitem(catalog.STAGE_FUNCTIONS, "train", fill_up_and_fail)
    record = execute(assign(task), store, silent)
    assert record.failure is not None
    assert "is full" in record.failure.message
    assert store.read_failure(task.key) is None
    assert not list(small_disk.rglob("*.partial"))
    assert not list(small_disk.rglob("failure.json"))


def test_a_disk_that_is_full_before_the_start_is_told(small_disk: Path, make_task, assign) -> None:
    store = Store(small_disk / "store")
    fill_up(small_disk)
    with pytest.raises(TaskError, match=rf"the disk of {store.root}.* is full"):
        execute(assign(make_task("clean", "train")), store, silent)
    assert not [path for path in small_disk.rglob("*") if path.is_file() and path.name != "filler"]


def test_a_note_that_does_not_fit_leaves_the_one_before(small_disk: Path) -> None:
    store = Store(small_disk / "store")
    store.write_note("costs.json", json.dumps({"a": 1}))
    fill_up(small_disk)
    with pytest.raises(OSError, match="No space left"):
        store.write_note("costs.json", json.dumps({"a": list(range(10_000))}))
    assert store.read_note("costs.json") == '{"a": 1}'
    assert not list(small_disk.rglob("*.partial"))


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    for error in (OSError(errno.EACCES, "Permission denied"), ValueError("x"), RuntimeError("CUDA out of memory")):
        assert explain_full_disk(error, tmp_path) is error


def test_the_cause_behind_an_error_counts_and_its_own_place_is_named(tmp_path: Path) -> None:
    error = PrerequisiteError("the cache cannot be written")
    error.__cause__ = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(tmp_path / "cache" / "a.npy"))
    explained = explain_full_disk(error, tmp_path / "store")
    assert isinstance(explained, TaskError)
    assert f"the disk of {tmp_path / 'cache'} is full (Disk quota exceeded)" in str(explained)
    assert explained.__cause__ is error
