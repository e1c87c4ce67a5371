"""The gauges of a sweep: what is set when, and that a real Ray offers them and forgets those of finished tasks."""

from __future__ import annotations

import math
import time
import urllib.request
from typing import Any

import pytest

from orchestrator import metrics, pace
from orchestrator.metrics import DEFINITIONS, PREFIX, SEND_S, Definition, SweepMetrics
from orchestrator.sweep_state import Status, SweepState

DEADLINE_S = 120
SWEEP = {"experiment": "byhand", "profile": "full"}


class FakeGauge:
    """Keeps (name, labels, value) of every call in `calls`."""

    calls: list[tuple[str, dict[str, str], float]] = []

    def __init__(self, definition: Definition) -> None:
        self.definition = definition

    def set(self, value: float, tags: dict[str, str]) -> None:
        assert set(tags) == set(self.definition.labels)
        self.calls.append((self.definition.name, tags, value))


@pytest.fixture
def gauges(monkeypatch: pytest.MonkeyPatch) -> type[FakeGauge]:
    FakeGauge.calls = []
    return FakeGauge


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    class Clock:
        now = 1000.0

        def monotonic(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(metrics, "time", made)
    return made


@pytest.fixture
def state(make_task, make_graph) -> SweepState:
    tasks = {name: make_task(name) for name in ("a", "b", "c", "d")}
    kinds = (Status.CACHED, Status.SUBMITTED, Status.SUBMITTED, Status.WAITING)
    status = {task.key: kind for task, kind in zip(tasks.values(), kinds, strict=True)}
    live = {tasks["b"].key: {"step": 10, "progress": 0.25, "loss": 0.5, "validation_miou": 0.4, "memory_bytes": 1e9}}
    return SweepState(make_graph(*tasks.values()), status, live=live, mlflow_queue=7)


def test_the_gauges_of_a_sweep_and_of_what_runs(state: SweepState, gauges, clock) -> None:
    costs = {"byhand/full/" + stage: [60.0] for stage in "abcd"}
    sent = SweepMetrics(costs, 1.0, gauges)
    sent.update(state)
    (running,) = state.live
    clock.now += SEND_S
    gauges.calls.clear()
    state.live = {running: {**state.live[running], "step": 20, "loss": math.inf, "gpu_memory_bytes": 2e9}}
    sent.update(state)
    counts = {labels["state"]: value for name, labels, value in gauges.calls if name == "segshift_tasks"}
    assert counts == {"cached": 1, "done": 0, "running": 1, "waiting": 2, "failed": 0, "skipped": 0}
    others = [call for call in gauges.calls if call[0] != "segshift_tasks"]
    task = SWEEP | {"task": "b"}
    # three tasks of 60 s to go, a quarter of one done
    assert sorted(others, key=str) == sorted(
        [
            ("segshift_seconds_to_go", SWEEP, 165.0),
            ("segshift_mlflow_queue", SWEEP, 7.0),
            ("segshift_iterations_per_second", task, 10 / SEND_S),
            ("segshift_progress_ratio", task, 0.25),
            ("segshift_miou", task, 0.4),
            ("segshift_task_memory_bytes", task, 1e9),
            ("segshift_gpu_memory_bytes", task, 2e9),
        ],
        key=str,
    ), "a loss that is not finite is no number to show"


def test_they_are_set_again_before_ray_forgets_them_and_no_oftener(state: SweepState, gauges, clock) -> None:
    sent = SweepMetrics({}, 1.0, gauges)
    moments = []
    for step in range(40):
        clock.now = 1000.0 + 0.5 * step
        before = len(gauges.calls)
        sent.update(state)
        if len(gauges.calls) > before:
            moments.append(clock.now)
    assert moments == [1000.0, 1005.0, 1010.0, 1015.0]
    assert SEND_S <= 10, "Ray forgets a gauge after two report intervals of 10 s"


def test_what_is_said_of_a_task_ends_with_it(state: SweepState, gauges, clock) -> None:
    sent = SweepMetrics({}, 1.0, gauges)
    sent.update(state)
    assert any("task" in labels for _, labels, _ in gauges.calls)
    gauges.calls.clear()
    clock.now += SEND_S
    (running,) = state.live
    state.status[running] = Status.DONE  # its last scalars may still be there
    sent.update(state)
    assert gauges.calls
    assert not any("task" in labels for _, labels, _ in gauges.calls)


def test_names_end_with_their_unit_and_are_told_apart() -> None:
    assert len({definition.name for definition in DEFINITIONS}) == len(DEFINITIONS)
    for definition in DEFINITIONS:
        assert definition.name.startswith("segshift_")
        assert definition.text.endswith(".")
        assert definition.labels[:2] == ("experiment", "profile")
    assert pace.WINDOW_S > 2 * SEND_S, "a rate needs two looks"


def read_port(port: str) -> list[str]:
    try:
        with urllib.request.urlopen(port, timeout=10) as answer:
            return [line for line in answer.read().decode().splitlines() if line.startswith(PREFIX + "segshift")]
    except OSError:  # it does not listen yet
        return []


@pytest.mark.slow
def test_a_real_ray_offers_them_and_forgets_those_of_a_finished_task(state: SweepState) -> None:
    import ray

    from orchestrator.cluster_session import open_cluster

    costs = {"byhand/full/" + stage: [60.0] for stage in "abcd"}
    (running,) = state.live
    with open_cluster(None, dashboard=False, cpus=1):
        (node,) = ray.nodes()
        port = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
        sent = SweepMetrics(costs, 1.0)
        deadline = time.monotonic() + DEADLINE_S

        def wait_for(*, loss: bool) -> list[str]:
            while True:
                sent.update(state)
                lines = read_port(port)
                if lines and any("_loss{" in line for line in lines) is loss:
                    return lines
                assert time.monotonic() < deadline, lines
                time.sleep(1)

        lines = wait_for(loss=True)
        (loss,) = (line for line in lines if "segshift_loss{" in line)
        assert 'experiment="byhand"' in loss
        assert 'task="b"' in loss
        assert loss.endswith("} 0.5")
        offered = {line.partition("{")[0] for line in lines}
        # no GPU here, and no second step yet
        silent = {PREFIX + metrics.GPU_MEMORY.name, PREFIX + metrics.RATE.name}
        assert {PREFIX + definition.name for definition in DEFINITIONS} - silent <= offered
        state.status[running] = Status.DONE
        lines = wait_for(loss=False)
        assert any("segshift_tasks{" in line for line in lines), "the sweep itself goes on"
