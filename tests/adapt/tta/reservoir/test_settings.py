"""What an experiment file may say of the style extractor and of the reservoir."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from adapt.tta.reservoir.settings import StyleExtractorSettings
from adapt.tta.settings import CottaSettings, ReservoirSettings, TentSettings


def test_vgg19_needs_weights_and_early_takes_none():
    assert StyleExtractorSettings(name="vgg19", weights="vgg19.pth").weights == "vgg19.pth"
    with pytest.raises(ValidationError, match="needs weights"):
        StyleExtractorSettings(name="vgg19")
    with pytest.raises(ValidationError, match="belong to the extractor 'vgg19'"):
        StyleExtractorSettings(weights="vgg19.pth")


def test_the_buffer_holds_a_style_for_each_model():
    assert ReservoirSettings(models=4, buffer=4).buffer == 4
    with pytest.raises(ValidationError, match="raise buffer to at least 4"):
        ReservoirSettings(models=4, buffer=3)


def test_batch_weights_do_not_go_with_cotta():
    assert ReservoirSettings(base=TentSettings(), batch_weights=(0.0, 1.0)).batch_weights == (0.0, 1.0)
    with pytest.raises(ValidationError, match="remove batch_weights"):
        ReservoirSettings(base=CottaSettings(), batch_weights=(1.0,))
