"""A stream with a search becomes two tasks; equal searches are one; what is tuned on is not what is reported."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.graph import Graph
from experiments.schema import STAGE_VERSIONS, SearchStage, StreamStage
from experiments.task import Task

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

TUNED = """\
title: a stream whose method is tuned first
datasets:
  source: {type: gta, split: train}
  fog: {type: acdc, split: val, subset: [fog]}
  night: {type: acdc, split: val, subset: [night]}
  rain: {type: acdc, split: train, subset: [rain]}
models:
  net: {config: cgnet_small}
stages:
  look: {kind: styles, model: net, dataset: source}
  anchor: {kind: fisher, model: net, dataset: source}
  weather:
    kind: stream
    label: tuned
    expected_seconds: 9
    resources: {cpus: 3}
    model: net
    styles: ${look.styles}
    fisher: ${anchor.fisher}
    matrix:
      method:
        - {name: tent}
        - {name: eata, margin: 0.2}
      limit: [2, 3]
    method: ${matrix.method}
    stream: {kind: continual, domains: [{dataset: fog}, {dataset: night}], limit: "${matrix.limit}"}
    search:
      stream: {kind: single, domains: [{dataset: rain}]}
      space: {lr: [1.0e-5, 1.0e-4]}
  board: {kind: leaderboard, needs: [weather]}
"""


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def named(graph: Graph) -> dict[str, Task]:
    return {task.name: task for task in graph.nodes}


def test_a_search_stands_before_its_stream_and_equal_ones_are_one(expand_text: Expand) -> None:
    """The two limits of the reported stream share the search: it has a stream of its own."""
    graph = expand_text(TUNED)
    assert list(named(graph)) == [
        "look",
        "anchor",
        "weather.search[method=tent]",
        "weather.search[method=eata]",
        "weather[method=tent, limit=2]",
        "weather[method=tent, limit=3]",
        "weather[method=eata, limit=2]",
        "weather[method=eata, limit=3]",
    ]
    assert len(graph.tasks) == 8
    search = named(graph)["weather.search[method=eata]"]
    for limit in (2, 3):
        task = named(graph)[f"weather[method=eata, limit={limit}]"]
        assert task.inputs["method"] == search.key
        assert task.inputs["fisher"] == search.inputs["fisher"]
        assert isinstance(task.settings, StreamStage)
        assert task.settings.method.lr != 1e-4, "the settings that the file gave name the row"
    done: set[str] = set()
    for key, task in graph.tasks.items():
        assert set(task.inputs.values()) <= done
        done.add(key)


def test_a_search_adapts_as_its_stream_does(expand_text: Expand) -> None:
    search = named(expand_text(TUNED))["weather.search[method=eata]"]
    assert isinstance(search.settings, SearchStage)
    assert (search.kind, search.stage, search.label) == ("search", "weather.search", "weather.search")
    assert (search.settings.method.name, search.settings.method.margin) == ("eata", 0.2)
    assert list(search.datasets) == ["rain"]
    assert (search.resources.cpus, search.settings.expected_seconds) == (3, None)
    assert set(search.inputs) == {"fisher"}
    assert search.model is not None


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("space: {lr: [1.0e-5, 1.0e-4]}", "space: {lr: [1.0e-5, 2.0e-4]}", {"weather.search", "weather"}),
        ("domains: [{dataset: rain}]}", "domains: [{dataset: rain}], limit: 2}", {"weather.search", "weather"}),
        ("margin: 0.2", "margin: 0.3", {"weather.search", "weather"}),
        (
            "    model: net\n    styles",
            "    reset: {policy: on_shift}\n    model: net\n    styles",
            {"weather.search", "weather"},
        ),
        (
            "    model: net\n    styles",
            "    on_non_finite: stop\n    model: net\n    styles",
            {"weather.search", "weather"},
        ),
        ("    model: net\n    styles", "    temporal: {flow: dis}\n    model: net\n    styles", {"weather"}),
        ("limit: [2, 3]", "limit: [4, 5]", {"weather"}),
        ("    label: tuned", "    label: other", set()),
        ("resources: {cpus: 3}", "resources: {cpus: 2}", set()),
        ("      space:", "      concurrent: 2\n      space:", set()),
    ],
)
def test_what_a_search_depends_on_is_in_its_key_and_in_its_streams(
    expand_text: Expand, old: str, new: str, changed: set[str]
) -> None:
    before, after = expand_text(TUNED), expand_text(edit(TUNED, (old, new)))
    assert {a.stage for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key} == changed


def test_a_version_of_the_search_changes_the_streams_that_it_tunes(
    expand_text: Expand, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = expand_text(TUNED)
    monkeypatch.setitem(STAGE_VERSIONS, "search", 99)
    after = expand_text(TUNED)
    changed = {a.stage for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key}
    assert changed == {"weather.search", "weather"}


def test_a_search_in_weather_names_that_backend_too(expand_text: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments import identity

    text = edit(TUNED, ("[{dataset: rain}]", "[{dataset: rain, corruption: weather_fog, severity: 1}]"))
    before = expand_text(text)
    real = identity.describe_corruptions
    monkeypatch.setattr(
        identity, "describe_corruptions", lambda name: [[], "x", "9"] if name.name == "weather" else real(name)
    )
    after = expand_text(text)
    changed = {a.stage for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key}
    assert changed == {"weather.search", "weather"}


def test_a_point_without_a_search_has_none(expand_text: Expand) -> None:
    search = "{stream: {kind: single, domains: [{dataset: rain}]}, space: {lr: [0.1, 0.2]}}"
    text = edit(
        TUNED,
        ("{name: tent}\n", "{of: {name: source}, tune: null}\n"),
        ("{name: eata, margin: 0.2}\n", f"{{of: {{name: tent}}, tune: {search}}}\n"),
        ("method: ${matrix.method}", "method: ${matrix.method.of}"),
        ("    search:\n", "    search: ${matrix.method.tune}\n"),
        ("      stream: {kind: single, domains: [{dataset: rain}]}\n      space: {lr: [1.0e-5, 1.0e-4]}\n", ""),
    )
    graph = expand_text(text)
    assert sum(task.kind == "search" for task in graph.tasks.values()) == 1
    assert {task.settings.method.name for task in graph.nodes if "method" in task.inputs} == {"tent"}


def test_a_corrupted_search_names_the_backend_in_its_key(expand_text: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    from experiments import identity

    text = edit(TUNED, ("[{dataset: rain}]", "[{dataset: rain, corruption: fog, severity: 1}]"))
    before = expand_text(text)
    monkeypatch.setattr(identity, "describe_corruptions", lambda name: [[], "other", "9"])
    after = expand_text(text)
    changed = {a.stage for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key}
    assert changed == {"weather.search", "weather"}


def test_frames_are_not_tuned_on_and_reported(refuse: Refuse) -> None:
    text = edit(
        TUNED,
        ("[{dataset: rain}]", "[{dataset: rain}, {dataset: night}]"),
        ("stream: {kind: single", "stream: {kind: continual"),
    )
    text = edit(
        text,
        (
            "      stream: {kind: continual, domains: [{dataset: rain}, {dataset: night}]}",
            "      stream: {kind: continual, domains: [{dataset: rain}, {dataset: night}]} #!",
        ),
    )
    assert refuse(text) == [
        "HERE stages.weather.search.stream: data set 'night', on which the method is tuned, and 'night', on which it is "
        "reported, have frames in common. Search on another split or subset."
    ]


def test_a_space_that_the_method_does_not_have_is_refused_with_its_line(refuse: Refuse) -> None:
    (line,) = refuse(edit(TUNED, ("      space: {lr: [1.0e-5, 1.0e-4]}", "      space: {lrr: [1.0e-5, 1.0e-4]} #!")))
    assert line.startswith("HERE stages.weather.search.space: the method 'tent' has no setting 'lrr' to be searched.")


def test_a_search_is_no_stage_of_its_own(refuse: Refuse) -> None:
    text = edit(TUNED, ("    kind: stream\n", "    kind: search #!\n"))
    assert refuse(text) == [
        "HERE stages.weather.kind: a search belongs to the stage that it is for. Write `search: {stream: ..., space: ...}` "
        "in a stage of `kind: stream`, or `search: {space: ...}` in one of `kind: train` or `uda`."
    ]


def test_a_search_over_other_classes_is_refused(refuse: Refuse) -> None:
    text = edit(
        TUNED,
        ("  rain: {type: acdc, split: train, subset: [rain]}", "  rain: {type: camvid, split: train}"),
        ("    model: net\n    styles", "    checkpoint: ${main.checkpoint}\n    styles"),
        ("look: {kind: styles, model: net,", 'look: {kind: styles, checkpoint: "${main.checkpoint}",'),
        ("anchor: {kind: fisher, model: net,", 'anchor: {kind: fisher, checkpoint: "${main.checkpoint}",'),
        ("  look:", "  main: {kind: train, model: net, dataset: source, training: {}}\n  look:"),
    )
    (line,) = refuse(text)
    assert "data set 'rain' has 11 classes" in line


def test_tasks_of_one_name_show_what_differs_and_keep_their_keys(expand_text: Expand) -> None:
    """Names are for people: other text, equal keys."""
    text = edit(
        TUNED, ("      limit: [2, 3]\n", ""), (', limit: "${matrix.limit}"', ""), ("{name: eata, margin: 0.2}", "OTHER")
    )
    alike = expand_text(text.replace("OTHER", "{name: tent, momentum: 0.5}"))
    alone = expand_text(text.replace("- OTHER", ""))
    names = [task.name for task in alike.nodes if task.stage.startswith("weather")]
    assert names == [
        "weather.search[method=tent]",
        "weather.search[method=tent(momentum=0.5)]",
        "weather[method=tent]",
        "weather[method=tent(momentum=0.5)]",
    ]
    assert {task.name for task in alike.tasks.values()} >= set(names)
    assert alone.tasks.keys() < alike.tasks.keys()
