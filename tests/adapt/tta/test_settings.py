"""What an experiment file may and may not say about methods, resets and streams."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import TypeAdapter, ValidationError

from adapt.tta.settings import (
    BnStatsSettings,
    MethodSettings,
    SourceSettings,
    TentSettings,
)


def test_the_name_chooses_the_method():
    method = TypeAdapter(MethodSettings)
    assert method.validate_python({"name": "source"}) == SourceSettings()
    assert method.validate_python({"name": "bn_stats"}) == BnStatsSettings()
    assert method.validate_python({"name": "tent", "lr": 1e-3}) == TentSettings(lr=1e-3)
    assert TentSettings() == TentSettings(optimizer="adam", lr=7.5e-6, momentum=0.9)


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "tant"},
        {"name": "source", "lr": 1e-3},
        {"name": "tent", "lr": 0},
        {"name": "tent", "momentum": 1.0},
        {"name": "tent", "optimizer": "lion"},
        {},
    ],
)
def test_refuses_other_methods_and_keys(settings):
    with pytest.raises(ValidationError):
        TypeAdapter(MethodSettings).validate_python(settings)


def test_importing_the_settings_loads_no_heavy_package():
    heavy = {"torch", "cv2", "scipy", "skimage", "mmseg", "ray", "mlflow"}
    code = f"import sys, adapt.tta.settings; print(sorted({heavy!r} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
