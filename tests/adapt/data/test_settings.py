"""The settings are data: frozen, strict, and without a path."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from adapt.data.settings import DatasetSettings


def test_one_split_and_several_read_alike() -> None:
    assert DatasetSettings(type="camvid", split="val").splits == ("val",)
    assert DatasetSettings(type="camvid", split=("train", "val")).splits == ("train", "val")


def test_survives_json() -> None:
    settings = DatasetSettings(type="acdc", split=("train", "val"), subset=("fog",), resize=(960, 540))
    again = DatasetSettings.model_validate(json.loads(json.dumps(settings.model_dump(mode="json"))))
    assert again == settings


@pytest.mark.parametrize("extra", [{"root": "/data"}, {"resize": (0, 540)}, {"resize": (960,)}, {"subset": "fog"}])
def test_refuses(extra: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        DatasetSettings.model_validate({"type": "acdc", "split": "val", **extra})


def test_is_frozen() -> None:
    settings = DatasetSettings(type="acdc", split="val")
    with pytest.raises(ValidationError):
        settings.split = "train"  # type: ignore[misc]
