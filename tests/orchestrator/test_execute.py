"""One task to its record: success, failure, a full disk, damage upstream. The stage is a stub; the store is real."""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from adapt.data.cache import CacheSettings
from experiments.schema import STAGES
from experiments.task import Task
from orchestrator.execute import Attempt, execute
from orchestrator.record import Network, Record
from orchestrator.stages import catalog
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.store import Store

Stub = Callable[[Task, StageContext], StageResult]
TOY = Network(architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None)


def silent(step: int, values: Mapping[str, float]) -> None:
    pass


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[[Stub], None]:
    """Put a function in the place of the `train` and `evaluate` stages."""

    def put(function: Stub) -> None:
        for kind in ("train", "evaluate"):
            monkeypatch.setitem(catalog.STAGE_FUNCTIONS, kind, function)

    return put


def succeed(task: Task, context: StageContext) -> StageResult:
    (context.folder / "checkpoint.pth").write_text("abc")
    (context.scratch / "iter_2.pth").write_text("scratch")
    context.on_step(4, {"loss": 0.5})
    return StageResult(network=TOY, classes=("road", "car"), metrics={"frames_per_second": 2.0})


def test_every_stage_kind_that_runs_has_its_function() -> None:
    assert set(catalog.STAGE_FUNCTIONS) == set(STAGES) - {"leaderboard"}


def test_a_success_is_recorded_with_hashes_settings_and_environment(store: Store, stub, make_task, assign) -> None:
    stub(succeed)
    task = make_task("source_only", "train", point={"seed": 1}, seed=1, training={"iterations": 4})
    steps: list[tuple[int, Mapping[str, float]]] = []
    record = execute(assign(task), store, lambda step, values: steps.append((step, values)))
    assert store.read(task.key) == record
    assert (record.status, record.failure, record.key, record.kind) == ("done", None, task.key, "train")
    assert steps == [(4, {"loss": 0.5})]
    assert {name: kept.sha256 for name, kept in record.files.items()} == {
        "checkpoint.pth": hashlib.sha256(b"abc").hexdigest()
    }
    # all that applied, and apart from it what the user wrote
    assert record.settings["training"]["iterations"] == 4
    assert record.settings["training"]["batch_size"] == 2
    assert record.chosen["training"] == {"iterations": 4}
    assert record.point == {"seed": 1}
    assert record.environment["pid"] == os.getpid()
    assert {"git", "packages", "python", "host", "cpu", "memory_bytes", "gpus"} <= set(record.environment)
    assert record.seconds >= 0
    assert record.peak_memory_bytes is not None
    assert record.peak_memory_bytes > 2**20
    assert not store.scratch(task.key).exists()
    assert not (store.folder(task.key) / "lease.json").exists()


def test_what_is_done_is_not_done_again(store: Store, stub, make_task, assign) -> None:
    calls: list[str] = []

    def count(task: Task, context: StageContext) -> StageResult:
        calls.append(task.key)
        return StageResult(network=TOY)

    stub(count)
    task = make_task("source_only", "train")
    first = execute(assign(task), store, silent)
    assert execute(assign(task), store, silent) == first
    assert calls == [task.key]


def test_a_failure_is_kept_with_its_traceback_and_the_next_run_tries_again(
    store: Store, stub, make_task, assign
) -> None:
    def fail(task: Task, context: StageContext) -> StageResult:
        (context.scratch / "iter_2.pth").write_text("scratch")
        raise ZeroDivisionError("no pixels")

    stub(fail)
    task = make_task("source_only", "train")
    record = execute(assign(task), store, silent)
    assert record.failure is not None
    assert (record.status, record.failure.kind) == ("failed", "ZeroDivisionError")
    assert record.failure.message == "ZeroDivisionError: no pixels"
    assert "in fail" in record.failure.traceback
    assert record.cells == ()
    assert not store.is_done(task.key)
    assert store.read_failure(task.key) == record
    assert (store.scratch(task.key) / "iter_2.pth").exists(), "what it would go on from is gone"
    stub(succeed)
    assert execute(assign(task), store, silent).status == "done"
    assert store.read_failure(task.key) is None


def test_the_stage_finds_its_inputs_and_scratch(store: Store, stub, make_task, assign) -> None:
    seen: list[StageContext] = []

    def look(task: Task, context: StageContext) -> StageResult:
        seen.append(context)
        return succeed(task, context)

    stub(look)
    source = make_task("source_only", "train")
    clean = make_task("clean", needs=source, resources={"cpus": 2.5})
    assert execute(assign(source), store, silent).status == "done"
    record = execute(assign(clean), store, silent)
    assert record.inputs == {"checkpoint": source.key}
    assert seen[1].inputs == {"checkpoint": store.folder(source.key)}
    assert seen[1].threads == 2


def test_a_damaged_checkpoint_is_not_scored(store: Store, stub, make_task, assign) -> None:
    stub(succeed)
    source = make_task("source_only", "train")
    clean = make_task("clean", needs=source)
    execute(assign(source), store, silent)
    (store.folder(source.key) / "checkpoint.pth").write_text("abd")
    record = execute(assign(clean), store, silent)
    assert record.failure is not None
    assert record.failure.kind == "TaskError"
    assert f"Remove the folder {store.folder(source.key)}" in record.failure.message
    assert not (store.folder(clean.key) / "checkpoint.pth").exists(), "the stage ran"


def test_an_unreadable_record_upstream_fails_the_task_with_the_remedy(store: Store, stub, make_task, assign) -> None:
    stub(succeed)
    source = make_task("source_only", "train")
    execute(assign(source), store, silent)
    (store.folder(source.key) / "record.json").write_text("{")
    record = execute(assign(make_task("clean", needs=source)), store, silent)
    assert record.failure is not None
    assert "Remove its folder to have the task run again" in record.failure.message


def full(*arguments: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_disk_that_is_full_at_the_commit_fails_the_task_and_harms_nothing(
    store: Store, stub, make_task, assign, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(succeed)
    earlier, task = make_task("source_only", "train", seed=0), make_task("source_only", "train", seed=1)
    kept = execute(assign(earlier), store, silent)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        record = execute(assign(task), store, silent)
    assert record.status == "failed"
    assert record.failure is not None
    assert "No space left on device" in record.failure.message
    assert not store.is_done(task.key)
    assert store.read_failure(task.key) is None
    assert store.list_done() == {earlier.key}
    assert store.read(earlier.key) == kept
    assert store.verified_file(earlier.key, "checkpoint.pth").read_text() == "abc"
    assert execute(assign(task), store, silent).status == "done"


def test_a_disk_that_is_full_in_the_stage_is_a_failure_like_any_other(store: Store, stub, make_task, assign) -> None:
    stub(lambda task, context: full())
    record = execute(assign(make_task("source_only", "train")), store, silent)
    assert record.failure is not None
    assert f"the disk of {store.root} is full (No space left on device)" in record.failure.message
    assert "run the same command again" in record.failure.message


def test_a_score_that_is_not_finite_fails_the_task(store: Store, stub, make_task, assign) -> None:
    stub(lambda task, context: StageResult(network=TOY, metrics={"frames_per_second": math.inf}))
    task = make_task("source_only", "train")
    record = execute(assign(task), store, silent)
    assert record.failure is not None
    assert "frames_per_second" in record.failure.message
    assert store.read_failure(task.key) == record


def test_what_waits_takes_the_others_result(
    store: Store, stub, make_task, make_record: Callable[..., Record], assign, tmp_path: Path
) -> None:
    """Another process commits between our look at the graph and our turn."""
    stub(lambda task, context: full())
    task = make_task("source_only", "train")
    store.folder(task.key).mkdir(parents=True)
    theirs = make_record(task)
    store.commit(theirs)
    assert execute(assign(task), store, silent) == theirs


def test_the_cache_of_the_workspace_reaches_the_stage(store: Store, stub, make_task, assign, tmp_path: Path) -> None:
    seen: list[StageContext] = []

    def look(task: Task, context: StageContext) -> StageResult:
        seen.append(context)
        return StageResult(network=TOY)

    stub(look)
    cache = CacheSettings(folder=tmp_path / "cache", max_gb=2)
    execute(dataclasses.replace(assign(make_task("a", "train", seed=1)), cache=cache), store, silent)
    execute(assign(make_task("a", "train", seed=2)), store, silent)
    assert seen[0].cache is not None
    assert (seen[0].cache.folder, seen[0].cache.max_bytes) == (tmp_path / "cache", 2_000_000_000)
    assert seen[1].cache is None


def test_a_stage_that_is_run_elsewhere_is_committed_here(store: Store, stub, make_task, assign) -> None:
    """What runs it says what it came to and cost; the record tells of that process and not of this one."""
    stub(lambda task, context: full())
    task = make_task("a", "train")
    made = Attempt(StageResult(network=TOY), None, "2026-01-01T00:00:00+00:00", 12.5, {"pid": 7}, 8, 9)
    record = execute(assign(task), store, silent, lambda assignment, store, on_step: made)
    assert store.read(task.key) == record
    assert (record.seconds, record.environment, record.started_at) == (12.5, {"pid": 7}, "2026-01-01T00:00:00+00:00")
    assert (record.peak_memory_bytes, record.peak_gpu_memory_bytes, record.network) == (8, 9, TOY)


def test_pictures_are_files_of_the_record(store: Store, stub, make_task, assign) -> None:
    def draw(task: Task, context: StageContext) -> StageResult:
        folder = context.folder / "pictures"
        folder.mkdir()
        (folder / "iteration_000010.png").write_bytes(b"png")
        return succeed(task, context)

    stub(draw)
    record = execute(assign(make_task("a", "train")), store, silent)
    assert set(record.files) == {"checkpoint.pth", "pictures/iteration_000010.png"}
    assert record.files["pictures/iteration_000010.png"].sha256 == hashlib.sha256(b"png").hexdigest()
