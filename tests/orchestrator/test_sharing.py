"""Several drivers on one store at once, as real processes: every key is computed once, and all end with all records."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.bucket import Bucket
from orchestrator.store import Store, open_store

DEADLINE_S = 300
BOARD = "leaderboards/tiny-full/leaderboard.json"

# Runs every task of a chain of layers, in an order of its own, by the project's own `execute`; the stage notes that it ran.
DRIVER = """
import random, sys, time
from pathlib import Path
from experiments.workspace import parse_place
from orchestrator import execute as module, object_lease
from orchestrator.stages.stage import StageResult
from orchestrator.record import Network
from orchestrator.store import Store
sys.path.insert(0, sys.argv[4])
from conftest import build_task

object_lease.POLL_S = 0.1
place, log, seed = parse_place(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
store = Store(place)

def stage(task, context):
    with log.open("a") as file: file.write(f"{task.key}\\n")
    time.sleep(0.05)
    (context.folder / "checkpoint.pth").write_text(task.key)
    for folder in context.inputs.values():
        assert (folder / "checkpoint.pth").read_text() == folder.name
    network = Network(architecture="Toy", parameters=7, checkpoint_sha256=None, trained_by=None, weights=None)
    return StageResult(network=network)

from functools import partial
run = partial(module.attempt, stage=stage)
trained = [build_task("train", "train", seed=index) for index in range(6)]
scored = [build_task(f"clean{index}", needs=task) for index, task in enumerate(trained)]
for layer in (trained, scored):
    random.Random(seed).shuffle(layer)
    for task in layer:
        record = module.execute(module.Assignment(task, "byhand", "full", {}, {}), store, lambda *a: None, run)
        assert record.status == "done", record.failure.traceback
print(len(store.list_done()), flush=True)
"""


def start_driver(place: str | Path, log: Path, seed: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DRIVER, str(place), str(log), str(seed), str(Path(__file__).parent)]
    environment = os.environ | {"SEGSHIFT_LOCAL": str(log.parent / f"machine-{seed}"), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def test_drivers_at_once_compute_every_key_once(any_store: Store, tmp_path: Path) -> None:
    """Of a bucket each is a machine of its own, with its own working place."""
    log = tmp_path / "executions"
    drivers = [start_driver(any_store.place, log, seed) for seed in range(2)]
    for driver in drivers:
        out, err = driver.communicate(timeout=DEADLINE_S)
        assert driver.returncode == 0, err
        assert out.strip() == "12"
    executions = log.read_text().split()
    assert len(executions) == len(set(executions)) == 12
    done = open_store(any_store.place)
    assert done.list_done() == set(executions)
    assert all(done.read(key).status == "done" for key in executions)
    assert all(done.check_file(key, "checkpoint.pth") is None for key in executions)
    assert not any(done.is_held(key) for key in executions)


def test_a_driver_that_is_killed_leaves_the_others_all_they_need(any_store: Store, tmp_path: Path) -> None:
    log = tmp_path / "executions"
    first = start_driver(any_store.place, log, 1)
    deadline = time.monotonic() + DEADLINE_S
    while not log.exists() or len(log.read_text().split()) < 3:
        assert first.poll() is None, first.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
    before = open_store(any_store.place).list_done()
    out, err = start_driver(any_store.place, log, 2).communicate(timeout=DEADLINE_S)
    assert out.strip() == "12", err
    executions = log.read_text().split()
    assert all(executions.count(key) == 1 for key in before), "what was finished was done again"
    assert len(set(executions)) == 12


def read_scores(text: str) -> dict[str, Any]:
    """Read a leaderboard without what a machine's load moves."""
    board = json.loads(text)
    for table in board["tables"]:
        for row in table["rows"]:
            for column in ("frames/s", "peak memory (GB)", "peak GPU memory (GB)"):
                row["scores"].pop(column, None)
            row["provenance"] |= {"started_at": None, "seconds": None}
    return board


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_into_a_bucket_goes_on_where_nothing_is_left_of_the_machine(
    bucket_uri: str, run_sweep: Callable[..., Any], finished_sweep: tuple[Path, Any], tmp_path: Path, segshift_in: Any
) -> None:
    first = run_sweep(bucket_uri, "--no-mlflow")
    assert first.returncode == 0, first.stdout + first.stderr
    assert "8 tasks executed, 0 cached." in first.stdout
    board = open_store(bucket_uri).read_note(BOARD)
    assert board is not None
    assert read_scores(board) == read_scores((finished_sweep[0] / BOARD).read_text()), "another result than in a folder"
    for spent in ("leases", "work", "failures"):
        assert list(Bucket(bucket_uri).list(spent)) == []

    shutil.rmtree(tmp_path / "local")
    (key, *_) = (key for key in sorted(store_kinds(bucket_uri)) if store_kinds(bucket_uri)[key] == "benchmark")
    assert Store(bucket_uri).remove(key)
    shutil.rmtree(tmp_path / "local", ignore_errors=True)
    second = run_sweep(bucket_uri, "--no-mlflow")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "1 tasks executed, 7 cached." in second.stdout, "its input was trained again"
    shutil.rmtree(tmp_path / "local")
    third = run_sweep(bucket_uri, "--no-mlflow")
    assert "All 8 tasks are in the store already: nothing to run." in third.stdout, third.stderr
    again = open_store(bucket_uri).read_note(BOARD)
    assert again is not None
    assert read_scores(again) == read_scores(board)
    for command in ("status", "leaderboard"):
        shutil.rmtree(tmp_path / "local", ignore_errors=True)
        done = segshift_in(command, bucket_uri)
        assert done.returncode == 0, done.stdout + done.stderr


def store_kinds(place: str) -> dict[str, str]:
    store = open_store(place)
    return {key: store.read(key).kind for key in store.list_done()}


@pytest.fixture
def segshift_in(tiny: Path, start_segshift: Callable[..., subprocess.Popen[str]]) -> Callable[..., Any]:
    """Run a command on the tiny experiment and a store, to its end."""

    def run(command: str, store: str | Path) -> subprocess.CompletedProcess[str]:
        process = start_segshift(command, tiny, "--store", store)
        out, err = process.communicate(timeout=DEADLINE_S)
        return subprocess.CompletedProcess([], process.returncode, out, err)

    return run


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_sweeps_at_once_end_with_one_leaderboard(
    any_store: Store,
    start_segshift: Callable[..., subprocess.Popen[str]],
    tiny: Path,
) -> None:
    arguments = ("sweep", tiny, "--no-servers", "--no-mlflow", "--store", any_store.place, "--cpus", "2")
    sweeps = [start_segshift(*arguments)]
    deadline = time.monotonic() + DEADLINE_S
    while not any_store.list_held():  # two clusters that start at once on a busy machine take longer than Ray waits
        assert sweeps[0].poll() is None, sweeps[0].communicate()
        assert time.monotonic() < deadline
        time.sleep(0.1)
    sweeps.append(start_segshift(*arguments))
    executed = 0
    for sweep in sweeps:
        out, err = sweep.communicate(timeout=800)
        assert sweep.returncode == 0, out + err
        counts = re.findall(r"(\d+) tasks executed, (\d+) cached", out)
        executed += int(counts[0][0]) if counts else 0
    assert executed >= 8, "a task that both waited for counts for both"
    assert len(any_store.list_done()) == 8
    assert any_store.list_leftovers() == []
