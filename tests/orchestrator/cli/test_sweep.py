"""What `segshift sweep` puts around the driver: a note, notifications and gauges follow what the driver says."""

from __future__ import annotations

import contextlib
import io
import json
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.workspace import NotifySettings, Workspace
from orchestrator import cluster_session, driver, metrics
from orchestrator.capacity import Machine
from orchestrator.cli.sweep import run_waiting
from orchestrator.cluster_session import ClusterSession
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState, survey


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the gauges that are set; there is no Ray."""
    names: list[str] = []

    class Gauge:
        def __init__(self, name: str) -> None:
            self.name = name

        def set(self, value: float, tags: dict[str, str]) -> None:
            names.append(self.name)

    machines = Machine({"CPU": 2.0, "GPU": 0.0, "GB": 1.0}), Machine({"CPU": 4.0, "GPU": 1.0, "GB": 2.0, "fast": 1.0})
    made = ClusterSession("http://ray", machines)
    monkeypatch.setattr(cluster_session, "open_cluster", lambda *a, **k: contextlib.nullcontext(made))
    defaults: Any = metrics.SweepMetrics.__init__.__defaults__
    assert defaults == (metrics.make_ray_gauge,)
    monkeypatch.setattr(metrics.SweepMetrics.__init__, "__defaults__", (lambda definition: Gauge(definition.name),))
    return names


def test_a_failure_is_noted_and_told_while_the_sweep_goes_on(
    told: list[str],
    store: Store,
    make_task,
    make_record,
    make_graph,
    make_plan,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, bad = make_task("good"), make_task("bad")
    graph = make_graph(good, bad)
    state = survey(graph, store)
    notify = NotifySettings(
        command=f'echo "$SEGSHIFT_EVENT $SEGSHIFT_OUTCOME $SEGSHIFT_TASK" >> {tmp_path}/told; exit 1'
    )
    seen: list[Any] = []

    def run_sweep(
        plan: Any, state: SweepState, store: Store, mirror: Any, on_change: Any, grace_s: float, is_elastic: bool
    ) -> SweepState:
        state.status[bad.key], state.messages[bad.key] = Status.FAILED, "no luck"
        on_change(state)
        seen.append(json.loads((store.root / "sweeps" / "byhand-full.json").read_text()))
        state.status[good.key] = Status.DONE
        store.folder(good.key).mkdir(parents=True)
        store.commit(make_record(good))
        return state

    monkeypatch.setattr(driver, "run_sweep", run_sweep)
    console = Console(file=io.StringIO(), width=300)
    options = Namespace(cpus=2, no_servers=True, elastic=False, grace=0.0)
    plan = make_plan(graph)
    plan.loaded = Namespace(settings=Namespace(miniature=None))
    run_waiting(plan, state, store, None, Workspace(store=store.root, notify=notify), options, console)
    assert "ended" not in seen[0]
    assert seen[0]["driver"]["resources"] == {"CPU": 6.0, "GPU": 1.0, "GB": 3.0, "fast": 1.0}
    note = json.loads((store.root / "sweeps" / "byhand-full.json").read_text())
    assert (note["ended"], note["tasks"][bad.key]["message"]) == ("failed", "no luck")
    assert sorted((tmp_path / "told").read_text().splitlines()) == ["end failed ", "failure running bad"]
    assert "segshift_tasks" in told
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "failed bad: no luck" in text
    assert text.count("Warning: the notify command ended with code 1.") == 2
