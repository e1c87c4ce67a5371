"""From a plain network's config to that of two resolutions."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import Any

import pytest

from adapt.errors import SpecError
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.uda.settings import MultiResolutionSettings


def test_wrapped_config_keeps_the_parts_and_is_json(model_config: dict[str, Any]) -> None:
    model_config.update(auxiliary_head=None, test_cfg={"mode": "slide", "stride": [1, 1], "crop_size": [2, 2]})
    before = copy.deepcopy(model_config)
    wrapped = wrap_multi_resolution(model_config, MultiResolutionSettings(window=None))
    assert model_config == before
    assert json.loads(json.dumps(wrapped)) == wrapped
    assert wrapped["type"] == "MultiResolution"
    assert wrapped["test_cfg"] == {"mode": "whole"}
    assert wrapped["multi_resolution"]["window"] is None
    assert MultiResolutionSettings.model_validate(wrapped["multi_resolution"]) == MultiResolutionSettings(window=None)
    for name in ("backbone", "decode_head", "data_preprocessor"):
        assert wrapped[name] == model_config[name]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"type": "CascadeEncoderDecoder"}, "EncoderDecoder, not 'CascadeEncoderDecoder'"),
        ({"type": "MultiResolution"}, "EncoderDecoder, not 'MultiResolution'"),
        ({"auxiliary_head": {"type": "FCNHead"}}, "auxiliary_head: null"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(model_config: dict[str, Any], change: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        wrap_multi_resolution({**model_config, **change}, MultiResolutionSettings())


def test_module_is_light() -> None:
    script = (
        "import sys, adapt.networks.multi_resolution_config\n"
        "print([m for m in ('torch', 'mmengine', 'mmseg', 'mmcv', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
