"""A benchmark shared out on a real local Ray: the same record as in one process, and a shard that dies is replaced."""

from __future__ import annotations

import io
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.planning import Plan, plan_experiment
from experiments.task import Task
from experiments.workspace import Workspace
from orchestrator import driver, shards
from orchestrator.cli.sweep import draw_miniature
from orchestrator.cluster_session import open_cluster
from orchestrator.driver import assign
from orchestrator.execute import execute
from orchestrator.record import Record
from orchestrator.store import Store
from orchestrator.sweep_state import survey

WORLD = """\
title: a benchmark in shards
datasets:
  day: {type: cityscapes, split: val}
  night: {type: acdc, split: val, subset: [night]}
models: {net: {config: cgnet_small}}
miniature: {size: [64, 32], source_train: 1, target_train: 1, target_val: 40, acdc_per_condition: 2, clip_frames: 0}
resources: {cpus: 1}
stages:
  grid:
    kind: benchmark
    model: net
    dataset: day
    shifts: [night]
    protocol: {name: three, cells: {contrast: [1, 4], brightness: 2}}
    shards: 2
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    file = tmp_path / "world.yaml"
    file.write_text(WORLD)
    plan = plan_experiment(str(file), Workspace(store=tmp_path / "store", weights=tmp_path))
    plan.require()
    draw_miniature(plan, 1, Console(file=io.StringIO()))
    return plan


@pytest.fixture
def _cluster() -> Iterator[None]:
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with open_cluster(None, dashboard=False, cpus=2):
        yield
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


def with_shards(plan: Plan, shards: int) -> Plan:
    """Return the plan with another number of shards, which is the same task."""
    (task,) = plan.graph.tasks.values()
    other = replace(task, settings=task.settings.model_copy(update={"shards": shards}))
    return replace(plan, graph=replace(plan.graph, tasks={task.key: other}, nodes=(other,)))


def sweep(plan: Plan, store: Store) -> Record:
    state = driver.run_sweep(plan, survey(plan.graph, store), store, None, lambda state: None)
    assert not state.messages
    (task,) = plan.graph.tasks.values()
    return store.read(task.key)


def run_with_a_shard_that_dies(assignment: Any, store: Store, tracker: Any) -> tuple[str, float, str | None]:
    """Run the real worker function; the first shard that finishes a unit is killed."""
    real = shards._Shard

    class Frail(real):
        def compute(self, plan: Any, task: Task, context: Any, queue: Any) -> tuple[str, str] | None:
            from orchestrator.stages import benchmark

            whole = benchmark.compute_units

            def compute_units(*arguments: Any, on_unit: Any, **options: Any) -> None:
                def die_once(unit: Any) -> None:
                    try:
                        (context.scratch / "died").touch(exist_ok=False)
                    except FileExistsError:
                        on_unit(unit)
                    else:
                        os.kill(os.getpid(), signal.SIGKILL)

                whole(*arguments, on_unit=die_once, **options)

            benchmark.compute_units = compute_units
            return super().compute(plan, task, context, queue)

    shards._Shard = Frail  # type: ignore[misc]
    return _run_on_worker(assignment, store, tracker)


_run_on_worker = driver.run_on_worker


@pytest.mark.slow
@pytest.mark.usefixtures("_cluster")
def test_shards_make_the_record_of_one_process(plan: Plan, tmp_path: Path) -> None:
    (task,) = plan.graph.tasks.values()
    alone = Store(tmp_path / "alone")
    alone.check_writable()
    expected = execute(assign(plan, task), alone, lambda step, values: None)
    store = Store(tmp_path / "store")
    store.check_writable()
    record = sweep(plan, store)
    assert len(expected.cells) == 5
    assert record.cells == expected.cells
    assert (record.network, record.protocol) == (expected.network, expected.protocol)
    assert record.files["counts.npz"].size_bytes > 0
    assert record.environment["pid"] not in (expected.environment["pid"], os.getpid())
    assert record.peak_memory_bytes


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 5])  # as many as there is room for, and more
@pytest.mark.usefixtures("_cluster")
def test_a_shard_that_dies_is_replaced_and_damaged_counts_are_made_anew(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    store = Store(tmp_path / "store")
    store.check_writable()
    plan = with_shards(plan, count)
    (task,) = plan.graph.tasks.values()
    units = store.scratch(task.key) / "units"
    units.mkdir(parents=True)
    (units / "clean-0-32.npz").write_bytes(b"damaged")
    monkeypatch.setattr(driver, "run_on_worker", run_with_a_shard_that_dies)
    record = sweep(plan, store)
    assert record.failure is None
    assert [cell.frames for cell in record.cells] == [40, 2, 40, 40, 40]


def kill_the_queue(assignment: Any, store: Store, tracker: Any) -> tuple[str, float, str | None]:
    """Run the real worker function; the first queue dies at its third claim."""
    real, died = shards._Queue, store.scratch(assignment.task.key) / "queue-died"

    class Frail(real):
        def claim(self) -> Any:
            if len(self.units) == 5 and not died.exists():
                died.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            return super().claim()

    shards._Queue = Frail  # type: ignore[misc]
    return _run_on_worker(assignment, store, tracker)


@pytest.mark.slow
@pytest.mark.usefixtures("_cluster")
def test_a_queue_that_is_lost_is_replaced(plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path / "store")
    store.check_writable()
    monkeypatch.setattr(driver, "run_on_worker", kill_the_queue)
    assert [cell.frames for cell in sweep(plan, store).cells] == [40, 2, 40, 40, 40]


@pytest.mark.slow
@pytest.mark.usefixtures("_cluster")
def test_an_error_in_a_shard_is_the_task_s(plan: Plan, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.check_writable()
    root = plan.facts.find_root("day")
    assert root is not None
    broken = sorted(root.rglob("*_leftImg8bit.png"))[-1]
    broken.write_bytes(b"no image")
    state = driver.run_sweep(plan, survey(plan.graph, store), store, None, lambda state: None)
    (message,) = state.messages.values()
    assert broken.name in message
