"""What the settings of noise refuse, and that reading them costs nothing."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from adapt.noise.settings import NoiseSettings

ADAPTER: TypeAdapter[Any] = TypeAdapter(NoiseSettings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "drop", "rate": 1.01}, "less than or equal to 1"),
        ({"name": "drop", "rate": -0.1}, "greater than or equal to 0"),
        ({"name": "drop"}, "Field required"),
        ({"name": "erosion", "rate": 0.1}, "does not match any of the expected tags"),
        ({"name": "morphology", "rate": 0.1, "iterations": []}, "at least 1 item"),
        ({"name": "boundary", "rate": 0.1, "distance": 0.5}, "greater than or equal to 1"),
        ({"name": "flip", "rate": 0.1, "target": "pair"}, "belong together"),
        ({"name": "flip", "rate": 0.1, "pairs": {"car": "bus"}}, "belong together"),
        ({"name": "flip", "rate": 0.1, "target": "pair", "pairs": {"car": "car"}}, "for itself"),
        ({"name": "weak", "rate": 0.1, "distance": 3}, "Extra inputs"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ADAPTER.validate_python(settings)


def test_the_model_chooses_the_settings() -> None:
    settings = ADAPTER.validate_python({"name": "morphology", "rate": 0.3})
    assert (settings.iterations, settings.area, settings.seed, settings.background) == ((2, 3, 4), 1000.0, 0, None)
    assert ADAPTER.validate_json(settings.model_dump_json()) == settings


def test_the_planner_may_read_them() -> None:
    script = (
        "import sys, adapt.noise.settings; "
        "print({'torch', 'cv2', 'numpy', 'scipy', 'mmseg'} & {name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
