"""Toy frames with labels, and trainings on them in a few seconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from adapt.correction.train import NoisyTraining, train_on_noisy_labels
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.training.settings import AugmentSettings, OptimizerSettings, ScheduleSettings, TrainSettings


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def camvid() -> DatasetSettings:
    return DatasetSettings(type="camvid", split="train")


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory, write_toy_frame: Callable[..., Frame]) -> tuple[Frame, ...]:
    """Six frames of 64x32."""
    root = tmp_path_factory.mktemp("toy")
    generator = np.random.default_rng(7)
    colors = generator.integers(0, 256, size=(11, 3))
    return tuple(write_toy_frame(root, f"frame{index}", colors, generator) for index in range(6))


@pytest.fixture
def train(
    frames: tuple[Frame, ...], camvid: DatasetSettings, model_config: dict[str, Any], tmp_path: Path
) -> Callable[..., NoisyTraining]:
    """Train on the frames, three an iteration: two iterations are an epoch."""

    def run(
        folder: str, iterations: int = 12, on_step: Any = None, frames: Any = frames, config: Any = model_config,
        seed: int = 5, **options: Any,
    ) -> NoisyTraining:  # fmt: skip
        settings = TrainSettings(
            iterations=iterations,
            batch_size=3,
            optimizer=OptimizerSettings(lr=5e-3, head_lr_multiplier=1),
            schedule=ScheduleSettings(warmup_iterations=1),
            augment=AugmentSettings(crop=(48, 32), cat_max_ratio=1.0),
            checkpoint_interval=3,
            log_interval=1,
        )
        return train_on_noisy_labels(
            config,
            frames,
            camvid,
            settings,
            seed,
            tmp_path / folder,
            on_step or (lambda iteration, metrics: None),
            **options,
        )

    return run
