"""The UDA settings: DAFormer's values."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from adapt.uda.settings import UdaSettings


def test_defaults_are_daformers() -> None:
    settings = UdaSettings()

    assert (settings.name, settings.ema_alpha, settings.pseudo_threshold) == ("daformer", 0.999, 0.968)
    assert (settings.ignore_top, settings.ignore_bottom, settings.evaluate_with) == (0, 0, "student")
    assert settings.rare_class is not None
    assert settings.rare_class.model_dump() == {
        "temperature": 0.01, "min_pixels": 3000, "min_crop_pixels": 1500, "max_tries": 10,
    }  # fmt: skip


def test_there_is_no_choice_of_mixing() -> None:
    with pytest.raises(ValidationError, match="mix"):
        UdaSettings.model_validate({"mix": "class"})


def test_unknown_method_is_refused() -> None:
    with pytest.raises(ValidationError, match="daformer"):
        UdaSettings.model_validate({"name": "hrda"})
