"""What entries of streams are called: the method with what it wraps, and settings that are not its defaults."""

from __future__ import annotations

from typing import Any

import pytest

from adapt.settings import Settings
from adapt.tta.settings import (
    CottaSettings,
    EtaSettings,
    RdumbSettings,
    ReservoirSettings,
    SourceSettings,
    TentSettings,
)
from orchestrator.leaderboard.naming import name_entries, show_settings


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        (SourceSettings(), {}),
        (TentSettings(), {}),
        (TentSettings(lr=1e-4, optimizer="sgd"), {"lr": "0.0001", "optimizer": "sgd"}),
        (TentSettings(lr=7.5e-6), {}),
        (CottaSettings(scales=(0.5, 1.0), flip=False), {"scales": "[0.5, 1]", "flip": "False"}),
        (ReservoirSettings(base=EtaSettings()), {}),
        (ReservoirSettings(base=EtaSettings(margin=0.4), models=3), {"base.margin": "0.4", "models": "3"}),
        (RdumbSettings(base=ReservoirSettings(base=TentSettings(lr=0.1))), {"base.base.lr": "0.1"}),
    ],
)
def test_settings_are_shown_in_short_form(settings: Settings, shown: dict[str, str]) -> None:
    assert show_settings(settings) == shown


def test_what_was_tuned_is_left_to_the_search() -> None:
    settings = ReservoirSettings(base=EtaSettings(margin=0.4, lr=0.5), models=3)
    assert show_settings(settings, without=["base.lr"]) == {"base.margin": "0.4", "models": "3"}
    assert show_settings(settings, without=["base"]) == {"models": "3"}


def name(make_task: Any, make_graph: Any, **settings: Any) -> Any:
    task = make_task("weather", "stream", point={"method": settings.get("method"), "seed": 3}, **settings)
    (found,) = name_entries(make_graph(task), [task])
    return found


def test_a_wrapped_method_is_named_with_its_base(make_task, make_graph) -> None:
    method = {"name": "reservoir", "base": {"name": "eta", "lr": 0.001}}
    found = name(make_task, make_graph, method=method)
    assert (found.adaptation, dict(found.axes)) == ("reservoir(eta)", {"base.lr": "0.001"})


def test_a_tuned_setting_is_marked_and_its_start_is_not_shown(make_task, make_graph) -> None:
    search = {"stream": {"kind": "single", "domains": [{"dataset": "test"}]}, "space": {"lr": [0.1, 0.2]}}
    found = name(make_task, make_graph, method={"name": "tent", "lr": 0.5, "momentum": 0.8}, search=search)
    assert (found.adaptation, dict(found.axes)) == ("tent", {"lr": "tuned", "momentum": "0.8"})
