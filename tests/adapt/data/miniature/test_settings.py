"""The miniature's settings: defaults, bounds, and an import light enough for the planner."""

from __future__ import annotations

import subprocess
import sys

import pytest
from pydantic import ValidationError

from adapt.data.miniature.settings import VERSION, MiniatureSettings


def test_defaults_are_those_of_the_documented_miniature() -> None:
    assert VERSION >= 1
    assert MiniatureSettings().model_dump() == {
        "seed": 0,
        "size": (192, 96),
        "source_train": 120,
        "target_train": 120,
        "target_val": 40,
        "acdc_per_condition": 16,
        "clip_frames": 12,
    }


@pytest.mark.parametrize("wrong", [{"seed": -1}, {"size": (8, 96)}, {"source_train": -1}, {"frames": 3}])
def test_wrong_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MiniatureSettings.model_validate(wrong)


def test_settings_import_neither_torch_nor_opencv() -> None:
    code = (
        "import sys, adapt.data.miniature.settings; "
        "heavy = {'torch', 'cv2', 'mmseg', 'numpy'} & set(sys.modules); sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
