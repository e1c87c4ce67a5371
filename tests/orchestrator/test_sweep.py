"""From the command to the leaderboard, on real tiny networks: once, again, interrupted, killed, and with a task that fails.

Every sweep is a process of its own with its own Ray. The undisturbed one is shared; half of the others are `slow`.
"""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.mlflow_run import list_points
from orchestrator.record import Record, read_record
from orchestrator.scoring import score_record

pytestmark = pytest.mark.timeout(600)

BOARD = Path("leaderboards") / "tiny-full"
DEADLINE_S = 200

Sweep = Callable[..., subprocess.CompletedProcess[str]]


def list_records(store: Path) -> dict[str, Record]:
    return {path.parent.name: read_record(path) for path in (store / "tasks").glob("*/record.json")}


def list_times(store: Path) -> dict[str, int]:
    return {path.parent.name: path.stat().st_mtime_ns for path in (store / "tasks").glob("*/record.json")}


def check(done: subprocess.CompletedProcess[str], code: int) -> str:
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def start(store: Path, start_segshift, tiny: Path) -> subprocess.Popen[str]:
    return start_segshift("sweep", tiny, "--no-servers", "--no-mlflow", "--store", store, "--cpus", "2")


def wait_for_records(store: Path, count: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while len(list_times(store)) < count:
        assert process.poll() is None, "the sweep ended before it was disturbed"
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_sweep_runs_to_its_leaderboard(finished_sweep) -> None:
    store, done = finished_sweep
    text = check(done, 0)
    assert "8 tasks executed, 0 cached." in text
    assert "MINIATURE DATA" in text
    records = list_records(store)
    assert len(records) == 8
    assert all(record.status == "done" for record in records.values())
    for name in ("leaderboard.md", "leaderboard.csv", "leaderboard.json"):
        assert str(store / BOARD / name) in text
        assert (store / BOARD / name).stat().st_size > 100
    assert not list((store / "tasks").glob("*/lease.json"))
    assert not list((store / "tasks").glob("*/work"))


def test_the_leaderboard_says_what_the_records_say(finished_sweep) -> None:
    store, _ = finished_sweep
    records = list_records(store)
    board = json.loads((store / BOARD / "leaderboard.json").read_text())
    assert [table["title"] for table in board["tables"]] == [
        "Clean: cityscapes val",
        "Test-time stream (continual): fog, night",
        "Corruptions (quick): cityscapes val",
    ]
    assert [len(table["rows"]) for table in board["tables"]] == [2, 3, 1]
    main = {"mIoU": "miou", "mean mIoU": "mean_miou", "mPC": "mpc"}
    for table in board["tables"]:
        column = table["columns"][0]
        for row in table["rows"]:
            (key,) = row["keys"]
            assert row["scores"][column]["mean"] == score_record(records[key])[main[column]]
            assert row["rank"] is not None
    lines = list(csv.DictReader((store / BOARD / "leaderboard.csv").open()))
    assert {line["table"] for line in lines} == {table["title"] for table in board["tables"]}


def test_pixels_are_counted_once_each(finished_sweep) -> None:
    """Two frames of 64 x 32, less what is ignored; under corruption the same labels, so the same count."""
    records = list_records(finished_sweep[0])
    (benchmark,) = [r for r in records.values() if r.kind == "benchmark"]
    cleans = [r for r in records.values() if r.kind == "evaluate"]
    totals = {sum(map(sum, cell.confusion or ())) for r in (benchmark, *cleans) for cell in r.cells}
    assert len(totals) == 1
    assert 0 < totals.pop() <= 2 * 64 * 32
    assert len(benchmark.cells) == 1 + 6
    assert len({cell.confusion for cell in benchmark.cells}) > 1, "the corruptions change nothing"


def test_the_sweep_is_mirrored(finished_sweep) -> None:
    from mlflow import MlflowClient

    store, _ = finished_sweep
    client = MlflowClient(tracking_uri=f"sqlite:///{store / 'mlflow' / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("segshift/tiny").experiment_id])
    children = {run.data.tags["segshift.task_key"]: run for run in runs if "segshift.task_key" in run.data.tags}
    (parent,) = [run for run in runs if "segshift.task_key" not in run.data.tags]
    records = list_records(store)
    assert set(children) == set(records)
    assert {run.info.status for run in (*children.values(), parent)} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children.values()} == {parent.info.run_id}
    for key, record in records.items():
        for point in list_points(record):
            points = client.get_metric_history(children[key].info.run_id, point.metric)
            assert [each.value for each in points if each.step == point.step] == [point.value]
    names = {run.info.run_name for run in children.values()}
    assert {"daformer · tiny/clean · seed 0", "source_only + tent(lr=0.01) · tiny/weather · seed 0"} <= names
    registered = client.get_registered_model("segshift.tiny")
    assert set(registered.aliases) == {"best", "baseline"}
    assert "plan.json" in {artifact.path for artifact in client.list_artifacts(parent.info.run_id)}
    (train,) = [key for key, record in records.items() if record.kind == "train"]
    history = client.get_metric_history(children[train].info.run_id, "live/loss")
    assert [metric.step for metric in history] == [10, 20, 30, 40]


def test_the_sweep_leaves_a_note_of_how_it_ended(finished_sweep) -> None:
    store, _ = finished_sweep
    note = json.loads((store / "sweeps" / "tiny-full.json").read_text())
    records = list_records(store)
    assert (note["ended"], note["experiment"], note["variant"]) == ("complete", "tiny", "full")
    assert {key: (task["status"], task["stage"]) for key, task in note["tasks"].items()} == {
        key: ("done", record.stage) for key, record in records.items()
    }
    assert note["driver"]["resources"]["CPU"] == 2


def test_again_nothing_is_executed(finished_store: Path, run_sweep: Sweep) -> None:
    before, board = list_times(finished_store), (finished_store / BOARD / "leaderboard.json").read_bytes()
    text = check(run_sweep(finished_store), 0)
    assert "All 8 tasks are in the store already: nothing to run." in text
    assert "0 tasks executed, 8 cached." in text
    assert list_times(finished_store) == before
    assert (finished_store / BOARD / "leaderboard.json").read_bytes() == board


def test_with_everything_cached_an_mlflow_outage_harms_nothing(
    finished_store: Path, start_segshift, tiny: Path
) -> None:
    (finished_store.parent / "segshift.yaml").write_text("tracking_uri: http://127.0.0.1:9\n")
    process = start_segshift("sweep", tiny, "--no-servers", "--store", finished_store)
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, out + err
    assert "0 tasks executed, 8 cached." in out
    assert "the MLflow server at http://127.0.0.1:9 does not answer" in out


def test_status_and_leaderboard_read_a_finished_store(finished_store: Path, start_segshift, tiny: Path) -> None:
    for arguments, wanted in (
        (["status"], r"tiny +full +corruption +1 "),
        (["status", tiny], r"done +source_only\[seed=0\]"),
        (["leaderboard", tiny, "--form", "csv"], r"tiny,full,Clean: cityscapes val,1,"),
        (["plan", tiny], r"8 tasks: 8 cached, 0 to run"),
    ):
        process = start_segshift(*arguments, "--store", finished_store)
        out, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == 0, err
        assert re.search(wanted, out), out


@pytest.mark.slow
def test_a_damaged_checkpoint_is_noticed_and_mended_by_the_remedy(finished_store: Path, run_sweep: Sweep) -> None:
    records = list_records(finished_store)
    board = (finished_store / BOARD / "leaderboard.json").read_bytes()
    (source,) = [key for key, record in records.items() if record.kind == "train"]
    (benchmark,) = [key for key, record in records.items() if record.kind == "benchmark"]
    tasks = finished_store / "tasks"
    shutil.rmtree(tasks / benchmark)
    checkpoint = tasks / source / "checkpoint.pth"
    checkpoint.write_bytes(checkpoint.read_bytes()[:-1] + b"?")
    text = check(run_sweep(finished_store, "--no-mlflow"), 1)
    assert "0 tasks executed, 7 cached, 1 failed, 0 skipped" in text
    assert f"Remove the folder {tasks / source}" in text
    shutil.rmtree(tasks / source)
    text = check(run_sweep(finished_store, "--no-mlflow"), 0)
    assert "2 tasks executed, 6 cached." in text
    assert (finished_store / BOARD / "leaderboard.json").read_bytes() == board


@pytest.mark.slow
def test_a_killed_sweep_goes_on_to_the_same_result(
    finished_sweep, tmp_path: Path, start_segshift, run_sweep: Sweep, tiny: Path
) -> None:
    undisturbed, _ = finished_sweep
    store = tmp_path / "store"
    shutil.copytree(undisturbed / "miniature", store / "miniature")
    process = start(store, start_segshift, tiny)
    wait_for_records(store, 2, process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = list_times(store)
    text = check(run_sweep(store, "--no-mlflow"), 0)
    after = list_times(store)
    assert {key: after[key] for key in before} == before, "what was finished was done again"
    executed, cached = map(int, re.findall(r"(\d+) tasks executed, (\d+) cached", text)[0])
    assert executed + cached == 8
    assert cached >= 2
    assert read_scores(store) == read_scores(undisturbed)


def read_scores(store: Path) -> dict[str, Any]:
    """Read a leaderboard without what a machine's load moves."""
    board = json.loads((store / BOARD / "leaderboard.json").read_text())
    rows = [row for table in board["tables"] for row in table["rows"]]
    assert rows
    for row in rows:
        for column in ("frames/s", "peak memory (GB)", "peak GPU memory (GB)"):
            row["scores"].pop(column, None)
        row["provenance"] |= {"started_at": None, "seconds": None}
    return board


def stop(number: signal.Signals, process: subprocess.Popen[str]) -> None:
    """Send a signal to a running sweep and check that it ends by it, with its parting word."""
    os.kill(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    assert "stopped. What is finished is kept; the same command goes on from there." in err
    assert "Traceback" not in err


@pytest.mark.slow
def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(
    finished_sweep, tmp_path: Path, start_segshift, run_sweep: Sweep, tiny: Path
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished_sweep[0] / "miniature", store / "miniature")
    process = start(store, start_segshift, tiny)
    wait_for_records(store, 1, process)
    stop(signal.SIGINT, process)
    before = list_times(store)
    check(run_sweep(store, "--no-mlflow"), 0)
    after = list_times(store)
    assert {key: after[key] for key in before} == before
    assert len(after) == 8


@pytest.mark.slow
def test_sigterm_stops_it_as_ctrl_c_does(finished_store: Path, start_segshift, tiny: Path) -> None:
    (train,) = [key for key, record in list_records(finished_store).items() if record.kind == "train"]
    shutil.rmtree(finished_store / "tasks" / train)
    process = start(finished_store, start_segshift, tiny)
    deadline = time.monotonic() + DEADLINE_S
    while not (finished_store / "tasks" / train / "lease.json").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    stop(signal.SIGTERM, process)
    assert not (finished_store / "tasks" / train / "record.json").exists()


@pytest.mark.slow
def test_a_loss_that_is_not_finite_fails_its_task_alone(finished_store: Path, run_sweep: Sweep) -> None:
    """Only the adapted network diverges; the source-only one and what needs it are cached."""
    override = "stages.daformer.training.optimizer={type: sgd, lr: 1.0e+38, head_lr_multiplier: 1}"
    records = list_records(finished_store)
    (benchmark,) = [key for key, record in records.items() if record.kind == "benchmark"]
    shutil.rmtree(finished_store / "tasks" / benchmark)  # something independent is left to do
    text = check(run_sweep(finished_store, override, "--no-mlflow"), 1)
    assert "1 tasks executed, 5 cached, 1 failed, 1 skipped" in text
    assert re.search(r"daformer\[seed=0\]: Training stopped at iteration \d+ of 20: loss is (nan|inf)", text), text
    assert "needs daformer[seed=0], which has no result" in text
    assert (finished_store / "tasks" / benchmark / "record.json").exists()
    (changed,) = (finished_store / "leaderboards").glob("*+*/leaderboard.json")  # a run with overrides has its own
    board = json.loads(changed.read_text())
    assert board["overrides"] == [override]
    assert [(row["method"], row["rank"], row["reason"]) for row in board["tables"][0]["rows"]] == [
        ("source_only", 1, None),
        ("daformer", None, "1 of 1 runs have no result"),
    ]
