"""MLflow away for the middle third of what a tracker is told: nothing is missing at the end, and nobody waits."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.error
import urllib.request

import pytest

from orchestrator.mlflow_server import HOST, _environment, default_uri, find_free_port, ready_tracking, server_command
from orchestrator.store import Store
from orchestrator.tracker import MirrorTarget, Tracker

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


class Server:
    """A real MLflow server process on a store's own database."""

    def __init__(self, store: Store) -> None:
        ready_tracking(default_uri(store), store)
        self.store, self.port = store, find_free_port(5200)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self) -> None:
        self.process = subprocess.Popen(
            server_command(self.store, self.port), env=_environment(), start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 120
        while True:
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < deadline, "the server does not start"
                time.sleep(0.2)

    def kill(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


def test_an_outage_in_the_middle_loses_nothing(store: Store, make_task, make_record) -> None:
    from mlflow import MlflowClient

    server = Server(store)
    target = MirrorTarget(server.uri, "byhand", "full", None)
    tasks = [make_task(f"task{i}", "train", seed=i) for i in range(3)]
    third = 20
    try:
        server.start()
        tracker = Tracker(target, store)

        def tell(part: int) -> None:
            for step in range(part * third, (part + 1) * third):
                for task in tasks[part:]:
                    tracker.report(task.key, task.name, step, {"loss": 1.0 / (1 + step)})
            store.folder(tasks[part].key).mkdir(parents=True)
            store.commit(make_record(tasks[part]))
            tracker.finish(tasks[part].key, tasks[part].name)

        tell(0)
        while not target.has_all([tasks[0].key], store):
            time.sleep(0.1)
        server.kill()
        started = time.monotonic()
        tell(1)
        assert time.monotonic() - started < 30, "who reports waited for MLflow"
        while tracker._problem is None:  # it has tried in vain
            time.sleep(0.1)
        server.start()
        tell(2)
        deadline = time.monotonic() + 240
        while not target.has_all([task.key for task in tasks], store):
            assert time.monotonic() < deadline, tracker._problem
            time.sleep(0.2)
        assert tracker.close("FINISHED") is None

        client = MlflowClient(tracking_uri=server.uri)
        experiment = client.get_experiment_by_name("segshift/byhand")
        assert experiment is not None
        runs = client.search_runs([experiment.experiment_id])
        by_key = {run.data.tags.get("segshift.task_key"): run for run in runs}
        assert len(runs) == 1 + len(tasks), "a run was made twice"
        assert {run.info.status for run in runs} == {"FINISHED"}
        for part, task in enumerate(tasks):
            points = client.get_metric_history(by_key[task.key].info.run_id, "live/loss")
            assert sorted(point.step for point in points) == list(range((part + 1) * third))
    finally:
        server.kill()
