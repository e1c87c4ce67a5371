"""Finding a network's config by path or name, without importing torch or mmsegmentation."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from adapt.errors import SpecError
from adapt.model import ModelSettings, find_config, list_configs


def test_config_is_found_by_path_own_name_and_shipped_name(tmp_path: Path) -> None:
    own = tmp_path / "mine.py"
    own.write_text("model = dict()")
    assert find_config(own) == own
    assert find_config("cgnet_camvid").parent.name == "models"
    assert find_config("cgnet_camvid.py") == find_config("cgnet_camvid")
    shipped = find_config("segformer_mit-b5_8xb1-160k_cityscapes-1024x1024")
    assert shipped.parent.name == "segformer"
    assert shipped.is_file()


def test_listing_covers_both_places_and_no_base_files() -> None:
    configs = list_configs()
    assert {"cgnet_small", "cgnet_camvid", "segformer_mit_small"} <= configs.keys()
    assert len(configs) > 500
    assert all("_base_" not in path.parts and path.is_file() for path in configs.values())
    assert "segformer_mit-b0" not in configs


def test_unknown_config_lists_the_closest(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=r"'cgnet_camvd'.*Closest: cgnet_camvid"):
        find_config("cgnet_camvd")
    with pytest.raises(SpecError, match=r"is not a file"):
        find_config(tmp_path / "none.py")


def test_settings_refuse_unknown_keys() -> None:
    with pytest.raises(ValidationError, match="overides"):
        ModelSettings.model_validate({"config": "x", "overides": {}})


def test_module_is_light() -> None:
    script = (
        "import sys; from adapt.model import find_config; find_config('cgnet_small')\n"
        "print([m for m in ('torch', 'mmengine', 'mmseg', 'mmcv', 'cv2', 'experiments') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
