"""A tiny world on disk, and experiments that are run there task by task, in this process and without Ray."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from experiments.planning import Plan, plan_experiment
from experiments.task import Task
from experiments.workspace import Workspace
from orchestrator.cli.sweep import draw_miniature
from orchestrator.driver import assign
from orchestrator.execute import execute
from orchestrator.record import Record
from orchestrator.store import Store

WORLD = """\
title: stages of test-time adaptation, in seconds
datasets:
  source: {type: gta, split: train}
  fog: {type: acdc, split: val, subset: [fog]}
  night: {type: acdc, split: val, subset: [night]}
  rain: {type: acdc, split: val, subset: [rain]}
models: {net: {config: cgnet_small}}
miniature: {size: [64, 32], source_train: 4, target_train: 1, target_val: 1, acdc_per_condition: 2, clip_frames: 0}
stages:
"""


@dataclass(frozen=True)
class Run:
    """What became of an experiment."""

    plan: Plan
    store: Store
    records: Mapping[str, Record]

    def task(self, name: str) -> Task:
        return next(task for task in self.plan.graph.nodes if task.name == name)

    def folder(self, name: str) -> Path:
        return self.store.folder(self.task(name).key)

    def frames(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder(name) / "frames.jsonl").read_text().splitlines()]


def run_experiment(stages: str, root: Path) -> Run:
    file = root / "world.yaml"
    file.write_text(WORLD + stages)
    plan = plan_experiment(str(file), Workspace(store=root / "store", weights=root))
    plan.require()
    draw_miniature(plan, 1, Console(file=io.StringIO()))
    store = Store(root / "store")
    records = {
        task.name: execute(assign(plan, task), store, lambda step, values: None) for task in plan.graph.tasks.values()
    }
    return Run(plan, store, records)


@pytest.fixture
def run_stages(tmp_path: Path) -> Callable[[str], Run]:
    """Run the stages of a text, given as in a file, over the tiny world."""
    return lambda stages: run_experiment(stages, tmp_path)
