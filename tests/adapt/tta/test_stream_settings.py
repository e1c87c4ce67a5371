"""What an experiment file may and may not say about resets and streams."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from adapt.tta.stream_settings import DomainSettings, ResetSettings, StreamSettings, TemporalSettings

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


def test_a_severity_needs_a_corruption_that_exists():
    assert DomainSettings(**FOG).label == "acdc_fog"
    assert DomainSettings(dataset="cityscapes", corruption="fog", severity=3).label == "cityscapes/fog/3"
    assert DomainSettings(dataset="cityscapes", corruption="fog").label == "cityscapes/fog"
    with pytest.raises(ValidationError, match="go together"):
        DomainSettings(dataset="cityscapes", severity=3)
    with pytest.raises(ValidationError):
        DomainSettings(dataset="cityscapes", corruption="fog", severity=6)
    with pytest.raises(ValidationError, match="did you mean 'fog'"):
        DomainSettings(dataset="cityscapes", corruption="fogg", severity=3)


@pytest.mark.parametrize("kind", ["continual", "recurring", "cdc", "mixed"])
def test_a_corruption_without_severity_is_for_gradual_streams_alone(kind):
    rising = {"dataset": "cityscapes", "corruption": "fog"}
    rounds = {"rounds": 2} if kind == "recurring" else {}
    with pytest.raises(ValidationError, match="corruption and severity go together"):
        StreamSettings(kind=kind, domains=(NIGHT, rising), **rounds)
    assert StreamSettings(kind="gradual", domains=(rising,)).domains[0].severity is None
    for wrong in (NIGHT, rising | {"severity": 3}):
        with pytest.raises(ValidationError, match="names a corruption and no severity"):
            StreamSettings(kind="gradual", domains=(wrong,))


def test_rounds_fit_the_kind():
    two = (FOG, NIGHT)
    assert StreamSettings(kind="recurring", domains=two, rounds=2).rounds == 2
    with pytest.raises(ValidationError, match="rounds: 2 or more"):
        StreamSettings(kind="recurring", domains=two)
    for kind in ("cdc", "mixed"):
        assert StreamSettings(kind=kind, domains=two).rounds == 1
        with pytest.raises(ValidationError, match=f"kind '{kind}'.* has no rounds, got rounds=3"):
            StreamSettings(kind=kind, domains=two, rounds=3)


@pytest.mark.parametrize("kind", ["continual", "mixed"])
def test_a_run_length_is_for_recurring_and_cdc_alone(kind):
    assert StreamSettings(kind="recurring", domains=(FOG, NIGHT), rounds=2, run_length=5).run_length == 5
    assert StreamSettings(kind="cdc", domains=(FOG, NIGHT), run_length=5).run_length == 5
    with pytest.raises(ValidationError, match="run_length belongs to"):
        StreamSettings(kind=kind, domains=(FOG, NIGHT), run_length=5)
    with pytest.raises(ValidationError):
        StreamSettings(kind="cdc", domains=(FOG, NIGHT), run_length=0)


def test_temporal_settings_name_a_flow_and_each_window_once():
    assert TemporalSettings() == TemporalSettings(flow="dis", windows=(8, 16), drop_last=False, perceptual=False)
    assert TemporalSettings(flow="my_package.flows:raft").flow == "my_package.flows:raft"
    for wrong in ("raft", "package.module", ":function", "package:two:three"):
        with pytest.raises(ValidationError, match="flow"):
            TemporalSettings(flow=wrong)
    with pytest.raises(ValidationError, match="named once"):
        TemporalSettings(windows=(8, 8))
    with pytest.raises(ValidationError):
        TemporalSettings(windows=(1,))


def test_the_kind_of_a_stream_fits_its_domains():
    StreamSettings(kind="single", domains=(FOG,))
    StreamSettings(kind="continual", domains=(FOG, NIGHT), rounds=10)
    with pytest.raises(ValidationError, match="'single' has one domain, got 2"):
        StreamSettings(kind="single", domains=(FOG, NIGHT))
    for kind in ("continual", "recurring", "cdc", "mixed"):
        with pytest.raises(ValidationError, match="at least two domains"):
            StreamSettings(kind=kind, domains=(FOG,), rounds=2 if kind == "recurring" else 1)
    with pytest.raises(ValidationError, match="acdc_fog is repeated"):
        StreamSettings(kind="continual", domains=(FOG, NIGHT, FOG))
