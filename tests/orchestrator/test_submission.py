"""Sweeps as Ray jobs: what is packed, what the head is asked to run, how a job's end becomes an exit code."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapt.errors import PrerequisiteError, SpecError
from orchestrator import submission
from orchestrator.submission import (
    FIND_PYTHON,
    JobEnd,
    JobServer,
    build_entrypoint,
    build_runtime_env,
    choose_variables,
    list_files,
    list_requirements,
    pack,
)

TOKEN = "a-token-of-this-test"
SMALL = """\
title: A sweep of two tasks
datasets:
  source: {type: gta, split: train}
  test: {type: cityscapes, split: val}
models:
  student: {config: models/small.py}
miniature: {size: [64, 32], source_train: 2, target_train: 1, target_val: 1, acdc_per_condition: 1, clip_frames: 0}
stages:
  train:
    kind: train
    model: student
    dataset: source
    training:
      iterations: 2
      optimizer: {lr: 1.0e-2, head_lr_multiplier: 1}
      schedule: {warmup_iterations: 1}
      augment: {crop: [32, 32]}
      checkpoint_interval: 2
      log_interval: 2
  clean: {kind: evaluate, checkpoint: "${train.checkpoint}", dataset: test}
  leaderboard: {kind: leaderboard, needs: [clean]}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with what travels and what does not."""
    folder = tmp_path / "project"
    for name in (
        "mine.yaml", "models/own.py", "notes/a b.txt", "segshift.yaml",
        ".git/config", ".venv/bin/python", ".env", "env/pyvenv.cfg", "env/lib/torch.py", "models/__pycache__/own.pyc",
        "segshift-store/0123/record.json", "mlruns/0/meta.yaml", "segshift.egg-info/PKG-INFO",
    ):  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_a_folder_travels_without_what_is_made_in_it(project: Path) -> None:
    assert list_files(project) == ["mine.yaml", "models/own.py", "notes/a b.txt", "segshift.yaml"]


@pytest.mark.parametrize("pattern", ["notes", "notes/", "*.txt", "notes/a*", "a b.txt"])
def test_more_can_be_left_out(project: Path, pattern: str) -> None:
    assert list_files(project, [pattern]) == ["mine.yaml", "models/own.py", "segshift.yaml"]


def test_of_a_checkout_travels_what_git_would_keep(project: Path) -> None:
    shutil.rmtree(project / ".git")
    subprocess.run(["git", "init", "--quiet", str(project)], check=True)
    (project / ".gitignore").write_text("notes/\n/segshift.yaml\nenv/\n")
    subprocess.run(["git", "-C", str(project), "add", "mine.yaml"], check=True)
    assert list_files(project) == ["mine.yaml", "models/own.py"]  # one is new and not added yet
    (project / "mine.yaml").unlink()
    assert list_files(project) == ["models/own.py"]


def test_the_cluster_gets_its_own_places(project: Path, tmp_path: Path) -> None:
    places = tmp_path / "cluster.yaml"
    places.write_text("store: /nfs/store\n")
    package = pack(project, tmp_path / "one.zip", places)
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == ["mine.yaml", "models/own.py", "notes/a b.txt", "segshift.yaml"]
        assert archive.read("segshift.yaml") == b"store: /nfs/store\n"
        assert archive.read("models/own.py") == b"models/own.py"
    assert package.files == 4
    pack(project, tmp_path / "two.zip")
    with zipfile.ZipFile(tmp_path / "two.zip") as archive:
        assert "segshift.yaml" not in archive.namelist(), "this machine's places mean nothing there"


def test_equal_files_make_equal_packages(project: Path, tmp_path: Path) -> None:
    pack(project, tmp_path / "one.zip")
    os.utime(project / "mine.yaml", (0, 0))
    pack(project, tmp_path / "two.zip")
    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_a_large_folder_is_refused_with_what_is_large_in_it(project: Path, tmp_path: Path, monkeypatch) -> None:
    (project / "data").mkdir()
    (project / "data" / "images.bin").write_bytes(bytes(2**21))
    monkeypatch.setattr(submission, "PACKAGE_LIMIT_BYTES", 2**20)
    with pytest.raises(PrerequisiteError, match=r"2 MB to send, and 1 are taken.*largest: data \(2 MB\).*--exclude"):
        pack(project, tmp_path / "one.zip")
    assert pack(project, tmp_path / "one.zip", exclude=["data"]).files == 3


def test_an_empty_folder_makes_a_package_that_ray_takes(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    pack(tmp_path / "empty", tmp_path / "one.zip")
    with zipfile.ZipFile(tmp_path / "one.zip") as archive:
        assert archive.namelist() == [".empty"]


def test_segshifts_variables_travel_and_others_when_asked() -> None:
    here = {
        "SEGSHIFT_STORE": "/nfs/store",
        "SEGSHIFT_DATA": "",
        "AWS_REGION": "eu",
        "AWS_PROFILE": "me",
        "HOME": "/root",
    }
    assert choose_variables([], here) == {"SEGSHIFT_STORE": "/nfs/store"}
    assert choose_variables(["AWS_*", "A=b=c"], here) == {
        "SEGSHIFT_STORE": "/nfs/store", "AWS_REGION": "eu", "AWS_PROFILE": "me", "A": "b=c",
    }  # fmt: skip
    with pytest.raises(SpecError, match=r"--env AZURE_\*: no such variable"):
        choose_variables(["AZURE_*"], here)


def test_the_runtime_environment_is_one_that_ray_takes(tmp_path: Path) -> None:
    from ray.runtime_env import RuntimeEnv

    archive = tmp_path / "project.zip"
    pack(tmp_path, archive)
    built = build_runtime_env(archive, {"AWS_REGION": "eu"}, pip=True)
    RuntimeEnv(**{**built, "working_dir": "gcs://_ray_pkg_0.zip"})
    assert built["working_dir"] == str(archive)
    assert built["env_vars"]["AWS_REGION"] == "eu"
    assert int(built["env_vars"]["RAY_JOB_STOP_WAIT_TIME_S"]) >= 60, "a sweep needs longer than Ray's 3 s to stop"
    assert "pip" not in build_runtime_env(archive, {})


def test_what_the_cluster_installs_is_what_is_here_without_ray() -> None:
    import importlib.metadata

    requirements = list_requirements()
    assert f"mmengine=={importlib.metadata.version('mmengine')}" in requirements
    assert any(line.startswith("torch==") and "+" not in line for line in requirements)
    assert not any(line.startswith(("ray", "pytest")) for line in requirements)


def test_the_command_line_reaches_the_sweep_as_it_was_given(tmp_path: Path) -> None:
    recorder = tmp_path / "my python"
    recorder.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    recorder.chmod(0o755)
    command = build_entrypoint(["mine.yaml", "matrix.seed=[0, 1]", "label=it's $HOME"], python=str(recorder))
    told = subprocess.run(command, shell=True, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == [
        "-m", "orchestrator.cli.main", "sweep", "mine.yaml", "matrix.seed=[0, 1]", "label=it's $HOME",
        "--address", "auto", "--no-servers",
    ]  # fmt: skip


def test_the_interpreter_is_that_of_the_ray_which_starts_the_command() -> None:
    code = f"import ray._raylet, subprocess; subprocess.run({FIND_PYTHON + '; echo $python'!r}, shell=True)"
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PATH": "/usr/bin:/bin"}
    )
    assert os.path.samefile(told.stdout.strip(), sys.executable)
    other = subprocess.run(
        ["/bin/bash", "-c", f"sh -c {submission.shlex.quote(FIND_PYTHON + '; echo $python')}; true"],
        capture_output=True,
        text=True,
    )
    assert other.stdout.strip() == "python3", "no Ray in the parent"


class Dashboard(http.server.BaseHTTPRequestHandler):
    """Answers as the job server of a head that wants `TOKEN`."""

    def do_GET(self) -> None:
        given = self.headers.get("Authorization")
        code = 401 if given is None else 200 if given == f"Bearer {TOKEN}" else 403
        body = json.dumps({"ray_version": "2.60.0"} if self.path == "/api/version" else {}).encode()
        self.send_response(code)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def dashboard(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(submission, "send_token", lambda: None)  # it switches Ray's mode for the whole process
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Dashboard)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_dashboard_is_told_from_other_servers(dashboard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", TOKEN)
    monkeypatch.setenv("RAY_ADDRESS", "10.9.8.7:6379")  # Ray's client would go there
    assert JobServer(dashboard).address == f"http://{dashboard}"
    assert os.environ["RAY_ADDRESS"] == "10.9.8.7:6379"


def test_a_job_server_without_the_token(dashboard: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PrerequisiteError, match=r"asks for a token, and there is none here.*ray get-auth-token"):
        JobServer(f"http://{dashboard}")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "another")
    with pytest.raises(PrerequisiteError, match=r"refuses this user's token.*ray get-auth-token"):
        JobServer(f"http://{dashboard}/")


def test_a_port_that_is_no_dashboard() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(PrerequisiteError, match="it is no Ray dashboard"):
            JobServer(f"127.0.0.1:{silent.getsockname()[1]}", limit_s=1.0)
    with pytest.raises(PrerequisiteError, match="nothing answers"):
        JobServer(f"127.0.0.1:{find_port()}", limit_s=1.0)
    with pytest.raises(PrerequisiteError, match=r"takes no jobs.*http://head:8265"):
        JobServer("ray://head:10001")


class Client:
    """Ray's client of a job that prints `log`; each connection breaks off after the next of `breaks` characters."""

    def __init__(self, log: str, status: str, code: int | None, breaks: list[int] | None = None) -> None:
        self.log, self.status, self.code, self.breaks = log, status, code, breaks or []

    def get_job_info(self, job_id: str) -> Any:
        if job_id != "known":
            raise RuntimeError(f"Job {job_id} does not exist")
        status = SimpleNamespace(value=self.status, is_terminal=lambda: not self.breaks)
        return SimpleNamespace(status=status, driver_exit_code=self.code, message="why")

    async def tail_job_logs(self, job_id: str) -> Any:
        end = self.breaks.pop(0) if self.breaks else None
        text = self.log[:end]
        for start in range(0, len(text), 3):
            yield text[start : start + 3]
        if end is not None:
            raise RuntimeError("WebSocket connection closed unexpectedly")


def serve(client: Client) -> JobServer:
    server = JobServer.__new__(JobServer)
    server.address, server._client = "http://head:8265", client
    return server


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        ("SUCCEEDED", 0, JobEnd(0, "exit code 0")),
        ("FAILED", 1, JobEnd(1, "exit code 1")),
        ("FAILED", 2, JobEnd(2, "exit code 2")),
        ("FAILED", -9, JobEnd(137, "exit code -9")),
        ("FAILED", None, JobEnd(1, "why")),
        ("STOPPED", None, JobEnd(130, "it was stopped")),
    ],
)
def test_a_jobs_end_is_its_sweeps(status: str, code: int | None, expected: JobEnd) -> None:
    told: list[str] = []
    assert serve(Client("done\n", status, code)).follow("known", told.append) == expected
    assert "".join(told) == "done\n"


def test_output_is_shown_once_across_lost_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "POLL_S", 0.0)
    told: list[str] = []
    log = "one\ntwo\nthree\nfour\n"
    end = serve(Client(log, "SUCCEEDED", 0, breaks=[5, 5, 12, 1])).follow("known", told.append)
    assert "".join(told) == log
    assert end.code == 0


def test_a_connection_that_does_not_come_back_leaves_the_job_running(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(submission, "POLL_S", 0.0)
    monkeypatch.setattr(submission, "RECONNECT_S", 0.0)
    with pytest.raises(PrerequisiteError, match=r"The job goes on: follow it by .*--follow known"):
        serve(Client("", "RUNNING", None, breaks=[0] * 1000)).follow("known", print)


def test_a_job_that_is_not_known() -> None:
    server = serve(Client("", "SUCCEEDED", 0))
    with pytest.raises(PrerequisiteError, match=r"knows of no job 'other'.*ray job list"):
        server.follow("other", print)


# A real head with its job server, started outside the environment's PATH as a service would be.


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    temp = Path(tempfile.mkdtemp(prefix="rj", dir="/tmp"))  # short: the paths of Ray's sockets are limited
    port, jobs = find_port(), find_port()
    options = {
        "port": port, "dashboard-port": jobs, "dashboard-host": "127.0.0.1", "ray-client-server-port": find_port(),
        "dashboard-agent-listen-port": find_port(), "num-cpus": 2, "object-store-memory": 100 * 2**20, "temp-dir": temp,
    }  # fmt: skip
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | {
        "PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1", "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN, "RAY_USAGE_STATS_ENABLED": "0", "RAY_raylet_start_wait_time_s": "240",
    }  # fmt: skip
    command = [str(Path(sys.executable).with_name("ray")), "start", "--head", "--block"]
    command += [f"--{name}={value}" for name, value in options.items()]
    with (temp / "log").open("w") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=temp)
    try:
        _wait_until_it_answers(jobs, head, temp / "log")
        yield f"http://127.0.0.1:{jobs}"
    finally:
        head.terminate()
        head.wait(timeout=120)
        shutil.rmtree(temp, ignore_errors=True)


def _wait_until_it_answers(port: int, head: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + 250
    while "Ray runtime started" not in log.read_text():
        assert head.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.5)
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            assert time.monotonic() < until, "no job server"
            time.sleep(0.5)


@pytest.fixture
def submit(cluster: str, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Submit from a project folder of one experiment and its own model, in a process of its own."""
    folder = tmp_path / "mine"
    (folder / "models").mkdir(parents=True)
    (folder / "small.yaml").write_text(SMALL)
    shutil.copy(Path(__file__).parents[2] / "experiments" / "models" / "cgnet_small.py", folder / "models" / "small.py")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SEGSHIFT_"))}
        environment |= {"RAY_AUTH_TOKEN": TOKEN, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
        command = [sys.executable, "-m", "orchestrator.cli.main", "submit", "--address", cluster, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=550)

    return run


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_project_travels_runs_and_gives_its_exit_code(submit: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = submit("small.yaml", "--store", str(store))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Packed 2 files" in done.stdout
    assert "2 tasks executed, 0 cached." in done.stdout
    assert len(list(store.glob("tasks/*/record.json"))) == 2
    record = json.loads(next(store.glob("tasks/*/record.json")).read_text())
    assert record["experiment"] == "small"
    failed = submit(
        "small.yaml",
        "stages.train.training.optimizer={type: sgd, lr: 1.0e+38, head_lr_multiplier: 1}",
        "--store",
        str(store),
    )
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "1 failed, 1 skipped" in failed.stdout
    refused = submit("small.yaml", "--store", str(store), "--data", "/nowhere/at/all")
    assert refused.returncode == 2, refused.stdout + refused.stderr
    assert "the data folder /nowhere/at/all does not exist" in refused.stdout


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_job_is_left_followed_and_stopped(submit: Any, tmp_path: Path) -> None:
    endless = "stages.train.training.iterations=1000000"
    left = submit("--no-wait", "small.yaml", endless, "--store", str(tmp_path / "store"))
    assert left.returncode == 0, left.stdout + left.stderr
    job_id = left.stdout.partition("--stop ")[2].split()[0]
    assert job_id.startswith("small-")
    stopped = submit("--stop", job_id)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "has ended" in stopped.stdout
    followed = submit("--follow", job_id)
    assert followed.returncode == 130, followed.stdout + followed.stderr
