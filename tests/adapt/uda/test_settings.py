"""The UDA settings: each method's name chooses the values of its paper, and every part can be left out."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from adapt.uda.settings import UdaSettings


def read(data: dict[str, Any]) -> Any:
    return TypeAdapter(UdaSettings).validate_python(data)


def test_daformers_constants() -> None:
    settings = read({"name": "daformer"})

    assert (settings.ema_alpha, settings.pseudo_threshold, settings.mix) == (0.999, 0.968, "class_mix")
    assert (settings.ignore_top, settings.ignore_bottom, settings.image_margins) == (0, 0, (0, 0, 0, 0))
    assert settings.rare_class.model_dump() == {
        "temperature": 0.01, "min_pixels": 3000, "min_crop_pixels": 1500, "max_tries": 10,
    }  # fmt: skip
    assert settings.strong_augment.model_dump() == {
        "jitter_probability": 0.8, "jitter_strength": 0.2, "blur_probability": 0.5, "blur_sigma": (0.15, 1.15),
    }  # fmt: skip
    assert settings.feature_distance.model_dump() == {
        "weight": 0.005, "classes": (6, 7, 11, 12, 13, 14, 15, 16, 17, 18), "min_ratio": 0.75, "stage": -1,
        "reference": "imagenet",
    }  # fmt: skip
    assert (settings.multi_resolution, settings.masked_consistency, settings.evaluate_with) == (None, None, "student")


def test_dacs_lacks_what_daformer_added() -> None:
    settings = read({"name": "dacs"})

    assert (settings.ema_alpha, settings.rare_class, settings.feature_distance) == (0.99, None, None)
    assert settings.strong_augment is not None


def test_hrdas_constants() -> None:
    settings = read({"name": "hrda"})

    assert settings.multi_resolution.model_dump() == {
        "detail_crop": (512, 512), "context_scale": 0.5, "detail_weight": 0.1, "offset_multiple": 8,
        "attention_channels": 256, "window": (1024, 1024),
    }  # fmt: skip
    assert settings.image_margins == (30, 240, 30, 30)
    assert settings.rare_class.min_crop_pixels == 6000
    assert settings.feature_distance is not None


def test_mic_goes_on_either() -> None:
    alone, over_hrda = read({"name": "mic"}), read({"name": "mic", "multi_resolution": {}})

    assert alone.masked_consistency.model_dump() == {"block": 32, "ratio": 0.7, "weight": 1.0}
    assert alone.multi_resolution is None
    assert over_hrda.multi_resolution.detail_crop == (512, 512)
    assert over_hrda.masked_consistency.model_dump() == {"block": 64, "ratio": 0.7, "weight": 1.0}
    assert (over_hrda.image_margins, over_hrda.rare_class.min_crop_pixels) == ((30, 240, 30, 30), 6000)


def test_mic_over_hrda_keeps_what_is_given() -> None:
    given = {"rare_class": None, "masked_consistency": {"block": 6}, "image_margins": [0, 0, 0, 0]}

    settings = read({"name": "mic", "multi_resolution": {}, **given})

    assert (settings.rare_class, settings.masked_consistency.block) == (None, 6)
    assert settings.image_margins == (0, 0, 0, 0)
    assert read(settings.model_dump(mode="json")) == settings


def test_minent_weighs_entropy_as_the_paper() -> None:
    assert read({"name": "minent"}).entropy_weight == 0.001


@pytest.mark.parametrize("part", ["rare_class", "feature_distance", "strong_augment"])
def test_every_part_can_be_left_out(part: str) -> None:
    assert getattr(read({"name": "daformer", part: None}), part) is None


def test_unknown_mixing_is_refused() -> None:
    with pytest.raises(ValidationError, match="mix"):
        read({"name": "daformer", "mix": "class"})


def test_unknown_method_is_refused() -> None:
    with pytest.raises(ValidationError, match="daformer"):
        read({"name": "hrd"})
