"""The SLURM script on a stand-in for SLURM that runs everything here; Ray and the sweep are recorded stubs."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.cluster import READY_FILES

SCRIPT = Path(__file__).parents[3] / "orchestrator" / "cluster" / READY_FILES["slurm"].file
LIMIT_S = 120  # far longer than a run takes; only a hang reaches it

SRUN = """#!/bin/bash
echo "srun $*" >> "$RECORD"
while [ "${1#--}" != "$1" ]; do shift; done
exec "$@"
"""
SCONTROL = """#!/bin/bash
echo "scontrol $*" >> "$RECORD"
if [ "$1" = show ]; then printf 'node1\\nnode2\\nnode3\\n' | head -n "$FAKE_NODES"; fi
"""
HOSTNAME = """#!/bin/bash
echo 10.1.2.3 fe80::1
"""
RAY = """#!/bin/bash
if [ -n "$FAKE_BROKEN" ]; then echo "no shared memory" >&2; exit 1; fi
echo "ray $* [token $(cat "$RAY_AUTH_TOKEN_PATH" | wc -c) $RAY_AUTH_MODE]" >> "$RECORD"
trap 'kill $!; echo "ray stopped" >> "$RECORD"; exit 0' TERM
sleep 300 & wait
"""
# Counts the nodes that were started, and makes the token.
PYTHON = """#!/bin/bash
case "$2" in
    *token_hex*) echo 0123456789 ;;
    *) grep -c '^srun.* ray start --head' "$RECORD" > "$RECORD.heads"
       workers=$(sed -n 's/^srun --nodes=\\([0-9]*\\).* ray start --address.*/\\1/p' "$RECORD")
       echo $(( $(cat "$RECORD.heads") + ${workers:-0} - ${FAKE_MISSING:-0} )) ;;
esac
"""
SEGSHIFT = """#!/bin/bash
echo "segshift $*" >> "$RECORD"
if [ -n "$FAKE_LONG" ]; then
    trap 'kill $!; echo "sweep stopped" >> "$RECORD"; exit 130' TERM
    touch "$RECORD.ready"
    sleep 300 & wait
fi
exit "${FAKE_CODE:-0}"
"""


class Job:
    """An allocation whose nodes are all this machine."""

    def __init__(self, folder: Path) -> None:
        self.record = folder / "record"
        self.record.touch()
        self.home = folder / "home"
        programs, own = folder / "bin", folder / "segshift" / ".venv" / "bin"
        for place in (self.home, programs, own):
            place.mkdir(parents=True)
        stubs = {programs: {"srun": SRUN, "scontrol": SCONTROL, "hostname": HOSTNAME}}
        stubs[own] = {"ray": RAY, "python": PYTHON, "segshift": SEGSHIFT}
        for place, texts in stubs.items():
            for name, text in texts.items():
                (place / name).write_text(text)
                (place / name).chmod(0o755)
        self.environment = {
            "PATH": f"{programs}:{os.environ['PATH']}", "HOME": str(self.home), "RECORD": str(self.record),
            "SEGSHIFT_HOME": str(folder / "segshift"), "SLURM_JOB_ID": "123456", "SLURM_JOB_NODELIST": "node[1-3]",
            "SLURM_CPUS_PER_TASK": "32", "START_LIMIT_S": "60", "FAKE_NODES": "3",
        }  # fmt: skip

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["bash", str(SCRIPT), *arguments],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(*arguments, **environment)
        out, err = process.communicate(timeout=LIMIT_S)
        return process.returncode, out + err

    def read(self) -> list[str]:
        return self.record.read_text().splitlines()

    def wait_for_sweep(self) -> None:
        until = time.monotonic() + LIMIT_S
        while not self.record.with_name("record.ready").exists():
            assert time.monotonic() < until, f"no sweep: {self.read()}"
            time.sleep(0.1)

    def tokens(self) -> list[Path]:
        return list((self.home / ".ray").glob("*"))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path)


def test_bash_parses_it() -> None:
    subprocess.run(["bash", "-n", str(SCRIPT)], check=True)


def test_its_directives_are_sbatchs_and_come_first() -> None:
    lines = SCRIPT.read_text().splitlines()
    directives = [line for line in lines if line.startswith("#SBATCH")]
    first_command = next(index for index, line in enumerate(lines) if line and not line.startswith("#"))
    assert all(lines.index(line) < first_command for line in directives)
    options = {re.match(r"#SBATCH --([a-z-]+)", line).group(1) for line in directives}
    assert options == {
        "job-name", "nodes", "ntasks-per-node", "gpus-per-node", "cpus-per-task", "time", "signal", "requeue",
        "open-mode", "output",
    }  # fmt: skip


def test_a_head_workers_and_the_sweep(job: Job) -> None:
    code, output = job.run("gta2cityscapes", "--store", "/shared/a store", "matrix.seed=[0, 1]")
    assert code == 0, output
    record = job.read()
    port = 20000 + 123456 % 5000
    head = next(line for line in record if line.startswith("srun") and "--head" in line)
    assert "--nodelist=node1 ray start --head --node-ip-address=10.1.2.3" in head
    assert f"--port={port} " in head
    assert f"--dashboard-port={port + 5000} " in head
    assert "--dashboard-host=127.0.0.1" in head
    workers = next(line for line in record if line.startswith("srun") and f"--address=10.1.2.3:{port}" in line)
    assert "--nodes=2 --ntasks=2 --ntasks-per-node=1" in workers
    assert "--exclude=node1" in workers
    assert record.index(head) < record.index(workers)
    sweep = f"segshift sweep gta2cityscapes --store /shared/a store matrix.seed=[0, 1] --address 10.1.2.3:{port} --no-servers"
    assert sweep in record
    assert record.index(workers) < record.index(sweep)
    assert sum("[token 11 token]" in line for line in record) == 2, "both know the token"
    assert record.count("ray stopped") == 2
    assert not any("requeue" in line for line in record)
    assert job.tokens() == []


def test_one_node_has_no_workers(job: Job) -> None:
    code, output = job.run("gta2cityscapes", FAKE_NODES="1")
    assert code == 0, output
    assert not any("ray start --address" in line for line in job.read())


def test_the_exit_code_is_the_sweeps(job: Job) -> None:
    assert job.run("gta2cityscapes", FAKE_CODE="1")[0] == 1
    assert not any("requeue" in line for line in job.read())


def test_near_the_end_of_its_time_the_sweep_stops_and_the_job_is_queued_again(job: Job) -> None:
    process = job.start("gta2cityscapes", FAKE_LONG="1")
    job.wait_for_sweep()
    process.send_signal(signal.SIGUSR1)
    assert process.wait(timeout=LIMIT_S) == 130
    record = job.read()
    assert record.index("sweep stopped") < record.index("scontrol requeue 123456")
    assert record.count("ray stopped") == 2
    assert job.tokens() == []


def test_scancel_stops_it_for_good(job: Job) -> None:
    process = job.start("gta2cityscapes", FAKE_LONG="1")
    job.wait_for_sweep()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=LIMIT_S) == 130
    assert "sweep stopped" in job.read()
    assert not any("requeue" in line for line in job.read())


def test_nodes_that_do_not_come_up_are_told(job: Job) -> None:
    code, output = job.run("gta2cityscapes", FAKE_MISSING="1", START_LIMIT_S="1")
    assert code == 1
    assert "only 0 of 1 Ray nodes came up" in output
    assert not any(line.startswith("segshift") for line in job.read())
    assert job.tokens() == []


def test_a_head_that_does_not_start_is_told_at_once(job: Job) -> None:
    code, output = job.run("gta2cityscapes", FAKE_BROKEN="1", FAKE_MISSING="1", START_LIMIT_S="100000")
    assert code == 1
    assert "no shared memory" in output
    assert "only 0 of 1 Ray nodes came up" in output


def test_without_an_experiment_it_says_how(job: Job) -> None:
    code, output = job.run()
    assert code == 2
    assert "sbatch slurm.sh EXPERIMENT" in output
    assert job.read() == []


def test_the_token_is_this_users_alone(job: Job) -> None:
    process = job.start("gta2cityscapes", FAKE_LONG="1")
    job.wait_for_sweep()
    (token,) = job.tokens()
    mode = stat.S_IMODE(token.stat().st_mode)
    process.send_signal(signal.SIGTERM)
    process.wait(timeout=LIMIT_S)
    assert mode == 0o600
