"""One task in two workers on a real local Ray: one record, one network, the cause of a failure, and nothing left behind."""

from __future__ import annotations

import os
import signal
import sys
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from adapt.stopping import Stopped, is_stop_requested
from experiments.planning import plan_experiment
from experiments.task import Task
from experiments.workspace import Workspace
from orchestrator import driver
from orchestrator.cluster_session import ClusterSession, open_cluster
from orchestrator.data_parallel import find_cause, is_consequence
from orchestrator.execute import Assignment, Attempt, describe_crash
from orchestrator.miniature import make_miniature
from orchestrator.record import Network
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.store import Store
from orchestrator.sweep_state import SweepState, survey
from orchestrator.worker import Outcome

# Without a cluster


def test_what_follows_from_a_failure_is_not_its_cause() -> None:
    cut = describe_crash(
        "RuntimeError: [/pytorch/third_party/gloo/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]"
    )
    cause = describe_crash("Training stopped at iteration 3 of 9: loss is nan.")
    assert is_consequence(cut)
    assert not is_consequence(cause)
    assert find_cause([cut, cause]) is cause
    assert find_cause([cut, cut]) is cut


# Stub stages on a real cluster


def run_stub(task: Task, context: StageContext) -> StageResult:
    """Do in each worker what the point says; leave one file, and note each worker in the scratch folder."""
    import torch
    import torch.distributed as dist

    rank, do = dist.get_rank(), task.point.get("do")
    shared = context.folder.parents[1] if rank == 0 else context.scratch.parents[2]
    begun = len(list(shared.glob(f"{task.stage}-{rank}-*")))
    (shared / f"{task.stage}-{rank}-{os.getpid()}").write_text(str(context.threads))
    if do == "fail" and rank == 1:
        raise ZeroDivisionError("no pixels in worker 1")
    if rank == 1 and (do == "die always" or (do == "die once" and begun == 0)):
        os.kill(os.getpid(), signal.SIGKILL)
    if do == "wait":
        time.sleep(120)
    if do == "keep and go" and begun == 0:
        while rank == 0 and not is_stop_requested():
            time.sleep(0.05)
        if rank == 0:
            (context.scratch / "kept").touch()
            raise Stopped("stopped")
    total = torch.ones(1) * (rank + 1)
    dist.all_reduce(total)
    context.on_step(1, {"loss": float(total)})
    (context.folder / "checkpoint.pth").write_text(f"rank {rank}")
    network = Network(architecture="Toy", parameters=int(total), checkpoint_sha256=None, trained_by=None, weights=None)
    return StageResult(network=network)


def run_on_stub_worker(assignment: Assignment, store: Store, tracker: Any) -> Outcome:
    """Run the real worker function; the stub stands for every stage, in the workers that it starts too."""
    from orchestrator import data_parallel

    real = data_parallel._work

    def work(config: dict[str, Any]) -> Attempt | None:
        catalog: Any = types.ModuleType("orchestrator.stages.catalog")
        catalog.STAGE_FUNCTIONS = {"train": run_stub}
        sys.modules["orchestrator.stages.catalog"] = catalog
        return real(config)

    data_parallel._work = work
    try:
        return driver.run_on_worker(assignment, store, tracker)
    finally:
        data_parallel._work = real


@pytest.fixture
def session() -> Iterator[ClusterSession]:
    """A Ray of its own for each test: what an interrupted sweep holds is free only when Ray sees that its driver has ended."""
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with open_cluster(None, dashboard=False, cpus=2) as opened:
        yield opened
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture
def sweep(session: ClusterSession, store: Store, make_plan, make_graph, monkeypatch: pytest.MonkeyPatch):
    store.check_writable()
    real = driver.run_on_worker

    def run(*tasks: Task, on_change=lambda state: None, grace_s: float = 0.0) -> SweepState:
        graph = make_graph(*tasks)
        return driver.run_sweep(make_plan(graph), survey(graph, store), store, None, on_change, grace_s)

    def remote(assignment: Assignment, store: Store, tracker: Any) -> Outcome:
        driver.run_on_worker = real
        return run_on_stub_worker(assignment, store, tracker)

    monkeypatch.setattr(driver, "run_on_worker", remote)
    return run


@pytest.fixture
def make_parallel(make_task):
    def make(stage: str, **options: Any) -> Task:
        return make_task(stage, "train", training={"workers": 2}, **options)

    return make


@pytest.mark.slow
def test_workers_take_turns_fail_as_one_and_are_replaced_as_one(sweep, store: Store, make_parallel) -> None:
    """Both tasks are submitted at once, and the machine has room for the workers of one at a time."""
    frail, bad = make_parallel("frail", point={"do": "die once"}), make_parallel("bad", point={"do": "fail"})
    state = sweep(frail, bad)

    print(state.messages)
    record = store.read(frail.key)
    assert record.network is not None
    assert record.network.parameters == 3  # 1 + 2, summed over both
    assert sorted(path.name for path in store.folder(frail.key).iterdir()) == [
        "checkpoint.pth",
        "log.txt",
        "record.json",
    ]
    assert list(record.files) == ["checkpoint.pth"]
    assert (store.folder(frail.key) / "checkpoint.pth").read_text() == "rank 0"
    assert len(list(store.root.glob("frail-0-*"))) == 2, "the worker beside the one that was killed was not ended"
    assert len(list(store.root.glob("frail-1-*"))) == 2
    assert list(store.root.glob(f"frail-0-{record.environment['pid']}")), "the record tells of another process"

    assert state.messages == {bad.key: "ZeroDivisionError: no pixels in worker 1"}
    failed = store.read_failure(bad.key)
    assert failed is not None
    assert failed.failure is not None
    assert failed.failure.kind == "ZeroDivisionError"
    assert "run_stub" in failed.failure.traceback
    assert len(list(store.root.glob("bad-1-*"))) == 1, "an error of the task itself was retried"


@pytest.mark.slow
def test_an_interrupt_ends_all_workers(sweep, store: Store, make_parallel) -> None:
    task = make_parallel("endless", point={"do": "wait"})

    def interrupt(state: SweepState) -> None:
        if len(list(store.root.glob("endless-*"))) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(task, on_change=interrupt)
    workers = [int(file.name.rpartition("-")[2]) for file in store.root.glob("endless-*")]
    deadline = time.monotonic() + 60
    while any(psutil.pid_exists(pid) for pid in workers):
        assert time.monotonic() < deadline, "a worker still runs"
        time.sleep(0.1)
    assert not store.is_done(task.key)


@pytest.mark.slow
def test_workers_that_are_asked_to_stop_keep_what_they_have(sweep, store: Store, make_parallel) -> None:
    task, stopped = make_parallel("moving", point={"do": "keep and go"}), []

    def stop(state: SweepState) -> None:
        if len(list(store.root.glob("moving-*"))) == 2 and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(task, on_change=stop, grace_s=120.0)
    assert (store.scratch(task.key) / "kept").exists()
    assert store.read_failure(task.key) is None


# The real stage

PARALLEL = """\
title: one network, trained by two workers on one image each
datasets: {source: {type: gta, split: train}}
models: {student: {config: unet_small}}
miniature: {size: [64, 32], source_train: 3, target_train: 3, target_val: 2, acdc_per_condition: 2, clip_frames: 0}
stages:
  source_only:
    kind: train
    model: student
    dataset: source
    training:
      {iterations: 3, batch_size: 1, workers: 2, log_interval: 1, schedule: {warmup_iterations: 0}, augment: {crop: [32, 32]}}
"""


@pytest.mark.slow
def test_two_workers_train_what_one_trains_on_both_images(
    session: ClusterSession, store: Store, tmp_path: Path
) -> None:
    import torch

    file = tmp_path / "parallel.yaml"
    file.write_text(PARALLEL)
    store.check_writable()
    checkpoints = []
    for overrides in ([], ["stages.source_only.training.workers=1", "stages.source_only.training.batch_size=2"]):
        plan = plan_experiment(str(file), Workspace(store=store.root), overrides=overrides)
        assert plan.loaded.settings.miniature is not None
        assert plan.facts.miniature_root is not None
        make_miniature(plan.facts.miniature_root, plan.loaded.settings.miniature, 1, lambda *progress: None)
        (key,) = plan.graph.tasks
        state = driver.run_sweep(plan, survey(plan.graph, store), store, None, lambda state: None)
        assert state.is_complete, state.messages
        checkpoints.append(torch.load(store.folder(key) / "checkpoint.pth", weights_only=True))
    two, one = (flatten(checkpoint) for checkpoint in checkpoints)
    assert len(store.list_done()) == 2
    assert set(two) == set(one)
    for name, values in one.items():
        torch.testing.assert_close(
            two[name], values, rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}"
        )


def flatten(checkpoint: dict[str, Any]) -> dict[str, Any]:
    tensors = {}
    for name, value in checkpoint.items():
        if isinstance(value, dict):
            tensors |= flatten(value)
        elif hasattr(value, "is_floating_point"):
            tensors[name] = value
    return tensors
