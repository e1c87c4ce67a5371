"""The noise transform in a mmsegmentation pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose
from mmengine.registry import DefaultScope
from pydantic import ValidationError

import adapt.openmmlab.registration  # noqa: F401
from adapt.errors import SpecError
from adapt.noise.catalog import add_noise
from adapt.noise.settings import FlipSettings

CLASSES = ("road", "car", "sky")
NOISE = {"name": "flip", "rate": 0.5, "seed": 4}


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Any]:
    label = np.random.default_rng(0).integers(0, 3, (12, 16)).astype(np.uint8)
    label[3] = 255
    cv2.imwrite(str(tmp_path / "city_1_leftImg8bit.png"), np.zeros((12, 16, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "label.png"), label)
    return {
        "img_path": str(tmp_path / "city_1_leftImg8bit.png"),
        "seg_map_path": str(tmp_path / "label.png"),
        "label_map": None,
        "reduce_zero_label": False,
        "seg_fields": [],
        "clean": label,
    }


def run(files: dict[str, Any], **settings: Any) -> Any:
    steps = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "NoisyLabels", "settings": NOISE, "classes": CLASSES, **settings},
        {"type": "PackSegInputs"},
    ]
    with DefaultScope.overwrite_default_scope("mmseg"):
        return Compose(steps)(dict(files, seg_fields=[]))


@pytest.mark.parametrize(
    ("suffix", "name"), [(None, "city_1_leftImg8bit"), ("_leftImg8bit.png", "city_1")], ids=["stem", "suffix"]
)
def test_the_packed_label_is_noisy(files: dict[str, Any], suffix: str | None, name: str) -> None:
    expected = add_noise(files["clean"], FlipSettings(rate=0.5, seed=4), name, CLASSES).label
    assert (expected != files["clean"]).any()
    for _ in range(2):  # the same each time that the image comes
        packed = run(files, image_suffix=suffix)["data_samples"].gt_sem_seg.data
        np.testing.assert_array_equal(packed[0].numpy(), expected)


def test_what_is_refused(files: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="closest is 'road'"):
        run(files, settings={**NOISE, "background": "Road"})
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        run(files, settings={**NOISE, "rate": 30})
    with pytest.raises(SpecError, match="holds the id 2, but 2 classes"):
        run(files, classes=CLASSES[:2])
    with DefaultScope.overwrite_default_scope("mmseg"):
        pipeline = Compose([{"type": "NoisyLabels", "settings": NOISE, "classes": CLASSES}])
        with pytest.raises(SpecError, match="behind `LoadAnnotations`"):
            pipeline({"img_path": "x.png"})
        assert "FlipSettings(rate=0.5, seed=4" in repr(pipeline)
