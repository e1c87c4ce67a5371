"""`segshift submit` up to the job server: what is refused here, and what would be sent."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pytest

from orchestrator import submission
from orchestrator.submission import JobEnd


class Server:
    """Stands for a cluster's job server and notes what it is asked."""

    made: list[Server] = []
    end = JobEnd(0, "exit code 0")
    interrupted = False

    def __init__(self, address: str) -> None:
        self.address = address
        self.submitted: list[tuple[str, str, dict[str, Any]]] = []
        self.followed: list[str] = []
        Server.made.append(self)

    def submit(self, job_id: str, entrypoint: str, runtime_env: dict[str, Any]) -> None:
        assert Path(runtime_env["working_dir"]).is_file()
        self.submitted.append((job_id, entrypoint, runtime_env))

    def follow(self, job_id: str, write: Any) -> JobEnd:
        self.followed.append(job_id)
        write("a line of the sweep\n")
        if Server.interrupted:
            raise KeyboardInterrupt
        return Server.end

    def stop(self, job_id: str) -> JobEnd:
        return JobEnd(130, "it was stopped")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> type[Server]:
    monkeypatch.setattr(submission, "JobServer", Server)
    monkeypatch.setattr(Server, "made", [])
    monkeypatch.delenv("RAY_API_SERVER_ADDRESS", raising=False)
    monkeypatch.setenv("SEGSHIFT_STORE", "/nfs/store")
    return Server


def read_command(server: type[Server]) -> list[str]:
    ((_, entrypoint, _),) = server.made[-1].submitted
    words = shlex.split(entrypoint)
    return words[words.index("sweep") :]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--address", "http://head:8265", "--no-wait", "mine.yaml", "matrix.seed=[0]", "--no-mlflow"],
        ["mine.yaml", "--address", "http://head:8265", "matrix.seed=[0]", "--no-wait", "--no-mlflow"],
    ],
)
def test_its_own_options_stand_before_or_after_the_experiment(
    arguments: list[str], segshift: Any, server: type[Server], tiny: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.yaml").write_text(tiny.read_text())
    outcome = segshift("submit", *arguments, "--store", "/nfs/store")
    assert outcome.code == 0, outcome.err
    assert server.made[-1].address == "http://head:8265"
    assert read_command(server) == [
        "sweep", "mine.yaml", "matrix.seed=[0]", "--no-mlflow", "--store", "/nfs/store", "--address", "auto", "--no-servers",
    ]  # fmt: skip
    assert server.made[-1].followed == []
    job_id = server.made[-1].submitted[0][0]
    assert job_id.startswith("mine-")
    assert f"segshift submit --address http://head:8265 --follow {job_id}" in outcome.out
    assert f"--stop {job_id}" in outcome.out


def test_the_exit_code_is_the_jobs(
    segshift: Any, server: type[Server], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "end", JobEnd(1, "exit code 1"))
    outcome = segshift("submit", "--working-dir", tiny.parent, tiny, "--store", "/nfs/store")
    assert outcome.code == 1
    assert "a line of the sweep" in outcome.out
    assert server.made[-1].address == "http://127.0.0.1:8265", "an SSH tunnel's"
    assert read_command(server)[1] == "tiny.yaml", "as it lies in the folder that travels"


def test_ctrl_c_leaves_the_job_and_says_how_to_go_on(
    segshift: Any, server: type[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "interrupted", True)
    outcome = segshift("submit", "gta2cityscapes", "--store", "/nfs/store")
    assert outcome.code == 130
    assert "goes on without this terminal" in outcome.err
    assert "--follow gta2cityscapes-" in outcome.out
    assert "--stop gta2cityscapes-" in outcome.out


def test_a_job_is_followed_and_stopped_by_its_id(segshift: Any, server: type[Server]) -> None:
    assert segshift("submit", "--address", "head:8265", "--follow", "a-job").code == 0
    assert server.made[-1].followed == ["a-job"]
    outcome = segshift("submit", "--stop", "a-job")
    assert outcome.code == 0
    assert "a-job has ended: it was stopped" in outcome.out
    outcome = segshift("submit", "--stop", "a-job", "gta2cityscapes")
    assert outcome.code == 2
    assert "leave out gta2cityscapes" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ([], "no experiment is named"),
        (["gta2cityscape", "--store", "/s"], "gta2cityscapes"),
        (["gta2cityscapes", "matrix.sed=[0]", "--store", "/s"], "sed"),
        (["gta2cityscapes", "--profile", "ful", "--store", "/s"], "full"),
        (["gta2cityscapes", "--store", "results"], "lies in the job's own folder"),
        (["gta2cityscapes", "--working-dir", "nowhere", "--store", "/s"], "is no folder"),
        (["gta2cityscapes", "--workspace", "nowhere", "--store", "/s"], "is no file"),
        (["gta2cityscapes", "--env", "NOT_SET_HERE", "--store", "/s"], "no such variable"),
        (["gta2cityscapes", "--stoer", "/s"], "unrecognized arguments: --stoer"),
    ],
)
def test_what_would_fail_there_is_told_here(
    arguments: list[str], part: str, segshift: Any, server: type[Server]
) -> None:
    outcome = segshift("submit", *arguments)
    assert outcome.code == 2
    assert part in outcome.err
    assert "Traceback" not in outcome.err
    assert server.made == [], "nothing is connected to"


def test_an_experiment_outside_the_folder_does_not_travel(segshift: Any, server: type[Server], tiny: Path) -> None:
    outcome = segshift("submit", tiny, "--store", "/nfs/store")
    assert outcome.code == 2
    assert "only that travels" in outcome.err
    assert "--working-dir" in outcome.err


def test_a_store_is_named_by_a_variable_or_the_clusters_workspace(
    segshift: Any, server: type[Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEGSHIFT_STORE", "")
    refused = segshift("submit", "gta2cityscapes")
    assert refused.code == 2
    assert "no store is named" in refused.err
    (tmp_path / "cluster.yaml").write_text("store: s3://bucket/segshift\ndata: /only/there\n")
    assert segshift("submit", "--workspace", "cluster.yaml", "gta2cityscapes").code == 0
    monkeypatch.setenv("SEGSHIFT_STORE", "/nfs/store")
    assert segshift("submit", "gta2cityscapes").code == 0
    assert server.made[-1].submitted[0][2]["env_vars"]["SEGSHIFT_STORE"] == "/nfs/store"


def test_data_that_is_only_on_the_cluster_is_not_looked_for_here(segshift: Any, server: type[Server]) -> None:
    outcome = segshift(
        "submit", "gta2cityscapes", "--profile", "full", "--data", "/only/there", "--store", "/nfs/store"
    )
    assert outcome.code == 0, outcome.err
    assert read_command(server)[1:5] == ["gta2cityscapes", "--profile", "full", "--data"]
