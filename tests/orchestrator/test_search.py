"""A search on a real local Ray of one core: its trials, its death and its retry, the same choice as without Ray."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from adapt.errors import TaskError
from experiments.schema import ResourceSettings, SearchStage
from experiments.search import METHOD_FILE, TRIALS_FILE
from experiments.task import Task
from orchestrator import driver
from orchestrator.backend import LOG_FILE
from orchestrator.cluster_session import ClusterSession, open_cluster
from orchestrator.execute import Assignment, attempt, execute
from orchestrator.record import Cell, Network
from orchestrator.request import ask
from orchestrator.stages import trial as stage
from orchestrator.stages.stage import StageContext, StageResult
from orchestrator.store import Store
from orchestrator.sweep_state import SweepState, survey

TOY = Network(architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None)

SCORES = {0.1: 10, 0.3: 60, 0.5: 20, 0.6: 60}  # right pixels of the first class, of 100


def run_stub_trial(task: Task, context: StageContext, method: Any) -> StageResult:
    """Do what the learning rate says, and note it beside the store's tasks."""
    log = context.scratch.parents[2] / "trials-made"
    log.mkdir(exist_ok=True)
    earlier = len(list(log.glob(f"{method.lr}-*")))
    (log / f"{method.lr}-{earlier}").write_text(
        json.dumps([os.getpid(), os.getcwd(), os.environ.get("OMP_NUM_THREADS")])
    )
    if method.lr == 0.2:
        raise TaskError("The loss of the adaptation is nan.")
    if method.lr == 0.3 and earlier == 0 and (log / "search").exists():
        os.kill(int((log / "search").read_text()), signal.SIGKILL)  # the search itself, in the midst of its trials
        time.sleep(120)
    if method.lr == 0.4 and (log / "search").exists():
        os._exit(7)  # this process, each time
    if method.lr == 0.7:
        raise ZeroDivisionError("no pixels")
    share = SCORES.get(method.lr, 40)
    cell = Cell(name="0/a", axes={"round": 0, "domain": "a"}, frames=1, confusion=((share, 0), (100 - share, 100)))
    return StageResult(network=TOY, cells=(cell,))


def run_on_stub_worker(assignment: Assignment, store: Store, tracker: Any) -> tuple[str, float, str | None]:
    """Run the real worker function; the stub stands for every trial, in the processes that it starts too."""
    from orchestrator import search

    real = search._make

    def make(config: Any, **given: Any) -> None:
        from orchestrator.stages import trial as stage

        stage.run_trial = run_stub_trial
        real(config, **given)

    log = store.root / "trials-made"
    log.mkdir(exist_ok=True)
    (log / "search").write_text(str(os.getpid()))
    search._make = make
    try:
        return driver.run_on_worker(assignment, store, tracker)
    finally:
        search._make = real


@pytest.fixture(scope="module")
def start_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cluster is started, and the home of its processes."""
    return tmp_path_factory.mktemp("start")


@pytest.fixture(scope="module")
def session(start_folder: Path) -> Iterator[ClusterSession]:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(start_folder)
        patch.setenv("HOME", str(start_folder))
        with open_cluster(None, dashboard=False, cpus=1) as opened:
            yield opened
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def build_search(name: str, lrs: list[float]) -> Task:
    settings = SearchStage.model_validate(
        {
            "kind": "search",
            "checkpoint": "0" * 32,
            "method": {"name": "tent"},
            "search": {"stream": {"kind": "single", "domains": [{"dataset": "a"}]}, "space": {"lr": lrs}},
        }
    )
    return Task(key=name * 32, stage=f"{name}.search", kind="search", point={}, settings=settings, label=name)


def list_made(store: Store) -> dict[float, int]:
    """Count how often each learning rate was tried."""
    made: dict[float, int] = {}
    for file in (store.root / "trials-made").glob("0*"):
        lr = float(file.name.partition("-")[0])
        made[lr] = made.get(lr, 0) + 1
    return made


def read_trials(store: Store, task: Task) -> list[dict[str, Any]]:
    listed = json.loads((store.folder(task.key) / TRIALS_FILE).read_text())
    return [{name: value for name, value in entry.items() if name != "seconds"} for entry in listed]


@pytest.mark.slow
def test_trials_run_beside_the_search_and_outlive_it(
    session: ClusterSession,
    store: Store,
    assign,
    make_plan,
    make_graph,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    start_folder: Path,
) -> None:
    """The one core is the trials': the search asks for none. Its worker is killed while its third trial runs."""
    store.check_writable()
    real = driver.run_on_worker

    def remote(assignment: Assignment, store: Store, tracker: Any) -> tuple[str, float, str | None]:
        driver.run_on_worker = real
        return run_on_stub_worker(assignment, store, tracker)

    monkeypatch.setattr(driver, "run_on_worker", remote)
    task, bad = build_search("a", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]), build_search("b", [0.7])
    live: list[tuple[float, float]] = []

    def watch(state: SweepState) -> None:
        values = state.live.get(task.key, {})
        if "miou" in values:
            live.append((values["step"], values["miou"]))

    graph = make_graph(task)
    state = driver.run_sweep(make_plan(graph), survey(graph, store), store, None, watch)
    assert state.is_complete, state.messages
    assert list_made(store) == {0.1: 1, 0.2: 1, 0.3: 2, 0.4: 3, 0.5: 1, 0.6: 1}
    record, trials = store.read(task.key), read_trials(store, task)
    assert [trial["status"] for trial in trials] == ["done", "failed", "done", "failed", "done", "done"]
    assert trials[1]["reason"] == "The loss of the adaptation is nan."
    assert trials[3]["reason"] == ("its process died 3 times (The actor is dead because its worker process has died).")
    assert record.metrics["failed_trials"] == 2
    assert live[0][0] >= 1
    assert live[-1][1] == record.metrics["best_miou"]
    pid, folder, threads = json.loads((store.root / "trials-made" / "0.5-0").read_text())
    assert pid != record.environment["pid"]
    assert folder == str(start_folder), "paths in settings are relative to where the sweep was started"
    assert threads == "1"

    # nothing is left: not in the store, not where the sweep was started, not at home, not on the cluster
    left = [".lease.json.thief", LOG_FILE, METHOD_FILE, "record.json", TRIALS_FILE]
    assert sorted(os.listdir(store.folder(task.key))) == left
    log = store.log_file(task.key).read_text()
    assert [f"{task.name}, trial {number}: lr=" in log for number in range(7)] == [True] * 6 + [False]
    assert os.listdir(tmp_path) == ["store"]
    assert [name for name in os.listdir(start_folder) if not name.startswith(".")] == []
    import ray

    deadline = time.monotonic() + 30  # Ray frees what is no longer held a little later
    while ray.available_resources().get("CPU") != 1.0 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert ray.available_resources().get("CPU") == 1.0

    # an error that is none of the point's fails the search, and is not retried
    graph = make_graph(bad)
    state = driver.run_sweep(make_plan(graph), survey(graph, store), store, None, lambda state: None)
    assert state.messages == {bad.key: "The trial lr=0.7 stopped. ZeroDivisionError: no pixels"}
    failed = store.read_failure(bad.key)
    assert failed is not None
    assert failed.failure is not None
    assert "run_stub_trial" in failed.failure.traceback
    assert list_made(store)[0.7] == 1

    # without Ray the same is chosen from the same scores; here no process can die
    monkeypatch.setattr(stage, "run_trial", run_stub_trial)
    other = Store(tmp_path / "other")
    assert execute(assign(task), other, lambda step, values: None, attempt).status == "done"
    chosen = [(each.folder(task.key) / METHOD_FILE).read_text() for each in (store, other)]
    assert chosen[0] == chosen[1]
    assert '"lr": 0.3,' in chosen[0], "0.6 has the same score, and is later"
    alone = read_trials(other, task)
    assert [entry for entry in alone if entry["point"] != {"lr": 0.4}] == [
        entry for entry in trials if entry["point"] != {"lr": 0.4}
    ]


@pytest.mark.slow
def test_searches_at_the_same_time_make_their_own_trials(
    session: ClusterSession, store: Store, make_plan, make_graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are submitted at once and share the one core: no trial is made twice, or for the other."""
    store.check_writable()
    real = driver.run_on_worker

    def remote(assignment: Assignment, store: Store, tracker: Any) -> tuple[str, float, str | None]:
        driver.run_on_worker = real
        return run_on_stub_worker(assignment, store, tracker)

    monkeypatch.setattr(driver, "run_on_worker", remote)
    few, many = build_search("c", [0.11, 0.5]), build_search("d", [0.6, 0.61, 0.62, 0.63])
    graph = make_graph(few, many)
    state = driver.run_sweep(make_plan(graph), survey(graph, store), store, None, lambda state: None)
    assert state.is_complete, state.messages
    assert list_made(store) == dict.fromkeys([0.11, 0.5, 0.6, 0.61, 0.62, 0.63], 1)
    assert [trial["point"]["lr"] for trial in read_trials(store, few)] == [0.11, 0.5]
    assert store.read(few.key).metrics["best_miou"] != store.read(many.key).metrics["best_miou"]


def test_a_trial_asks_for_the_resources_of_its_stage(tmp_path: Path) -> None:
    from orchestrator.reservation import request_resources

    asked = request_resources(ResourceSettings(cpus=2, gpus=0.5, memory_gb=3), tmp_path)
    assert asked.bundles == [{"CPU": 2.0, "GPU": 0.5, "memory": 3.0 * 2**30}]
    assert request_resources(ResourceSettings(), tmp_path).bundles == [{"CPU": 1.0}]
    there = request_resources(ResourceSettings(labels={"zone": "eu"}), tmp_path)
    assert there._kwargs["bundle_label_selector"] == [{"zone": "eu"}]


def test_a_search_asks_for_nothing_itself() -> None:
    assert ask(build_search("a", [0.1])) == {"num_cpus": 0}
