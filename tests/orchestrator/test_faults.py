"""What a cluster does to a sweep: machines that come late, that are lost, that run out of memory. Real processes, stub stages."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from experiments.task import Task
from orchestrator import driver
from orchestrator.cluster_session import open_cluster
from orchestrator.execute import Assignment
from orchestrator.record import Network
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.store import Store
from orchestrator.sweep_state import SweepState, survey
from orchestrator.worker import Outcome

# Clusters of their own, which take 10 s and more to start.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUICK_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 300,
    "health_check_failure_threshold": 5,
}
HUNGRY_BYTES = 3 * 2**30


def run_stub(task: Task, context: StageContext) -> StageResult:
    """Note the execution and the machine; then do what the point says."""
    import ray

    log = context.folder.parents[1] / "executions"
    log.mkdir(exist_ok=True)
    earlier = len(list(log.glob(f"{task.stage}.*")))
    (log / f"{task.stage}.{earlier}").write_text(ray.get_runtime_context().get_node_id())
    do = task.point.get("do")
    if do == "wait once" and earlier == 0:
        time.sleep(600)
    if do == "eat always" or (do == "eat once" and earlier == 0):
        eaten = []
        while sum(map(len, eaten)) < 3 * HUNGRY_BYTES:
            eaten.append(bytearray(os.urandom(2**20) * 100))
            time.sleep(0.1)
        time.sleep(60)
    network = Network(architecture="Toy", parameters=1, checkpoint_sha256=None, trained_by=None, weights=None)
    return StageResult(network=network)


def run_on_stub_worker(assignment: Assignment, store: Store, tracker: Any) -> Outcome:
    """Run the real worker function with the stub in the place of every stage."""
    catalog: Any = types.ModuleType("orchestrator.stages.catalog")
    catalog.STAGE_FUNCTIONS = dict.fromkeys(("train", "evaluate"), run_stub)
    sys.modules["orchestrator.stages.catalog"] = catalog
    from orchestrator import environment
    from orchestrator.worker import run_on_worker

    environment.__dict__["_name_gpus"] = list
    environment.__dict__["_measure_gpus"] = list
    return run_on_worker(assignment, store, tracker)


@pytest.fixture(autouse=True)
def _stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(driver, "run_on_worker", run_on_stub_worker)
    monkeypatch.setattr(driver, "MACHINES_S", 1.0)
    yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


Sweep = Callable[..., SweepState]


@pytest.fixture
def sweep(store: Store, make_plan, make_graph) -> Sweep:
    store.check_writable()

    def run(*tasks: Task, on_change: Callable[[SweepState], None] = lambda state: None) -> SweepState:
        graph = make_graph(*tasks)
        return driver.run_sweep(make_plan(graph), survey(graph, store), store, None, on_change)

    return run


def list_executions(store: Store, stage: str) -> list[str]:
    """Return the machine of each execution of a stage."""
    files = sorted((store.root / "executions").glob(f"{stage}.*"))
    return [file.read_text() for file in files if file.read_text()]


def test_a_machine_that_is_lost_costs_its_tasks_and_one_that_comes_late_takes_them(
    sweep: Sweep, store: Store, make_task
) -> None:
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "_system_config": QUICK_HEALTH_CHECKS, "resources": {"head": 1}},
    )
    try:
        first = cluster.add_node(num_cpus=1, resources={"worker": 1})
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        moved = make_task("moved", "train", point={"do": "wait once"}, resources={"custom": {"worker": 1}})
        beside = make_task("beside", "train", resources={"custom": {"head": 1}})
        done: list[str] = []

        def lose(state: SweepState) -> None:
            if list_executions(store, "moved") and not done:
                done.append("lost")
                cluster.remove_node(first, allow_graceful=False)
                cluster.add_node(num_cpus=1, resources={"worker": 1})

        state = sweep(moved, beside, make_task("after", needs=moved), on_change=lose)
        machines = list_executions(store, "moved")
        assert state.is_complete, state.messages
        assert len(machines) == 2
        assert machines[0] != machines[1]
        assert len(list_executions(store, "beside")) == 1, "a task of another machine was run again"
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_a_lost_head_is_said_and_the_same_command_goes_on_with_a_new_cluster(
    start_segshift, store: Store, tiny: Path
) -> None:
    from ray.cluster_utils import Cluster

    def start(cluster: Cluster) -> subprocess.Popen[str]:
        return start_segshift(
            "sweep", tiny, "--no-servers", "--no-mlflow", "--store", store.root, "--address", cluster.address
        )

    first = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    process = start(first)
    while not store.list_done():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    first.head_node.kill_all_processes(check_alive=False, allow_graceful=False)
    _, errors = process.communicate(timeout=200)
    assert process.returncode == 2, errors
    assert f"the head of the Ray cluster at {first.address} no longer answers" in errors
    done = store.list_done()
    assert 0 < len(done) < 8
    second = Cluster(initialize_head=True, head_node_args={"num_cpus": 2})
    try:
        process = start(second)
        text, errors = process.communicate(timeout=280)
        assert process.returncode == 0, errors
        assert f"{8 - len(done)} tasks executed, {len(done)} cached" in text
    finally:
        second.shutdown()


@pytest.fixture
def _scarce_memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A local Ray that ends workers as soon as this machine has 3 GiB less to give than now."""
    memory = psutil.virtual_memory()
    if memory.available < 4 * HUNGRY_BYTES:
        pytest.skip(
            f"needs {4 * HUNGRY_BYTES / 2**30:.0f} GiB of free memory, and there are {memory.available / 2**30:.0f}"
        )
    used = (memory.total - memory.available + HUNGRY_BYTES) / memory.total
    monkeypatch.setenv("RAY_memory_usage_threshold", f"{used:.4f}")
    monkeypatch.setenv("RAY_memory_monitor_refresh_ms", "100")
    with open_cluster(None, dashboard=False, cpus=2):
        yield


@pytest.mark.usefixtures("_scarce_memory")
def test_a_task_that_runs_out_of_memory_gets_more_once_and_then_fails_with_the_reason(
    sweep: Sweep, store: Store, make_task
) -> None:
    once, always = (
        make_task("once", "train", point={"do": "eat once"}),
        make_task("always", "train", seed=1, point={"do": "eat always"}),
    )
    state = sweep(once)
    assert state.is_complete, state.messages
    assert len(list_executions(store, "once")) == 2
    state = sweep(always, make_task("beside", "train", seed=2))
    assert len(list_executions(store, "always")) == 2
    assert "ran out of memory twice, the second time with" in state.messages[always.key]
    assert "resources.memory_gb" in state.messages[always.key]
    assert len(state.messages) == 1
    failure = store.read_failure(always.key)
    assert failure is not None
    assert failure.failure is not None
    assert failure.failure.kind == "OutOfMemory"
