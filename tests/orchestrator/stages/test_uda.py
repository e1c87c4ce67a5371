"""What the `uda` stage prepares before it adapts."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from adapt.data.cache import CacheSettings
from adapt.data.layout import list_frames
from adapt.noise.class_counts import count_noisy_classes
from adapt.noise.settings import FlipSettings
from experiments.planning import plan_experiment
from experiments.workspace import Workspace
from orchestrator.cli.sweep import draw_miniature
from orchestrator.driver import assign
from orchestrator.execute import execute
from orchestrator.store import Store
from tests.orchestrator.stages.conftest import WORLD

STAGES = """\
  adapted:
    kind: uda
    model: net
    source: source
    target: fog
    noise: {name: flip, rate: 0.5, unit: pixel}
    matrix: {seed: [0, 1]}
    seed: ${matrix.seed}
    training: {iterations: 8, batch_size: 2, checkpoint_interval: 4, augment: {crop: [32, 32]}}
    method: {rare_class: {min_pixels: 1, min_crop_pixels: 1}, feature_distance: null}
"""


@pytest.mark.parametrize(("is_cached", "counted"), [(False, [1, 0, 1, 0]), (True, [1, 0, 0, 0])])
def test_noisy_classes_are_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_cached: bool, counted: list[int]
) -> None:
    (tmp_path / "world.yaml").write_text(WORLD + STAGES)
    settings = CacheSettings(folder=tmp_path / "cache") if is_cached else None
    plan = plan_experiment(
        str(tmp_path / "world.yaml"), Workspace(store=tmp_path / "store", weights=tmp_path, cache=settings)
    )
    draw_miniature(plan, 1, Console(file=io.StringIO()))
    calls: list[np.ndarray] = []
    given: list[np.ndarray] = []

    def count(*arguments: Any) -> np.ndarray:
        calls.append(count_noisy_classes(*arguments))
        return calls[-1]

    def stop(*arguments: Any, class_counts: np.ndarray, **options: Any) -> None:
        given.append(class_counts)
        raise RuntimeError("killed")

    monkeypatch.setattr("adapt.noise.class_counts.count_noisy_classes", count)
    monkeypatch.setattr("orchestrator.stages.uda.train_uda", stop)
    store, seen = Store(tmp_path / "store"), []
    for task in plan.graph.tasks.values():
        for _ in range(2):  # interrupted, and begun again
            before = len(calls)
            record = execute(assign(plan, task), store, lambda step, values: None)
            assert record.failure is not None
            assert record.failure.message == "RuntimeError: killed"
            seen.append(len(calls) - before)
    assert seen == counted
    source = task.datasets["source"].settings
    frames = list_frames(source, assign(plan, task).roots["source"])
    expected = count_noisy_classes(frames, source, FlipSettings(rate=0.5, unit="pixel"))
    assert all(np.array_equal(counts, expected) for counts in given)
    assert len(given) == 4
