"""What an experiment file may and may not say about resets and streams."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from adapt.tta.stream_settings import DomainSettings, ResetSettings, StreamSettings

FOG = {"dataset": "acdc_fog"}
NIGHT = {"dataset": "acdc_night"}


def test_a_period_goes_with_every_n_and_with_nothing_else():
    assert ResetSettings(policy="every_n", n=50).n == 50
    assert ResetSettings() == ResetSettings(policy="never")
    with pytest.raises(ValidationError, match="needs n"):
        ResetSettings(policy="every_n")
    with pytest.raises(ValidationError, match="n belongs to"):
        ResetSettings(policy="on_shift", n=50)
    with pytest.raises(ValidationError):
        ResetSettings(policy="every_n", n=0)


def test_a_domain_has_corruption_and_severity_or_neither():
    assert DomainSettings(**FOG).label == "acdc_fog"
    assert DomainSettings(dataset="cityscapes", corruption="fog", severity=3).label == "cityscapes/fog/3"
    for half in ({"corruption": "fog"}, {"severity": 3}):
        with pytest.raises(ValidationError, match="go together"):
            DomainSettings(dataset="cityscapes", **half)
    with pytest.raises(ValidationError):
        DomainSettings(dataset="cityscapes", corruption="fog", severity=6)
    with pytest.raises(ValidationError, match="did you mean 'fog'"):
        DomainSettings(dataset="cityscapes", corruption="fogg", severity=3)


def test_the_kind_of_a_stream_fits_its_domains():
    StreamSettings(kind="single", domains=(FOG,))
    StreamSettings(kind="continual", domains=(FOG, NIGHT), rounds=10)
    with pytest.raises(ValidationError, match="'single' has one domain, got 2"):
        StreamSettings(kind="single", domains=(FOG, NIGHT))
    with pytest.raises(ValidationError, match="at least two domains"):
        StreamSettings(kind="continual", domains=(FOG,))
    with pytest.raises(ValidationError, match="acdc_fog is repeated"):
        StreamSettings(kind="continual", domains=(FOG, NIGHT, FOG))
