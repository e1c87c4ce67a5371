"""Tasks, records and graphs made by hand, a clean environment, and one finished tiny sweep that tests copy."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapt.data.settings import DatasetSettings
from experiments.graph import Graph
from experiments.planning import Plan
from experiments.schema import STAGES, GapSettings, LeaderboardStage
from experiments.task import BoundDataset, Task
from orchestrator import mlflow_server
from orchestrator.execute import Assignment
from orchestrator.record import Cell, Failure, Network, Record
from orchestrator.store import Store

TINY = Path(__file__).parent / "tiny.yaml"
VARIABLES = ("SEGSHIFT_DATA", "SEGSHIFT_STORE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS", "CUDA_VISIBLE_DEVICES")
SERVER_START_S = 60  # for a machine that is busy with other work

Confusion = tuple[tuple[int, ...], ...]


@pytest.fixture(autouse=True)
def _clean_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No workspace file, no variable and no signal handler of one test is seen by another."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """The address of an S3 server, a process of its own that keeps its buckets in memory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + SERVER_START_S
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "the S3 server ended"
            assert time.monotonic() < deadline, "the S3 server does not start"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def bucket_uri(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The URI of an empty store in a bucket of that server; this machine's working places are in the test's folder."""
    import boto3

    name = f"bucket-{uuid.uuid4().hex}"
    for variable, value in {
        "AWS_ACCESS_KEY_ID": "someone",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": s3_server,
        "SEGSHIFT_LOCAL": str(tmp_path / "local"),
    }.items():
        monkeypatch.setenv(variable, value)
    boto3.client("s3", endpoint_url=s3_server, region_name="us-east-1").create_bucket(Bucket=name)
    return f"s3://{name}/results"


@pytest.fixture(params=["folder", "bucket"])
def any_store(request: pytest.FixtureRequest) -> Store:
    """A store of each kind."""
    return (
        Store(request.getfixturevalue("bucket_uri")) if request.param == "bucket" else request.getfixturevalue("store")
    )


def derive_key(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:32]


_DEFAULTS: dict[str, dict[str, Any]] = {
    "train": {"model": "student", "dataset": "source", "training": {}},
    "evaluate": {"checkpoint": "0" * 32, "dataset": "test"},
    "benchmark": {"checkpoint": "0" * 32, "dataset": "test"},
    "stream": {
        "checkpoint": "0" * 32,
        "stream": {"kind": "continual", "domains": [{"dataset": "fog"}, {"dataset": "night"}]},
    },
    "search": {"checkpoint": "0" * 32},
}


def build_task(
    stage: str,
    kind: str = "evaluate",
    *,
    point: Mapping[str, Any] | None = None,
    needs: Task | None = None,
    label: str | None = None,
    fingerprint: str = "bytes-1",
    **settings: Any,
) -> Task:
    raw = _DEFAULTS[kind] | {"kind": kind} | ({"checkpoint": needs.key} if needs is not None else {}) | settings
    validated = STAGES[kind].model_validate(raw)
    names = {"source": "gta", "synthetic": "synthia", "test": "cityscapes", "fog": "acdc", "night": "acdc"}
    stream = {"stream": raw.get("stream"), "search": raw.get("search", {}).get("stream")}.get(kind)
    used = [domain["dataset"] for domain in stream["domains"]] if stream is not None else [raw["dataset"]]
    used += raw.get("shifts", ())
    datasets = {
        name: BoundDataset(DatasetSettings(type=names.get(name, "cityscapes"), split="val"), fingerprint)
        for name in used
    }
    return Task(
        key=derive_key(f"{stage} {kind} {sorted((point or {}).items(), key=str)} {fingerprint} {settings}"),
        stage=stage,
        kind=kind,
        point=point or {},
        settings=validated,
        datasets=datasets,
        inputs={"checkpoint": needs.key} if needs is not None else {},
        resources=validated.resources,
        label=label or stage,
    )


@pytest.fixture
def make_task() -> Callable[..., Task]:
    """Make a task of a kind by hand; further keywords are settings of its stage."""
    return build_task


@pytest.fixture
def make_graph() -> Callable[..., Graph]:
    """Make a graph of tasks by hand."""

    def make(*tasks: Task, needs: Sequence[str] = (), gap: GapSettings | None = None) -> Graph:
        boards = {"leaderboard": LeaderboardStage(kind="leaderboard", needs=tuple(needs), gap=gap)} if needs else {}
        return Graph("byhand", "full", "A question", {task.key: task for task in tasks}, tasks, boards)

    return make


@pytest.fixture
def make_record() -> Callable[..., Record]:
    """Make the record of a task by hand: `cells` is name -> (axes, confusion)."""

    def make(
        task: Task,
        cells: Mapping[str, tuple[Mapping[str, str | int], Confusion | None]] | None = None,
        *,
        failure: str | None = None,
        **fields: Any,
    ) -> Record:
        made = tuple(
            Cell(name=name, axes=dict(axes), frames=1, confusion=confusion)
            for name, (axes, confusion) in (cells or {}).items()
        )
        return Record(
            **{
                "key": task.key,
                "status": "failed" if failure else "done",
                "experiment": "byhand",
                "profile": "full",
                "stage": task.stage,
                "label": task.label,
                "kind": task.kind,
                "code_version": 1,
                "point": dict(task.point),
                "settings": task.settings.model_dump(mode="json"),
                "chosen": {},
                "datasets": {},
                "inputs": dict(task.inputs),
                "network": Network(
                    architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None
                ),
                "classes": ("road", "traffic light"),
                "cells": made,
                "started_at": "2026-01-01T00:00:00+00:00",
                "seconds": 1.5,
                "failure": Failure(kind="ValueError", message=failure, traceback="...") if failure else None,
                **fields,
            }
        )

    return make


@pytest.fixture
def assign() -> Callable[[Task], Assignment]:
    """Make the assignment of a task that needs no data."""
    return lambda task: Assignment(task, "byhand", "full", {}, {})


@pytest.fixture
def make_plan() -> Callable[[Graph], Any]:
    """Make a stand-in for a plan of a graph by hand, whose data and weights are nowhere."""

    def make(graph: Graph) -> Any:
        facts = SimpleNamespace(
            find_root=lambda name: None, find_weights=lambda name: None, miniature_root=None, problems=[]
        )
        return SimpleNamespace(graph=graph, facts=facts, cache=None)

    return make


@pytest.fixture
def tiny() -> Path:
    """The experiment file of a sweep of eight tasks that takes seconds."""
    return TINY


def child_environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in VARIABLES} | {"OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture
def start_segshift() -> Callable[..., subprocess.Popen[str]]:
    """Start the command line in a process of its own."""

    def start(*arguments: str | Path) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "orchestrator.cli.main", *map(str, arguments)]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=child_environment()
        )

    return start


def sweep(store: Path | str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "orchestrator.cli.main", "sweep", str(TINY), *arguments]
    return subprocess.run(
        [*command, "--no-servers", "--store", str(store), "--cpus", "2"],
        capture_output=True,
        text=True,
        env=child_environment(),
        timeout=550,  # for a machine that is busy with other work: workers of Ray are nice
    )


@pytest.fixture
def run_sweep() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Sweep the tiny experiment into a store, in a process of its own, on two cores."""
    return sweep


@pytest.fixture(scope="session")
def finished_sweep(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The store of an undisturbed tiny sweep, mirrored to its own MLflow, and how the command ended. Read only."""
    root = tmp_path_factory.mktemp("finished") / "store"
    return root, sweep(root)


@pytest.fixture
def finished_store(finished_sweep: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy, to be changed, of the store of a finished tiny sweep, with the times of its files."""
    return Path(shutil.copytree(finished_sweep[0], tmp_path / "copy"))


@pytest.fixture(scope="session")
def empty_mlflow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a store with an MLflow database without runs, to be copied: making one takes seconds."""
    store = Store(tmp_path_factory.mktemp("mlflow") / "store")
    store.check_writable()
    mlflow_server.ready_tracking(mlflow_server.default_uri(store), store)
    return store.root


@pytest.fixture(scope="session")
def mirrored(empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Plan, list[Record]]:
    """A store with a record by hand of every task of the tiny experiment, mirrored to its own MLflow. Read only."""
    from tests.orchestrator.filled_store import (
        fill_store,
        plan_tiny,
        rebuild_all,
    )  # here: drivers of tests load this file alone

    store = Store(Path(shutil.copytree(empty_mlflow, tmp_path_factory.mktemp("mirrored") / "store")))
    plan = plan_tiny(TINY, store)
    records = fill_store(plan, store)
    rebuild_all(store)
    return store, plan, records


@pytest.fixture
def mlflow_store(empty_mlflow: Path, tmp_path: Path) -> Store:
    """A store with an MLflow database without runs."""
    return Store(Path(shutil.copytree(empty_mlflow, tmp_path / "with_mlflow")))
