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


def name_all(make_graph: Any, *tasks: Any) -> list[str]:
    """Name entries and print each name as a row does."""
    found = name_entries(make_graph(*tasks), list(tasks))
    assert len(set(found)) == len(tasks), "two entries of one name"
    return [f"{n.method} + {n.adaptation} ({', '.join(f'{k}={v}' for k, v in n.axes)})" for n in found]


def make_search(**space: Any) -> dict[str, Any]:
    return {"stream": {"kind": "single", "domains": [{"dataset": "test"}]}, "space": space}


def test_entries_of_one_method_with_other_spaces_show_these(make_task, make_graph) -> None:
    """The axis is called as the method, so that a brief name leaves it out."""
    spaces = ([0.1, 0.2], [0.3])
    tasks = [
        make_task(
            "weather",
            "stream",
            point={"entry": {"name": "tent", "space": {"lr": space}}, "seed": 0},
            checkpoint=None,
            model="net",
            method={"name": "tent"},
            search=make_search(lr=space),
        )
        for space in spaces
    ]
    assert name_all(make_graph, *tasks) == [
        'net + tent (lr=tuned, entry=tent(space={"lr": [0.1, 0.2]}))',
        'net + tent (lr=tuned, entry=tent(space={"lr": [0.3]}))',
    ]


def test_entries_with_other_styles_show_these_and_not_the_network(make_task, make_graph) -> None:
    net = make_task("net", "train")
    tasks = [
        make_task(
            "weather",
            "stream",
            point={"styles": f"${{{look}.styles}}", "trained": "${net.checkpoint}"},
            needs=net,
            styles=digit * 32,
            method={"name": "reservoir"},
        )
        for look, digit in (("look", "1"), ("look2", "2"))
    ]
    graph = make_graph(net, *tasks)
    names = name_entries(graph, tasks)
    assert [(n.method, dict(n.axes)) for n in names] == [("net", {"styles": "look"}), ("net", {"styles": "look2"})]


def test_a_seed_that_makes_entries_is_shown(make_task, make_graph) -> None:
    tasks = [make_task("weather", "stream", point={"seed": s}, method={"name": "tent", "lr": 0.1}) for s in (3, 4)]
    assert [each[-12:] for each in name_all(make_graph, *tasks)] == ["0.1, seed=3)", "0.1, seed=4)"]


def test_entries_without_axes_show_their_stages_or_at_last_a_number(make_task, make_graph) -> None:
    net = make_task("net", "train")
    tasks = [make_task("one", "stream", needs=net), make_task("two", "stream", needs=net)]
    graph = make_graph(net, *tasks)
    assert [n.method for n in name_entries(graph, tasks)] == ["net [one]", "net [two]"]
    tasks = [make_task("one", "stream", needs=net, on_non_finite=how) for how in ("stop", "restore", "reset")]
    assert [n.method for n in name_entries(graph, tasks)] == ["net", "net (2)", "net (3)"]


def test_a_number_is_none_that_is_taken(make_task, make_graph) -> None:
    nets = [make_task(stage, "train", label=label) for stage, label in (("a", "net"), ("b", "net (2)"))]
    tasks = [make_task("one", "stream", needs=nets[0], on_non_finite=how) for how in ("stop", "reset")]
    tasks.append(make_task("one", "stream", needs=nets[1]))
    names = name_entries(make_graph(*nets, *tasks), tasks)
    assert len(set(names)) == 3
