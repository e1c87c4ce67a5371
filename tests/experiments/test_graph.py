"""Expansion as a whole: graphs counted by hand, edges, and what is one task."""

from __future__ import annotations

import math
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.graph import Graph
from tests.experiments.samples import FULL, TINY, edit

Expand = Callable[..., Graph]


def test_the_graph_has_the_tasks_and_edges_counted_by_hand(expand_text: Expand) -> None:
    graph = expand_text(FULL)
    assert [task.name for task in graph.nodes] == [
        "clean[seed=0, trained=source_only]",
        "clean[seed=0, trained=adapted]",
        "clean[seed=1, trained=source_only]",
        "clean[seed=1, trained=adapted]",
        "weather[seed=0, trained=source_only, method=source]",
        "weather[seed=0, trained=source_only, method=tent]",
        "weather[seed=0, trained=adapted, method=source]",
        "weather[seed=0, trained=adapted, method=tent]",
        "weather[seed=1, trained=source_only, method=source]",
        "weather[seed=1, trained=source_only, method=tent]",
        "weather[seed=1, trained=adapted, method=source]",
        "weather[seed=1, trained=adapted, method=tent]",
        "grid[seed=0]",
        "grid[seed=1]",
        "source_only[seed=0]",
        "source_only[seed=1]",
        "adapted[seed=0]",
        "adapted[seed=1]",
    ]
    assert len(graph.tasks) == 18
    assert sum(len(task.inputs) for task in graph.tasks.values()) == 14
    assert list(graph.leaderboards) == ["board"]
    assert (graph.name, graph.profile, graph.title) == ("test", "full", "a graph that is counted by hand")


def test_edges_join_equal_points(expand_text: Expand) -> None:
    graph = expand_text(FULL)
    named = {task.name: task for task in graph.nodes}
    assert named["clean[seed=1, trained=adapted]"].inputs == {"checkpoint": named["adapted[seed=1]"].key}
    assert named["grid[seed=0]"].inputs == {"checkpoint": named["adapted[seed=0]"].key}
    assert named["weather[seed=0, trained=source_only, method=tent]"].inputs == {
        "checkpoint": named["source_only[seed=0]"].key
    }
    assert named["source_only[seed=0]"].inputs == {}
    dependants = graph.dependants()
    assert {key: len(found) for key, found in dependants.items() if found} == {
        named["source_only[seed=0]"].key: 3,
        named["source_only[seed=1]"].key: 3,
        named["adapted[seed=0]"].key: 4,
        named["adapted[seed=1]"].key: 4,
    }


def test_every_task_follows_its_inputs(expand_text: Expand) -> None:
    done: set[str] = set()
    for key, task in expand_text(FULL).tasks.items():
        assert set(task.inputs.values()) <= done, task.name
        done.add(key)


def test_tasks_carry_what_a_stage_needs_to_run(expand_text: Expand) -> None:
    named = {task.name: task for task in expand_text(FULL, changed={"weights": "w"}).nodes}
    train, uda = named["source_only[seed=1]"], named["adapted[seed=1]"]
    assert (train.kind, train.label, train.settings.seed, dict(train.point)) == ("train", "source only", 1, {"seed": 1})
    assert (train.resources.cpus, train.resources.gpus) == (4, 1)
    assert (uda.resources.cpus, uda.resources.gpus) == (4, 0.5)
    assert uda.label == "adapted"
    assert list(uda.datasets) == ["source", "target"]
    assert uda.datasets["target"].fingerprint == "fingerprint-cityscapes"
    assert uda.model is not None
    assert (uda.model.config_sha256, uda.model.weights_sha256) == ("config-cgnet_small", "w")
    weather = named["weather[seed=0, trained=adapted, method=tent]"]
    assert list(weather.datasets) == ["fog", "snow"]
    assert weather.settings.method.lr == 1e-4
    assert weather.settings.checkpoint == weather.inputs["checkpoint"]
    assert weather.model is None


def test_equal_stages_are_one_task(expand_text: Expand) -> None:
    twice = edit(TINY, ("stages:\n", "stages:\n  again: {kind: evaluate, label: twice, model: net, dataset: test}\n"))
    graph = expand_text(twice)
    assert [task.name for task in graph.nodes] == ["again", "clean"]
    assert len(graph.tasks) == 1


def test_one_source_model_serves_every_branch(expand_text: Expand) -> None:
    text = """\
title: branches
datasets: {source: {type: gta, split: train}, test: {type: cityscapes, split: val}}
models: {net: {config: cgnet_small}}
matrix: {limit: [1, 2, 3]}
stages:
  train: {kind: train, model: net, dataset: source, training: {}}
  same: {kind: train, model: net, dataset: source, training: {}}
  clean: {kind: evaluate, checkpoint: "${train.checkpoint}", dataset: test, limit: "${matrix.limit}"}
  other: {kind: evaluate, checkpoint: "${same.checkpoint}", dataset: test, limit: "${matrix.limit}"}
"""
    graph = expand_text(text)
    assert [task.name for task in graph.nodes if task.kind == "train"] == ["train", "same"]
    assert len(graph.nodes) == 8
    assert len(graph.tasks) == 4
    assert {task.inputs["checkpoint"] for task in graph.tasks.values() if task.kind == "evaluate"} == {
        graph.nodes[0].key
    }


def test_networks_of_different_axes_are_scored_once_each(expand_text: Expand) -> None:
    """`plain` has no `lr`: its networks are not scored once for each `lr` of `tuned`."""
    text = """\
title: axes
datasets: {source: {type: gta, split: train}, test: {type: cityscapes, split: val}}
models: {net: {config: cgnet_small}}
matrix: {seed: [0, 1], lr: [0.1, 0.2, 0.3]}
stages:
  plain: {kind: train, model: net, dataset: source, seed: "${matrix.seed}", training: {}}
  tuned: {kind: train, model: net, dataset: source, seed: "${matrix.seed}", training: {optimizer: {lr: "${matrix.lr}"}}}
  clean:
    kind: evaluate
    matrix: {trained: ["${plain.checkpoint}", "${tuned.checkpoint}"]}
    checkpoint: ${matrix.trained}
    dataset: test
"""
    names = [task.name for task in expand_text(text).nodes if task.stage == "clean"]
    assert sorted(names) == sorted(
        [f"clean[seed={seed}, trained=plain]" for seed in (0, 1)]
        + [f"clean[seed={seed}, lr={lr}, trained=tuned]" for seed in (0, 1) for lr in (0.1, 0.2, 0.3)]
    )


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=15, deadline=None)
@given(
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    st.lists(st.integers(1, 99), min_size=1, max_size=3, unique=True),
    st.lists(st.sampled_from(["quick", "fan", "michaelis"]), min_size=1, unique=True),
)
def test_the_number_of_tasks_is_the_product_of_the_axes(
    expand_text: Expand, seeds: list[int], limits: list[int], protocols: list[str]
) -> None:
    text = edit(
        TINY,
        ("  clean:", "  grid:"),
        ("kind: evaluate", "kind: benchmark"),
        ("dataset: test", 'dataset: test, seed: "${matrix.s}", limit: "${matrix.n}", protocol: "${matrix.p}"'),
        ("stages:", f"matrix: {{s: {seeds}, n: {limits}, p: {protocols}}}\nstages:"),
    )
    graph = expand_text(text)
    assert len(graph.tasks) == len(graph.nodes) == math.prod(map(len, (seeds, limits, protocols)))


def test_overrides_give_a_run_a_variant_of_its_own() -> None:
    plain = Graph("e", "full", "t", {}, (), {})
    changed = Graph("e", "full", "t", {}, (), {}, ("a=1",))
    assert plain.variant == "full"
    assert changed.variant.startswith("full+")
    assert changed.variant != Graph("e", "full", "t", {}, (), {}, ("a=2",)).variant


VARIANTS = """\
title: rows by name
datasets: {source: {type: gta, split: train}, test: {type: cityscapes, split: val}}
models: {net: {config: cgnet_small}}
matrix:
  seed: [0, 1]
  variant:
    - {label: long, training: {iterations: 20}}
    - {label: short and flipped, training: {iterations: 10, augment: {flip: 1.0}}}
stages:
  train:
    kind: train
    label: ${matrix.variant.label}
    model: net
    dataset: source
    seed: ${matrix.seed}
    training: ${matrix.variant.training}
  clean: {kind: evaluate, checkpoint: "${train.checkpoint}", dataset: test}
"""


def test_an_axis_of_mappings_gives_each_of_its_points_a_name(expand_text: Expand) -> None:
    graph = expand_text(VARIANTS)
    assert [(task.name, task.label) for task in graph.nodes if task.kind == "train"] == [
        ("train[seed=0, variant=long]", "long"),
        ("train[seed=0, variant=short and flipped]", "short and flipped"),
        ("train[seed=1, variant=long]", "long"),
        ("train[seed=1, variant=short and flipped]", "short and flipped"),
    ]
    assert len(graph.tasks) == 8
    assert graph.nodes[1].settings.training.augment.flip == 1.0
