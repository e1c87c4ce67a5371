"""What the user must mend first: exit code 2, one paragraph with a remedy, and nothing started."""

from __future__ import annotations

import errno
import json
import shutil
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from orchestrator import cluster_session, miniature, mlflow_server


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cluster, a server or a miniature that is started fails the test."""

    def refuse(*arguments: object, **keywords: object) -> None:
        pytest.fail("something was started")

    monkeypatch.setattr(cluster_session, "open_cluster", refuse)
    monkeypatch.setattr(mlflow_server, "background_server", refuse)
    monkeypatch.setattr(miniature, "make_miniature", refuse)


def check(outcome, *parts: str) -> None:
    assert outcome.code == 2
    assert outcome.err.startswith("segshift: ")
    assert "Traceback" not in outcome.err
    for part in parts:
        assert part in outcome.err


@pytest.mark.parametrize("command", ["plan", "sweep", "status", "leaderboard"])
def test_an_unknown_experiment_names_the_closest(command: str, segshift) -> None:
    outcome = segshift(command, "gta2cityscape")
    check(outcome, "gta2cityscape", "gta2cityscapes")
    assert outcome.err.count("\n") == 1


def test_a_file_that_is_not_there(segshift) -> None:
    check(segshift("sweep", "mine.yaml"), "experiment file mine.yaml does not exist", "segshift plan")


def test_an_unknown_profile_names_those_there_are(segshift) -> None:
    check(segshift("sweep", "gta2cityscapes", "--profile", "ful"), "ful", "full", "mini")


def test_an_unknown_key_names_file_line_and_the_closest(segshift, tiny: Path, tmp_path: Path) -> None:
    text = tiny.read_text().replace("checkpoint_interval: 10", "checkpoint_intervall: 10")
    line = text.splitlines().index(next(t for t in text.splitlines() if "checkpoint_intervall" in t)) + 1
    (tmp_path / "mine.yaml").write_text(text)
    outcome = segshift("sweep", "mine.yaml")
    check(outcome, f"mine.yaml:{line}", "checkpoint_intervall", "checkpoint_interval")


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("matrix.sed=[0]", "sed"),
        ("matrix.seed", "KEY=VALUE"),
        ("stages.source_only.training.iterations=many", "iterations"),
        ("stages.corruption.protocol=quik", "quick"),
    ],
)
def test_an_override_that_is_not_understood(override: str, part: str, segshift, tiny: Path) -> None:
    check(segshift("sweep", tiny, override), part)


def test_missing_data_names_the_set_and_the_remedy(segshift) -> None:
    outcome = segshift("sweep", "gta2cityscapes", "--profile", "full")
    check(outcome, "cannot run here", "data set 'source': no folder for gta is configured", "--data", "SEGSHIFT_DATA")
    assert outcome.err.count("no folder for acdc") == 4, "each data set is named"
    assert "mit_b5_20220624-658746d9.pth" in outcome.err


def test_real_data_that_is_not_there(segshift) -> None:
    check(segshift("sweep", "camvid_robustness"), "camvid", "--data")


def test_a_data_folder_that_does_not_exist(segshift) -> None:
    check(segshift("sweep", "gta2cityscapes", "--data", "nowhere"), "nowhere does not exist", "--data")


def test_a_gpu_where_there_is_none(segshift, tiny: Path) -> None:
    outcome = segshift("sweep", tiny, "resources.gpus=1")
    check(outcome, "stage 'source_only' asks for 1 GPU(s) and this machine has 0", "--profile", "resources.gpus=0")


def test_a_store_that_cannot_be_written(segshift, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = segshift("sweep", tiny, "--store", tmp_path / "file")
    check(outcome, f"the store {tmp_path / 'file'} cannot be written", "--store")


def test_a_full_disk(segshift, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(2**40, 2**40, 0))
    check(segshift("sweep", tiny), "has 0 MiB left", "Free some")


def test_a_file_system_that_takes_no_write(segshift, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **keywords: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "mkdir", refuse)
    check(segshift("sweep", tiny), "cannot be written (Read-only file system)")


def test_an_mlflow_that_is_down(segshift, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    port = mlflow_server.find_free_port(52400)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    check(segshift("sweep", tiny), f"the MLflow server at http://127.0.0.1:{port} does not answer", "--no-mlflow")


@pytest.mark.parametrize(
    "arguments",
    [[], ["fly"], ["sweep"], ["sweep", "gta2cityscapes", "--fast"], ["status", "--fast", "matrix.seed=[0]"]],
    ids=" ".join,
)
def test_a_command_line_that_is_not_understood(arguments: list[str], segshift) -> None:
    outcome = segshift(*arguments)
    assert outcome.code == 2
    assert "usage: segshift" in outcome.err


def test_a_value_after_a_command_without_overrides_is_refused(segshift) -> None:
    outcome = segshift("doctor", "matrix.seed=[0]")
    assert outcome.code == 2
    assert "unrecognized arguments: matrix.seed=[0]" in outcome.err


def test_a_task_key_that_means_none_or_several(segshift, tiny: Path) -> None:
    check(segshift("run-task", tiny, "zzzz"), "0 tasks of", "segshift plan")
    check(segshift("run-task", tiny, ""), "8 tasks of", "give more digits")


def test_a_task_whose_inputs_are_not_done(segshift, tiny: Path) -> None:
    plan = json.loads(segshift("plan", tiny, "--json").out)
    (key,) = [task["key"] for task in plan["tasks"] if task["stage"] == "corruption"]
    check(segshift("run-task", tiny, key[:10]), "needs source_only[seed=0], which is not done", "Run that task first")


def test_a_task_of_several_workers_is_not_for_one_process(segshift, tiny: Path) -> None:
    overrides = ["stages.source_only.training.workers=2", "resources.cpus=0.1"]
    plan = json.loads(segshift("plan", tiny, "--json", *overrides).out)
    (key,) = [task["key"] for task in plan["tasks"] if task["stage"] == "source_only"]
    check(segshift("run-task", tiny, key[:10], *overrides), "is trained by 2 workers", "segshift sweep")


def test_no_dashboard_is_running(segshift) -> None:
    check(segshift("dashboard"), "no Ray dashboard answers", "Start one")


def test_a_workspace_file_with_a_slip(segshift, tmp_path: Path) -> None:
    (tmp_path / "segshift.yaml").write_text("stor: here\n")
    check(segshift("plan", "gta2cityscapes"), "segshift.yaml:1", "stor", "store")


def test_verbose_shows_the_traceback(segshift, caplog: pytest.LogCaptureFixture) -> None:
    outcome = segshift("--verbose", "plan", "nothing_like_it")
    assert outcome.code == 2
    assert any(record.exc_info for record in caplog.records)


def test_ray_is_not_imported_to_say_no(segshift, tiny: Path) -> None:
    """In a process of its own, `tests/orchestrator/cli/test_light.py` asks the same of `plan`."""
    loaded = set(sys.modules)
    segshift("sweep", tiny, "resources.gpus=1")
    assert not {name for name in set(sys.modules) - loaded if name.partition(".")[0] in ("ray", "mlflow", "torch")}
