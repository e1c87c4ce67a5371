"""The mirror in a real MLflow on sqlite: runs, tags, metrics, artifacts; nothing twice, and nothing that fails for good."""

from __future__ import annotations

import math
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from adapt.errors import PrerequisiteError
from orchestrator import mlflow_server
from orchestrator.mlflow_connection import search_runs
from orchestrator.mlflow_mirror import PARENT_TAG, MlflowMirror
from orchestrator.mlflow_models import KEY_TAG
from orchestrator.record import read_record
from orchestrator.store import Store

GOOD = ((3, 1), (1, 3))  # mIoU 0.6
NOTHING = ((5, 0), (0, 0))  # the second class occurs nowhere


@pytest.fixture(scope="module")
def database(empty_mlflow: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store with an MLflow database."""
    return Store(Path(shutil.copytree(empty_mlflow, tmp_path_factory.mktemp("mirror") / "store")))


@pytest.fixture
def experiment(request: pytest.FixtureRequest) -> str:
    return str(request.node.name)


@pytest.fixture
def make_mirror(database: Store, experiment: str) -> Callable[[], MlflowMirror]:
    def make() -> MlflowMirror:
        uri, artifacts = mlflow_server.default_uri(database), mlflow_server.artifact_root(database)
        return MlflowMirror(uri, experiment, "mini", artifacts)

    return make


@pytest.fixture
def client(database: Store) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_server.default_uri(database))


@pytest.fixture
def list_runs(client: MlflowClient, experiment: str) -> Callable[[], tuple[list[Run], list[Run]]]:
    """Return (parents, children) of the test's experiment."""

    def list_all() -> tuple[list[Run], list[Run]]:
        found = client.get_experiment_by_name(f"segshift/{experiment}")
        runs = search_runs(client, found.experiment_id, "")
        return [r for r in runs if KEY_TAG not in r.data.tags], [r for r in runs if KEY_TAG in r.data.tags]

    return list_all


def test_a_finished_task_is_a_child_run_with_scores_parameters_and_its_record(
    make_mirror, list_runs, client, experiment, make_task, make_record, tmp_path: Path
) -> None:
    task = make_task("clean", point={"seed": 2, "trained": {"name": "daformer", "ema": 0.9}}, limit=7)
    record = make_record(task, {"clean": ({}, NOTHING)}, metrics={"frames_per_second": 12.5, "never": None})
    make_mirror().finish(record)
    (parent,), (run,) = list_runs()
    assert run.info.run_name == f"clean · {experiment}/clean · trained daformer(ema=0.9) · seed 2"
    assert (run.info.start_time, run.info.end_time) == (1767225600000, 1767225601500)
    assert run.info.status == "FINISHED"
    assert run.data.tags[PARENT_TAG] == parent.info.run_id
    assert parent.data.tags["segshift.profile"] == "mini"
    assert run.data.tags[KEY_TAG] == task.key
    assert run.data.tags["segshift.status"] == "done"
    assert run.data.metrics == {"miou": 1.0, "iou/road": 1.0, "frames_per_second": 12.5, "seconds": 1.5}
    missing = {name for name in run.data.tags if name.startswith("segshift.missing/")}
    assert missing == {"segshift.missing/iou/traffic light", "segshift.missing/never"}
    assert run.data.params["limit"] == "7"
    assert run.data.params["point.seed"] == "2"
    assert run.data.params["point.trained.ema"] == "0.9"
    file = client.download_artifacts(run.info.run_id, "record.json", str(tmp_path))
    assert read_record(Path(file)) == record


def test_a_tuned_method_is_shown_as_it_ran(make_mirror, list_runs, make_task, make_record) -> None:
    record = make_record(make_task("clean", limit=7), {"clean": ({}, NOTHING)})
    asked = record.settings | {"method": {"name": "tent", "lr": 7.5e-6}}
    ran = {"name": "tent", "settings": {"name": "tent", "lr": 1e-4}}
    make_mirror().finish(record.model_copy(update={"settings": asked, "method": ran}))
    _, (run,) = list_runs()
    assert run.data.params["method.lr"] == "0.0001"


def test_a_failed_task_is_a_failed_run_with_its_reason(make_mirror, list_runs, make_task, make_record) -> None:
    make_mirror().finish(make_record(make_task("clean"), failure="loss is nan at step 3"))
    _, (run,) = list_runs()
    assert run.info.status == "FAILED"
    assert run.data.tags["segshift.failure"] == "loss is nan at step 3"
    assert run.data.tags["segshift.status"] == "failed"


def test_live_scalars_keep_step_and_time_and_leave_out_what_is_not_finite(
    make_mirror, list_runs, client, make_task
) -> None:
    task = make_task("source_only", "train")
    steps = [(1000 + i, i, {"loss": 1.0 / i, "odd": math.nan}) for i in (1, 2, 3)]
    make_mirror().log_steps(task.key, "source_only", steps)
    _, (run,) = list_runs()
    assert run.info.status == "RUNNING"
    history = client.get_metric_history(run.info.run_id, "live/loss")
    assert [(m.timestamp, m.step, m.value) for m in history] == [(1001, 1, 1.0), (1002, 2, 0.5), (1003, 3, 1 / 3)]
    assert client.get_metric_history(run.info.run_id, "live/odd") == []


def test_more_steps_than_one_call_takes_all_arrive(make_mirror, list_runs, client, make_task) -> None:
    task = make_task("source_only", "train")
    make_mirror().log_steps(task.key, "source_only", [(i, i, {"loss": float(i)}) for i in range(1203)])
    _, (run,) = list_runs()
    assert len(client.get_metric_history(run.info.run_id, "live/loss")) == 1203


def test_a_second_mirror_finds_the_runs_of_the_first(make_mirror, list_runs, make_task, make_record) -> None:
    task, other = make_task("clean"), make_task("clean", limit=1)
    first = make_mirror()
    first.log_steps(task.key, "clean", [(1, 1, {"loss": 1.0})])
    second = make_mirror()
    second.finish(make_record(task, {"clean": ({}, GOOD)}))
    second.finish(make_record(other, {"clean": ({}, GOOD)}))
    make_mirror().finish(make_record(other, {"clean": ({}, GOOD)}))
    parents, children = list_runs()
    assert len(parents) == 1
    assert sorted(run.data.tags[KEY_TAG] for run in children) == sorted([task.key, other.key])
    (run,) = [run for run in children if run.data.tags[KEY_TAG] == task.key]
    assert run.data.metrics["live/loss"] == 1.0
    assert run.data.metrics["miou"] == pytest.approx(0.6)


def test_a_task_that_failed_and_then_succeeded_is_one_finished_run(
    make_mirror, list_runs, make_task, make_record
) -> None:
    task = make_task("clean")
    make_mirror().finish(make_record(task, failure="no luck"))
    make_mirror().finish(make_record(task, {"clean": ({}, GOOD)}, point={"seed": 1}))
    _, (run,) = list_runs()
    assert run.info.status == "FINISHED"
    assert run.data.tags["segshift.status"] == "done"
    assert run.data.metrics["miou"] == pytest.approx(0.6)
    assert "segshift.failure" not in run.data.tags


def test_long_settings_are_cut_and_many_arrive(make_mirror, list_runs, make_task, make_record) -> None:
    settings: dict[str, Any] = {"long": "x" * 7000} | {f"k{i}": i for i in range(150)}
    make_mirror().finish(make_record(make_task("clean"), {"clean": ({}, GOOD)}, settings=settings))
    _, (run,) = list_runs()
    assert run.data.params["long"] == "x" * 500
    assert run.data.params["k149"] == "149"


def test_pictures_are_artifacts_and_never_sent_twice(
    make_mirror, list_runs, client, make_task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    log_artifact = MlflowClient.log_artifact

    def count(self: MlflowClient, run: str, file: str, folder: str) -> None:
        sent.append(Path(file).name)
        log_artifact(self, run, file, folder)

    monkeypatch.setattr(MlflowClient, "log_artifact", count)
    task = make_task("source_only", "train")
    files = [tmp_path / f"iteration_{i}.png" for i in (10, 20, 30)]
    for file in files:
        file.write_bytes(file.name.encode())
    first = make_mirror()
    first.log_pictures(task.key, "source_only", [])
    assert list_runs()[1] == [], "a run was opened for nothing"
    first.log_pictures(task.key, "source_only", files[:1])
    first.log_pictures(task.key, "source_only", files[:2])
    make_mirror().log_pictures(task.key, "source_only", files)  # the next sweep
    assert sent == [file.name for file in files]
    _, (run,) = list_runs()
    kept = [artifact.path for artifact in client.list_artifacts(run.info.run_id, "pictures")]
    assert kept == [f"pictures/{file.name}" for file in files]


def test_the_parent_ends_with_the_sweep(make_mirror, list_runs) -> None:
    mirror = make_mirror()
    assert list_runs()[0][0].info.status == "RUNNING"
    mirror.finish_parent("FAILED")
    assert list_runs()[0][0].info.status == "FAILED"


# The server and the database


@pytest.fixture
def closed_port() -> int:
    return mlflow_server.find_free_port(52300)


def test_a_server_that_does_not_answer_is_refused_with_what_to_do(closed_port: int, store: Store) -> None:
    with pytest.raises(PrerequisiteError, match=r"does not answer .*Connection refused.*--no-mlflow"):
        mlflow_server.ready_tracking(f"http://127.0.0.1:{closed_port}", store)


def test_a_mirror_of_a_server_that_is_away_says_so(closed_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(PrerequisiteError, match="does not answer"):
        MlflowMirror(f"http://127.0.0.1:{closed_port}", "e", "mini", None)


def test_a_database_that_cannot_be_made_is_refused_with_what_to_do(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        assert command[1:5] == ["-m", "mlflow", "db", "upgrade"]
        return subprocess.CompletedProcess(command, 1, "", "Traceback ...\ndisk I/O error\n")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(
        PrerequisiteError,
        match=r"could not make its database .*: disk I/O error\. Take another store, or .* --no-mlflow",
    ):
        mlflow_server.ready_tracking(mlflow_server.default_uri(store), store)
    assert not (store.root / "mlflow" / "mlflow.db").exists()


def test_a_database_that_is_there_is_left_alone(database: Store) -> None:
    file = database.root / "mlflow" / "mlflow.db"
    before = file.stat().st_mtime_ns
    mlflow_server.ready_tracking(mlflow_server.default_uri(database), database)
    assert file.stat().st_mtime_ns == before
    assert not list(file.parent.glob("*draft*"))


def test_a_taken_port_is_passed_over(closed_port: int) -> None:
    with socket.socket() as taken:
        taken.bind((mlflow_server.HOST, closed_port))
        taken.listen()
        assert mlflow_server.find_free_port(closed_port) > closed_port


def test_a_server_in_the_foreground_ends_with_its_children_on_sigterm(
    database: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "child"
    command = f"sleep 1000 & echo $! > {file}.draft; mv {file}.draft {file}; wait"
    monkeypatch.setattr(mlflow_server, "server_command", lambda store, port: ["sh", "-c", command])

    def interrupt(number: int, frame: Any) -> None:  # as the command line takes SIGTERM
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)

    def terminate() -> None:
        while not file.exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=terminate, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        mlflow_server.serve(database, 1)
    child = int(file.read_text())
    for _ in range(600):
        if not is_alive(child):
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    pytest.fail("the server's child runs on")


def is_alive(process: int) -> bool:
    """Say whether a process runs; one that ended may wait to be reaped."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.slow
def test_the_background_server_answers_and_ends_with_its_body(database: Store) -> None:
    with mlflow_server.background_server(database) as address:
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
                    assert answer.status == 200
                    break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail((database.root / "mlflow" / "server.log").read_text())
        mlflow_server.ready_tracking(address, database)
    with pytest.raises(PrerequisiteError):
        mlflow_server.ready_tracking(address, database)


def test_telemetry_is_off(make_mirror) -> None:
    make_mirror()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


TRIALS = [
    {
        "point": {"lr": 0.1},
        "status": "done",
        "score": 0.4,
        "seconds": 3.0,
        "reason": None,
        "curve": [[10, 0.2], [20, 0.4]],
    },
    {"point": {"lr": 0.2}, "status": "pruned", "score": 0.1, "seconds": 1.0, "reason": "asha", "curve": [[10, 0.1]]},
    {
        "point": {"method": {"name": "b"}},
        "status": "failed",
        "score": None,
        "seconds": 0.5,
        "reason": "nan",
        "curve": [],
    },
]


def test_trials_are_runs_under_the_run_of_their_search(make_mirror, list_runs, client, make_task, make_record) -> None:
    task = make_task("tuned", "train")
    record, mirror = make_record(task), make_mirror()
    mirror.log_steps(task.key, "tuned", [(1000, 0, {"trials": 3.0})])
    mirror.log_steps(f"{task.key}/0001", "lr=0.2", [(1001, 10, {"score": 0.1})])
    mirror.finish(record)
    for number, trial in enumerate(TRIALS):
        mirror.finish_trial(record, number, trial)
    _, runs = list_runs()
    by_key = {run.data.tags[KEY_TAG]: run for run in runs}
    assert set(by_key) == {task.key, *(f"{task.key}/000{number}" for number in range(3))}
    search, *trials = (by_key[key] for key in sorted(by_key))
    assert {run.data.tags[PARENT_TAG] for run in trials} == {search.info.run_id}
    assert [run.info.status for run in trials] == ["FINISHED", "KILLED", "FAILED"]
    assert [run.data.tags["segshift.status"] for run in trials] == ["done", "pruned", "failed"]
    assert [run.info.run_name for run in trials] == ["lr=0.1", "lr=0.2", "method=b"]
    assert [run.data.params for run in trials] == [{"lr": "0.1"}, {"lr": "0.2"}, {"method.name": "b"}]
    assert [run.data.metrics.get("score") for run in trials] == [0.4, 0.1, None]
    assert trials[2].data.tags["segshift.reason"] == "nan"
    curve = client.get_metric_history(trials[0].info.run_id, "curve")
    assert [(point.step, point.value) for point in curve] == [(10, 0.2), (20, 0.4)]
    assert [point.step for point in client.get_metric_history(trials[1].info.run_id, "live/score")] == [10]


def test_sending_trials_again_adds_nothing(make_mirror, list_runs, client, make_task, make_record) -> None:
    """A mirror that is rebuilt from the records finds the runs that are there."""
    record = make_record(make_task("tuned", "train"))
    for _ in range(2):
        mirror = make_mirror()
        mirror.finish(record)
        mirror.finish_trial(record, 0, TRIALS[0])
    _, runs = list_runs()
    assert len(runs) == 2
    (trial,) = (run for run in runs if run.data.tags["segshift.kind"] == "trial")
    assert len(client.get_metric_history(trial.info.run_id, "curve")) == 2
    assert len(client.get_metric_history(trial.info.run_id, "score")) == 1


def test_a_searched_training_is_shown_with_the_settings_that_it_chose(
    make_mirror, list_runs, make_task, make_record
) -> None:
    record = make_record(make_task("tuned", "train"))
    chosen = record.settings["training"] | {"iterations": 123}
    method = {"point": {"training.iterations": 123}, "trial": 0, "stage": {"training": chosen}}
    make_mirror().finish(record.model_copy(update={"method": method}))
    _, (run,) = list_runs()
    assert run.data.params["training.iterations"] == "123"
    assert run.data.params["dataset"] == "source"


def test_a_live_run_gets_its_name_and_the_rest_when_its_record_comes(
    make_mirror, list_runs, experiment, make_task, make_record
) -> None:
    task, mirror = make_task("clean", point={"seed": 1}), make_mirror()
    mirror.log_steps(task.key, task.name, [(1000, 1, {"odd@name=1": 2.0, "loss": 1.0})])
    _, (run,) = list_runs()
    assert run.info.run_name == "clean[seed=1]"
    assert run.data.metrics == {"live/odd_name_1": 2.0, "live/loss": 1.0}
    mirror.finish(make_record(task, {"clean": ({}, GOOD)}))
    _, (run,) = list_runs()
    assert run.info.run_name == f"clean · {experiment}/clean · seed 1"
    assert run.data.metrics["live/loss"] == 1.0
    assert run.data.metrics["miou"] == pytest.approx(0.6)


def test_names_that_mlflow_refuses_and_many_missing_scores_arrive(
    make_mirror, list_runs, make_task, make_record
) -> None:
    metrics = {f"missing @ {i} = {'x' * 300}": None for i in range(250)} | {"a@b=c": 1.0, "../up": 2.0}
    settings = {"method": {"lr=@": 1, "x" * 400: 2}, "data/../set": {"": 3}}
    record = make_record(make_task("clean"), {"clean": ({}, GOOD)}, metrics=metrics, settings=settings)
    assert make_mirror().finish(record)
    _, (run,) = list_runs()
    assert (run.data.metrics["a_b_c"], run.data.metrics["__/up"]) == (1.0, 2.0)
    assert sum(name.startswith("segshift.missing/missing") for name in run.data.tags) == 250
    assert run.data.params["method.lr__"] == "1"
    assert sorted(run.data.params.values()).count("2") == 1


def test_a_record_that_changed_is_sent_again_and_adds_no_second_point(
    make_mirror, list_runs, client, make_task, make_record
) -> None:
    task = make_task("clean")
    record = make_record(task, {"clean": ({}, GOOD)})
    mirror = make_mirror()
    assert mirror.finish(record)
    assert not mirror.finish(record)
    assert not make_mirror().finish(record), "another process knows it too"
    assert make_mirror().finish(record.model_copy(update={"notes": ("mended",)}))
    _, (run,) = list_runs()
    assert len(client.get_metric_history(run.info.run_id, "miou")) == 1


def test_the_plan_is_kept_with_the_parent_and_sent_once(
    make_mirror, list_runs, client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(2):
        make_mirror().send_plan("the plan")
    (parent,), _ = list_runs()
    file = Path(client.download_artifacts(parent.info.run_id, "plan.json", str(tmp_path)))
    assert file.read_text() == "the plan"
    monkeypatch.setattr(MlflowClient, "log_text", lambda *arguments: pytest.fail("sent again"))
    make_mirror().send_plan("the plan")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_thousand_trials_arrive_once(make_mirror, list_runs, make_task, make_record) -> None:
    record, mirror = make_record(make_task("tuned", "train")), make_mirror()
    mirror.finish(record)
    trials = [{**TRIALS[0], "point": {"lr": i / 1000}, "curve": []} for i in range(1000)]
    assert sum(mirror.finish_trial(record, number, trial) for number, trial in enumerate(trials)) == 1000
    again = make_mirror()
    assert sum(again.finish_trial(record, number, trial) for number, trial in enumerate(trials)) == 0
    _, runs = list_runs()
    assert len(runs) == 1001
