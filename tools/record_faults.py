"""Record the run of docs/faults.md: a sweep on three nodes, one of them lost and MLflow restarted on the way, beside a quiet one.

Usage: python tools/record_faults.py FOLDER    (about 15 minutes on 2 cores; FOLDER takes both stores and the transcript)
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO, Any

from ray.cluster_utils import Cluster

from orchestrator.mlflow_server import HOST, default_uri, find_free_port, ready_tracking, server_command
from orchestrator.store import Store

OVERRIDES = [
    "matrix.seed=[0]",
    "stages.source_only.search={space: {training.optimizer.lr: [0.003, 0.006, 0.012]}}",
    "stages.source_only.validation={dataset: target, interval: 350, limit: 8}",
]
OUTAGE_S = 25.0  # so long MLflow is away
MEASURED = ("frames/s", "peak memory (GB)", "started_at", "seconds")  # what a clock and a machine decide


class Recorder:
    """Writes lines with the time since the start, to the terminal and to the transcript."""

    def __init__(self, file: IO[str]) -> None:
        self._file, self._began = file, time.monotonic()

    def write(self, text: str) -> None:
        """Write a line."""
        elapsed = int(time.monotonic() - self._began)
        line = f"{elapsed // 60:2d}:{elapsed % 60:02d}  {text}"
        print(line, flush=True)
        print(line, file=self._file, flush=True)


class Server:
    """An MLflow server process that can be killed and started again on the same data."""

    def __init__(self, store: Store) -> None:
        store.check_writable()
        ready_tracking(default_uri(store), store)
        self._store, self._port = store, find_free_port(5300)
        self.uri = f"http://{HOST}:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = subprocess.Popen(
            server_command(self._store, self._port), env=environment, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


def run(folder: Path, record: Recorder, is_quiet: bool) -> Path:
    """Run the sweep; return the folder of its leaderboard."""
    store = Store(folder / ("quiet" if is_quiet else "disturbed"))
    server = Server(store)
    server.start()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    command = [sys.executable, "-m", "orchestrator.cli.main", "sweep", "gta2cityscapes", *OVERRIDES, "--profile", "mini",
               "--store", str(store.root), "--address", cluster.address, "--no-servers"]  # fmt: skip
    environment = {**os.environ, "MLFLOW_TRACKING_URI": server.uri, "COLUMNS": "160", "PYTHONUNBUFFERED": "1"}
    record.write(
        f"$ segshift sweep gta2cityscapes ... --address {cluster.address}   ({'quiet' if is_quiet else 'disturbed'}: 3 nodes)"
    )
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    reader = threading.Thread(target=_pass_on, args=(process, record))
    reader.start()
    killed_node = killed_server = restarted = False
    killed_at = 0.0
    while process.poll() is None:
        trials = len(list(store.root.glob("tasks/*/work/trials/*/work/*.pth")))
        if not is_quiet and not killed_node and trials >= 2:
            record.write("### node 3 is killed (its processes get SIGKILL), with trials running")
            cluster.remove_node(nodes.pop(), allow_graceful=False)
            killed_node = True
        if killed_node and not killed_server and store.list_done():
            record.write("### the MLflow server is killed")
            server.kill()
            killed_server, killed_at = True, time.monotonic()
        if killed_server and not restarted and time.monotonic() - killed_at > OUTAGE_S:
            server.start()
            record.write("### the MLflow server is back")
            restarted = True
        time.sleep(0.5)
    reader.join()
    record.write(f"exit code {process.returncode}")
    if killed_server and not restarted:
        server.start()
    _describe_runs(server, record)
    server.kill()
    cluster.shutdown()
    (board,) = (store.root / "leaderboards").iterdir()
    return board


def _pass_on(process: subprocess.Popen[str], record: Recorder) -> None:
    """Pass the lines of a process on until it ends."""
    for line in process.stdout or ():
        if line.strip():
            record.write(line.rstrip())


def _describe_runs(server: Server, record: Recorder) -> None:
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server.uri)
    experiment = client.get_experiment_by_name("segshift/gta2cityscapes")
    runs = client.search_runs([experiment.experiment_id]) if experiment is not None else []
    counts: dict[str, int] = {}
    points = 0
    for found in runs:
        counts[found.info.status] = counts.get(found.info.status, 0) + 1
        if "live/loss" in found.data.metrics:
            points += len(client.get_metric_history(found.info.run_id, "live/loss"))
    states = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    record.write(f"MLflow: {len(runs)} runs ({states}), {points} points of live/loss")


def read_scores(board: Path) -> Any:
    """Return a leaderboard's JSON without what a clock and a machine decide."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: strip(each) for name, each in value.items() if name not in MEASURED}
        return [strip(each) for each in value] if isinstance(value, list) else value

    return strip(json.loads((board / "leaderboard.json").read_text()))


def main() -> int:
    """Run both and compare."""
    folder = Path(sys.argv[1]).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "transcript.txt").open("w") as file:
        record = Recorder(file)
        boards = [run(folder, record, is_quiet) for is_quiet in (False, True)]
        disturbed, quiet = (read_scores(board) for board in boards)
        record.write(f"leaderboards equal: {disturbed == quiet}")
    return 0 if disturbed == quiet else 1


if __name__ == "__main__":
    sys.exit(main())
