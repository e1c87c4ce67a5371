"""The driver on a real local Ray, with stub stages: order, failures, crashes and what is cached.

The stubs travel to the workers by value and take the place of the whole stage catalogue there, so that no worker
imports mmsegmentation. What a task does is said by its point: `{"do": "fail"}`.
"""

from __future__ import annotations

import os
import re
import signal
import sys
import time
import types
import unittest.mock
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from adapt.stopping import Stopped, is_stop_requested
from experiments.graph import Graph
from experiments.task import Task
from orchestrator import driver
from orchestrator.cluster_session import ClusterSession, open_cluster
from orchestrator.execute import Assignment
from orchestrator.record import Network
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState, survey
from orchestrator.tracker import MirrorTarget
from orchestrator.worker import Outcome


def run_stub(task: Task, context: StageContext) -> StageResult:
    """Note the start and the end of the execution in the store; in between do what the point says."""
    log = context.folder.parents[1] / "executions"
    log.mkdir(exist_ok=True)
    earlier = len(list(log.glob(f"{task.stage}.*.begin")))
    run = uuid.uuid4().hex
    (log / f"{task.stage}.{run}.begin").write_text(str(time.time()))
    do = task.point.get("do")
    if do == "fail":
        raise ValueError("told to")
    if do == "crash always" or (do == "crash once" and earlier == 0):
        os._exit(7)
    if do == "interrupt":
        (log / "running").touch()
        time.sleep(120)
    if do == "hang":
        print("about to hang", flush=True)
        re.match(r"(a+)+$", "a" * 60 + "b")  # for years, and it never lets another thread run
    if do == "keep and go" and earlier == 0:
        (log / "pid").write_text(str(os.getpid()))
        while not is_stop_requested():
            time.sleep(0.02)
        (context.scratch / "kept").touch()
        raise Stopped("as a training does")
    if do == "keep and go":
        assert (context.scratch / "kept").exists()
    context.on_step(1, {"loss": 0.5})
    (context.folder / "checkpoint.pth").write_text(task.stage)
    (log / f"{task.stage}.{run}.end").write_text(str(time.time()))
    network = Network(architecture="Toy", parameters=1, checkpoint_sha256=None, trained_by=None, weights=None)
    return StageResult(network=network)


def run_on_stub_worker(assignment: Assignment, store: Store, tracker: Any) -> Outcome:
    """Run the real worker function with the stub in the place of every stage."""
    catalog: Any = types.ModuleType("orchestrator.stages.catalog")
    catalog.STAGE_FUNCTIONS = dict.fromkeys(("train", "evaluate"), run_stub)
    sys.modules["orchestrator.stages.catalog"] = catalog
    from orchestrator import environment, lease
    from orchestrator.worker import run_on_worker

    environment.__dict__["_name_gpus"] = list  # asking torch takes seconds in every worker
    if assignment.task.point.get("do") == "fill the disk":
        with unittest.mock.patch.object(
            lease.FileLease, "try_acquire", side_effect=OSError(28, "No space left on device")
        ):
            return run_on_worker(assignment, store, tracker)
    return run_on_worker(assignment, store, tracker)


@pytest.fixture(scope="module")
def session() -> Iterator[ClusterSession]:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with open_cluster(None, dashboard=False, cpus=2) as opened:
        yield opened
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


Sweep = Callable[[Graph], SweepState]


@pytest.fixture
def sweep(session: ClusterSession, store: Store, make_plan, monkeypatch: pytest.MonkeyPatch) -> Sweep:
    store.check_writable()
    monkeypatch.setattr(driver, "run_on_worker", run_on_stub_worker)
    return lambda graph: driver.run_sweep(make_plan(graph), survey(graph, store), store, None, lambda state: None, 60.0)


@pytest.fixture
def count(store: Store) -> Callable[[str], int]:
    """Count how often a stage was begun."""
    return lambda stage: len(list((store.root / "executions").glob(f"{stage}.*.begin")))


def statuses(state: SweepState) -> dict[str, str]:
    return {state.graph.tasks[key].stage: status.value for key, status in state.status.items()}


def read_time(store: Store, stage: str, what: str) -> float:
    (file,) = (store.root / "executions").glob(f"{stage}.*.{what}")
    return float(file.read_text())


def test_tasks_follow_their_inputs_and_are_run_once(sweep: Sweep, store: Store, make_task, make_graph, count) -> None:
    source = make_task("source", "train")
    left, right = make_task("left", needs=source), make_task("right", needs=source)
    last = make_task("last", needs=left)
    graph = make_graph(source, left, right, last)
    state = sweep(graph)
    assert statuses(state) == dict.fromkeys(("source", "left", "right", "last"), "done")
    assert state.is_complete
    for before, after in (("source", "left"), ("source", "right"), ("left", "last")):
        assert read_time(store, before, "end") <= read_time(store, after, "begin")
    assert set(state.seconds) == set(graph.tasks)
    # again: nothing is executed
    again = sweep(graph)
    assert set(statuses(again).values()) == {"cached"}
    assert [count(stage) for stage in ("source", "left", "right", "last")] == [1, 1, 1, 1]


def test_a_failure_skips_what_needs_it_and_nothing_else(
    sweep: Sweep, store: Store, make_task, make_graph, count
) -> None:
    source, good = make_task("source", "train"), make_task("good", "train", seed=1)
    bad = make_task("bad", needs=source, point={"do": "fail"})
    needs_bad = make_task("needs_bad", needs=bad)
    needs_that = make_task("needs_that", needs=needs_bad)
    independent = make_task("independent", needs=good)
    beside = make_task("beside", needs=source)
    state = sweep(make_graph(source, good, bad, needs_bad, needs_that, independent, beside))
    assert statuses(state) == {
        "source": "done", "good": "done", "bad": "failed", "needs_bad": "skipped", "needs_that": "skipped",
        "independent": "done", "beside": "done",
    }  # fmt: skip
    assert state.messages[bad.key] == "ValueError: told to"
    assert state.messages[needs_bad.key] == "needs bad[do=fail], which has no result"
    assert "needs_bad" in state.messages[needs_that.key]
    assert not state.is_complete
    assert count("bad") == 1, "an error of the task itself was retried"
    assert (count("needs_bad"), count("needs_that")) == (0, 0)
    failure = store.read_failure(bad.key)
    assert failure is not None
    assert failure.failure is not None
    assert "run_stub" in failure.failure.traceback


def test_the_next_sweep_does_only_what_failed(sweep: Sweep, make_task, make_graph, count) -> None:
    source = make_task("source", "train")
    bad = make_task("bad", needs=source, point={"do": "fail"})
    graph = make_graph(source, bad)
    sweep(graph)
    state = sweep(graph)
    assert statuses(state) == {"source": "cached", "bad": "failed"}
    assert (count("source"), count("bad")) == (1, 2)


def test_a_worker_that_dies_is_replaced(sweep: Sweep, make_task, make_graph, count) -> None:
    task = make_task("frail", "train", point={"do": "crash once"})
    state = sweep(make_graph(task, make_task("after", needs=task)))
    assert statuses(state) == {"frail": "done", "after": "done"}
    assert count("frail") == 2


def test_a_worker_that_always_dies_fails_its_task_alone(sweep: Sweep, make_task, make_graph, count) -> None:
    task, good = make_task("frail", "train", point={"do": "crash always"}), make_task("good", "train", seed=1)
    state = sweep(make_graph(task, good, make_task("after", needs=task)))
    assert statuses(state) == {"frail": "failed", "good": "done", "after": "skipped"}
    assert "its worker died 3 times" in state.messages[task.key]
    assert count("frail") == 1 + driver.CRASH_RETRIES


def test_an_error_outside_the_stage_is_named_and_not_called_a_crash(sweep: Sweep, make_task, make_graph) -> None:
    task = make_task("homeless", "train", point={"do": "fill the disk"})
    state = sweep(make_graph(task))
    assert statuses(state) == {"homeless": "failed"}
    assert "No space left on device" in state.messages[task.key]
    assert "died" not in state.messages[task.key]


def test_tasks_with_equal_keys_are_run_once(sweep: Sweep, make_task, make_graph, count) -> None:
    source = make_task("source", "train")
    sweep(make_graph(source, source))
    assert count("source") == 1


def test_live_scalars_reach_the_progress_view(
    session: ClusterSession, store: Store, make_task, make_graph, make_plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.check_writable()
    monkeypatch.setattr(driver, "run_on_worker", run_on_stub_worker)
    task = make_task("source", "train")
    graph = make_graph(task)
    seen: list[dict[str, str]] = []
    driver.run_sweep(
        make_plan(graph), survey(graph, store), store, None, lambda state: seen.append(statuses(state)), 0.0
    )
    assert seen[0] == {"source": "submitted"}
    assert seen[-1] == {"source": "done"}


def test_an_interrupt_cancels_what_runs_and_leaves_no_lease_in_the_way(
    session: ClusterSession, store: Store, make_task, make_graph, make_plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.check_writable()
    monkeypatch.setattr(driver, "run_on_worker", run_on_stub_worker)
    task = make_task("endless", "train", point={"do": "interrupt"})
    graph = make_graph(task)

    def interrupt(state: SweepState) -> None:
        if (store.root / "executions" / "running").exists():
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.run_sweep(make_plan(graph), survey(graph, store), store, None, interrupt, 0.0)
    deadline = time.monotonic() + 30
    while store.is_held(task.key):
        assert time.monotonic() < deadline, "the cancelled task still runs"
        time.sleep(0.05)
    assert not store.is_done(task.key)


def test_a_task_that_hangs_is_ended_at_its_limit_with_its_stacks_in_the_log(
    sweep: Sweep, store: Store, make_task, make_graph, count
) -> None:
    """Even one that never lets another Python thread run."""
    task = make_task("stuck", "train", point={"do": "hang"}, time_limit_s=0.5)
    state = sweep(make_graph(task, make_task("after", needs=task), make_task("beside", "train", seed=1)))
    assert statuses(state) == {"stuck": "failed", "after": "skipped", "beside": "done"}
    assert "time limit (`time_limit_s: 0.5`)" in state.messages[task.key]
    assert count("stuck") == 1, "a task that hangs would hang again"
    log = store.log_file(task.key).read_text()
    assert "about to hang" in log
    assert "Timeout (0:00:00.500000)!" in log
    assert "in run_stub" in log
    failure = store.read_failure(task.key)
    assert failure is not None
    assert failure.failure is not None
    assert failure.failure.kind == "TimeLimit"


def test_a_worker_whose_machine_is_taken_back_keeps_what_it_has_and_goes_on_elsewhere(
    session: ClusterSession, store: Store, make_task, make_graph, make_plan, monkeypatch: pytest.MonkeyPatch, count
) -> None:
    store.check_writable()
    monkeypatch.setattr(driver, "run_on_worker", run_on_stub_worker)
    task = make_task("moving", "train", point={"do": "keep and go"})
    graph, signalled = make_graph(task), []

    def take_back(state: SweepState) -> None:
        pid = store.root / "executions" / "pid"
        if pid.exists() and pid.read_text() and not signalled:
            signalled.append(True)
            os.kill(int(pid.read_text()), signal.SIGTERM)

    state = driver.run_sweep(make_plan(graph), survey(graph, store), store, None, take_back, 0.0)
    assert (statuses(state), count("moving")) == ({"moving": "done"}, 2)
    assert store.read_failure(task.key) is None


def test_a_sweep_that_is_stopped_gives_its_tasks_time_to_keep_what_they_have(
    session: ClusterSession, store: Store, make_task, make_graph, make_plan, monkeypatch: pytest.MonkeyPatch, count
) -> None:
    store.check_writable()
    monkeypatch.setattr(driver, "run_on_worker", run_on_stub_worker)
    task = make_task("moving", "train", point={"do": "keep and go"})
    graph = make_graph(task, make_task("after", needs=task))
    stopped: list[bool] = []

    def stop(state: SweepState) -> None:
        if (store.root / "executions" / "pid").exists() and not stopped:
            stopped.append(True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        driver.run_sweep(make_plan(graph), survey(graph, store), store, None, stop, 120.0)
    assert (store.scratch(task.key) / "kept").exists()
    assert store.read_failure(task.key) is None
    state = driver.run_sweep(make_plan(graph), survey(graph, store), store, None, lambda state: None, 0.0)
    assert statuses(state) == {"moving": "done", "after": "done"}


# Without a cluster


def test_tasks_are_called_in_the_dashboard_by_kind_experiment_stage_and_point(make_task) -> None:
    task = make_task("daformer", "train", point={"seed": 0, "method": {"name": "tent", "lr": 1}})
    assert driver.name_in_dashboard("gta2cityscapes", task) == "train:gta2cityscapes/daformer/seed=0/method=tent"
    assert driver.name_in_dashboard("a", make_task("b")) == "evaluate:a/b"


def test_only_records_that_mlflow_lacks_are_listed(store: Store, make_task, tmp_path: Path) -> None:
    database = tmp_path / "mlflow.db"
    database.touch()
    target = MirrorTarget(f"sqlite:///{database}", "byhand", "full", None)
    a, b = make_task("a"), make_task("b")
    assert driver.list_unmirrored([a, b], target, store) == [a, b]
    target.marks(store).mkdir(parents=True)
    (target.marks(store) / a.key).touch()
    assert driver.list_unmirrored([a, b], target, store) == [b]
    database.unlink()
    assert driver.list_unmirrored([a, b], target, store) == [a, b], "a database that is gone is filled anew"


def test_a_survey_tells_what_is_cached(store: Store, make_task, make_graph, make_record) -> None:
    done, waiting = make_task("done"), make_task("waiting")
    store.folder(done.key).mkdir(parents=True)
    store.commit(make_record(done))
    state = survey(make_graph(done, waiting), store)
    assert statuses(state) == {"done": "cached", "waiting": "waiting"}
    assert (state.count(Status.CACHED), state.count(Status.CACHED, Status.WAITING), state.is_complete) == (1, 2, False)
