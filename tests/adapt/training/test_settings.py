"""The training settings: DAFormer's values, importable by the planner."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from adapt.training.settings import PRACTICAL_SETTINGS, OptimizerSettings, TrainSettings


def test_defaults_are_daformers() -> None:
    settings = TrainSettings()

    assert (settings.iterations, settings.batch_size, settings.augment.crop, settings.augment.flip) == (
        40_000, 2, (512, 512), 0.5,
    )  # fmt: skip
    assert (settings.optimizer.type, settings.optimizer.lr, settings.optimizer.betas) == ("adamw", 6e-5, (0.9, 0.999))
    assert (settings.optimizer.weight_decay, settings.optimizer.head_lr_multiplier) == (0.01, 10)
    assert (settings.schedule.warmup_iterations, settings.schedule.warmup_ratio, settings.schedule.power) == (
        1500, 1e-6, 1,
    )  # fmt: skip
    assert settings.augment.cat_max_ratio == 0.75
    assert (settings.accumulate, settings.workers, settings.precision) == (1, 1, "fp32")
    assert (settings.compile, settings.channels_last, settings.picture_interval) == (False, False, 0)


def test_unknown_key_is_refused() -> None:
    with pytest.raises(ValidationError, match="learning_rate"):
        OptimizerSettings.model_validate({"learning_rate": 1})


def test_what_changes_no_result_is_a_field() -> None:
    assert TrainSettings.model_fields.keys() >= PRACTICAL_SETTINGS
    assert "picture_interval" in PRACTICAL_SETTINGS


@pytest.mark.parametrize("module", ["adapt.training.settings", "adapt.uda.settings"])
def test_planner_can_import_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'mmengine' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
