"""Expansion: hand-counted graphs, keys that hold what matters and nothing else, and refusals with their lines."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from experiments.graph import Graph, expand
from experiments.identity import describe_corruptions
from experiments.load import load_experiment
from experiments.schema import STAGE_VERSIONS
from experiments.task import BoundDataset, BoundModel

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

TINY = """\
title: the smallest experiment that scores something
datasets:
  test: {type: cityscapes, split: val}
models:
  net: {config: cgnet_small}
stages:
  clean: {kind: evaluate, model: net, dataset: test}
"""

# Two seeds of two training stages; each network is scored in three stages, one of which has two methods.
FULL = """\
title: a graph that is counted by hand
datasets:
  source: {type: gta, split: train}
  target: {type: cityscapes, split: train}
  test: {type: cityscapes, split: val, resize: [64, 32]}
  fog: {type: acdc, split: val, subset: [fog]}
  snow: {type: acdc, split: val, subset: [snow]}
models:
  student: {config: cgnet_small, weights: some.pth}
matrix:
  seed: [0, 1]
resources: {cpus: 4, gpus: 1}
stages:
  board: {kind: leaderboard, needs: [clean, weather, grid]}
  clean:
    kind: evaluate
    matrix: {trained: ["${source_only.checkpoint}", "${adapted.checkpoint}"]}
    checkpoint: ${matrix.trained}
    dataset: test
  weather:
    kind: stream
    matrix:
      trained: ["${source_only.checkpoint}", "${adapted.checkpoint}"]
      method: [{name: source}, {name: tent, lr: 1.0e-4}]
    checkpoint: ${matrix.trained}
    method: ${matrix.method}
    stream: {kind: continual, domains: [{dataset: fog}, {dataset: snow}]}
  grid:
    kind: benchmark
    checkpoint: ${adapted.checkpoint}
    dataset: test
    protocol: quick
  source_only:
    kind: train
    label: source only
    model: student
    dataset: source
    seed: ${matrix.seed}
    training: {iterations: 10, optimizer: {lr: 0.001}}
  adapted:
    kind: uda
    resources: {gpus: 0.5}
    model: student
    source: source
    target: target
    seed: ${matrix.seed}
    training: {iterations: 10}
    method: {feature_distance: null}
"""


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def keys(graph: Graph, stage: str) -> list[str]:
    return [task.key for task in graph.nodes if task.stage == stage]


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


def test_only_the_target_of_an_adaptation_is_bound_without_labels(write: Callable[..., Path]) -> None:

    loaded = load_experiment(str(write(FULL)), "full")
    asked: set[tuple[str, bool]] = set()

    class Recorder:
        def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
            asked.add((name, needs_labels))
            return BoundDataset(loaded.settings.datasets[name], "f")

        def require_crop_fits(self, name: str, crop: tuple[int, int]) -> None:
            pass

        def bind_model(self, name: str) -> BoundModel:
            return BoundModel(loaded.settings.models[name], "c", None)

    expand(loaded, Recorder())
    assert asked == {("source", True), ("target", False), ("test", True), ("fog", True), ("snow", True)}


# Keys


def test_the_key_of_a_tiny_task_never_changes_unnoticed(expand_text: Expand) -> None:
    """The canonical text is written out by hand.

    If this fails, keys have changed and every store is void: either undo the change, or mean it, raise the versions in
    `STAGE_VERSIONS`, say so in the CHANGELOG and write the new text down here.
    """
    text = (
        '["evaluate",1,{"checkpoint":null,'
        '"datasets":[[{"every":1,"resize":null,"split":"val","subset":[],"type":"cityscapes"},"fingerprint-cityscapes"]],'
        '"limit":null,"model":[{},"config-cgnet_small",null,"network"]}]'
    )
    (task,) = expand_text(TINY).nodes
    assert task.key == hashlib.sha256(text.encode()).hexdigest()[:32]
    assert task.key == "a776ada1c07c63309c308035113d2569"


def test_the_key_of_a_task_holds_the_key_of_its_input(expand_text: Expand) -> None:
    graph = expand_text(FULL)
    task = next(task for task in graph.nodes if task.name == "clean[seed=1, trained=adapted]")
    text = (
        f'["evaluate",1,{{"checkpoint":"{keys(graph, "adapted")[1]}",'
        '"datasets":[[{"every":1,"resize":[64,32],"split":"val","subset":[],"type":"cityscapes"},'
        '"fingerprint-cityscapes"]],"limit":null}]'
    )
    assert task.key == hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    "changes",
    [
        [
            ("  source: {type", "  synthetic: {type"),
            ("    source: source\n", "    source: synthetic\n"),
            ("    dataset: source\n", "    dataset: synthetic\n"),
        ],
        [("source_only", "baseline")],
        [("label: source only", "label: something else")],
        [("student", "pupil")],
        [("cpus: 4, gpus: 1", "cpus: 1, gpus: 0, memory_gb: 3")],
        [("    kind: train", "    kind: train\n    expected_seconds: 5")],
        [("title: a graph", "title: another graph")],
        [("lr: 0.001", "lr: 1e-3")],
        [("training: {iterations: 10}", "training: {batch_size: 2, iterations: 10}")],
        [("  test: {type: cityscapes, split: val", "  test: {split: val, type: cityscapes")],
    ],
)
def test_what_only_names_or_places_a_task_leaves_keys_alone(
    expand_text: Expand, changes: list[tuple[str, str]]
) -> None:
    text = edit(FULL, *changes)
    assert list(expand_text(text).tasks) == list(expand_text(FULL).tasks)


def test_the_domains_of_a_stream_keep_their_names(expand_text: Expand) -> None:
    before, after = expand_text(FULL), expand_text(edit(FULL, ("  fog:", "  mist:"), ("dataset: fog", "dataset: mist")))
    assert set(keys(before, "weather")).isdisjoint(keys(after, "weather"))
    assert set(before.tasks) - set(keys(before, "weather")) == set(after.tasks) - set(keys(after, "weather"))


# what changes -> the stages whose keys change with it
@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("lr: 0.001", "lr: 0.002", {"source_only", "clean", "weather"}),
        ("training: {iterations: 10}", "training: {iterations: 11}", {"adapted", "clean", "weather", "grid"}),
        ("lr: 1.0e-4", "lr: 2.0e-4", {"weather"}),
        ("protocol: quick", "protocol: fan", {"grid"}),
        ("protocol: quick", "limit: 3", {"grid"}),
        ("resize: [64, 32]", "resize: [32, 64]", {"clean", "grid"}),
        (
            "type: gta, split: train",
            "type: gta, split: train, every: 2",
            {"source_only", "adapted", "clean", "weather", "grid"},
        ),
        ("subset: [fog]", "subset: [rain]", {"weather"}),
        ("dataset: snow}", "dataset: snow, corruption: fog, severity: 1}", {"weather"}),
        ("target: target", "target: test", {"adapted", "clean", "weather", "grid"}),
        (
            "weights: some.pth",
            "weights: some.pth, weights_of: backbone",
            {"source_only", "adapted", "clean", "weather", "grid"},
        ),
        (
            "weights: some.pth",
            "overrides: {decode_head.channels: 3}",
            {"source_only", "adapted", "clean", "weather", "grid"},
        ),
    ],
)
def test_what_a_result_depends_on_changes_its_key_and_those_downstream(
    expand_text: Expand, old: str, new: str, stages: set[str]
) -> None:
    before, after = expand_text(FULL), expand_text(edit(FULL, (old, new)))
    assert len(before.nodes) == len(after.nodes)
    changed = {a.stage for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key}
    assert changed == stages


def test_only_the_networks_concerned_are_trained_again(expand_text: Expand) -> None:
    before = expand_text(FULL)
    after = expand_text(edit(FULL, ("lr: 0.001", "lr: 0.002")))
    changed = {a.name for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key}
    assert changed == {task.name for task in before.nodes if task.stage == "source_only" or "source_only" in task.name}


def test_a_further_seed_leaves_the_others_as_they_were(expand_text: Expand) -> None:
    before, after = expand_text(FULL), expand_text(FULL, ["matrix.seed=[0, 1, 2]"])
    assert set(before.tasks) < set(after.tasks)
    assert len(after.tasks) == 27


@pytest.mark.parametrize(
    ("changed", "stages"),
    [
        ({"acdc": "grown"}, {"weather"}),
        ({"gta": "grown"}, {"source_only", "adapted", "clean", "weather", "grid"}),
        ({"weights": "others"}, {"source_only", "adapted", "clean", "weather", "grid"}),
        ({"cgnet_small": "edited"}, {"source_only", "adapted", "clean", "weather", "grid"}),
    ],
)
def test_bytes_behind_data_and_models_are_part_of_keys(
    expand_text: Expand, changed: dict[str, str], stages: set[str]
) -> None:
    before, after = expand_text(FULL), expand_text(FULL, changed=changed)
    assert {a.stage for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key} == stages


def test_a_version_of_the_code_is_part_of_keys(expand_text: Expand, monkeypatch: pytest.MonkeyPatch) -> None:
    before = expand_text(FULL)
    monkeypatch.setitem(STAGE_VERSIONS, "benchmark", 99)
    after = expand_text(FULL)
    assert {a.stage for a, b in zip(before.nodes, after.nodes, strict=True) if a.key != b.key} == {"grid"}


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


# Exclusions


EXCLUDING = """\
title: exclusions
datasets: {source: {type: gta, split: train}, test: {type: cityscapes, split: val}}
models: {net: {config: cgnet_small}}
matrix: {seed: [0, 1]}
stages:
  train:
    kind: train
    matrix: {lr: [0.1, 0.2]}
    model: net
    dataset: source
    seed: ${matrix.seed}
    training: {optimizer: {lr: "${matrix.lr}"}}
  clean:
    kind: evaluate
    matrix: {lr: [0.1, 0.2]}
    checkpoint: ${train.checkpoint}
    dataset: test
"""


def test_an_axis_of_an_input_is_an_axis_of_the_stage(expand_text: Expand) -> None:
    graph = expand_text(EXCLUDING)
    named = {task.name: task for task in graph.nodes}
    assert len(graph.tasks) == 8
    assert named["clean[seed=1, lr=0.2]"].inputs["checkpoint"] == named["train[seed=1, lr=0.2]"].key


def test_an_excluded_point_drops_its_tasks(expand_text: Expand) -> None:
    text = edit(EXCLUDING, ("{lr: [0.1, 0.2]}", "{lr: [0.1, 0.2], exclude: [{lr: 0.1}]}"))
    assert [task.name for task in expand_text(text).nodes] == [
        "train[seed=0, lr=0.2]",
        "train[seed=1, lr=0.2]",
        "clean[seed=0, lr=0.2]",
        "clean[seed=1, lr=0.2]",
    ]


def test_an_input_at_an_excluded_point_is_refused(refuse: Refuse) -> None:
    text = EXCLUDING.replace("{lr: [0.1, 0.2]}", "{lr: [0.1, 0.2], exclude: [{lr: 0.1}]}", 1)
    (line,) = refuse(edit(text, ("  clean:", "  clean: #!")))
    assert line.startswith("HERE stages.clean: ${train.checkpoint} has no task at {'seed': 0, 'lr': 0.1}: ")
    assert "`exclude`" in line


def test_an_ambiguous_reference_names_the_axis_to_add(refuse: Refuse) -> None:
    text = edit(
        EXCLUDING, ("    matrix: {lr: [0.1, 0.2]}\n    checkpoint", "    checkpoint"), ("  clean:", "  clean: #!")
    )
    (line,) = refuse(text)
    assert line == (
        "HERE stages.clean: ${train.checkpoint} means 2 tasks here, which differ in lr. "
        "Give this stage the same axis: matrix.lr."
    )


# Refusals


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        (
            "    kind: train",
            "    kind: trian #!",
            "HERE stages.source_only.kind: unknown stage kind 'trian'. Did you mean 'train'? "
            "Known: benchmark, evaluate, fisher, leaderboard, stream, styles, train, uda.",
        ),
        ("    kind: train", "    kind: [train] #!", "HERE stages.source_only.kind: unknown stage kind '['train']'."),
        (
            "  source_only:\n    kind: train\n",
            "  source_only: #!\n",
            "HERE stages.source_only: the key `kind` is required and missing. Known: benchmark, ",
        ),
        (
            "  source_only:\n    kind: train\n    label: source only\n    model: student\n    dataset: source\n",
            "  source_only:\n    kind: train\n    label: source only\n    model: student\n    dataset: sorce #!\n",
            "HERE stages.source_only.dataset: unknown data set 'sorce'. Did you mean 'source'? "
            "Known: fog, snow, source, target, test.",
        ),
        (
            "    label: source only\n    model: student",
            "    model: studnet #!",
            "HERE stages.source_only.model: unknown model 'studnet'. Did you mean 'student'? Known: student.",
        ),
        (
            "    protocol: quick",
            "    protocol: quik #!",
            "HERE stages.grid.protocol: unknown protocol 'quik'",
        ),
        (
            "  seed: [0, 1]",
            "  seed: [0, 1]\n  sead: [2, 3] #!",
            "HERE unknown axis (no stage uses it) 'sead'. Did you mean 'seed'? Known: method, seed, trained.",
        ),
        (
            "  grid:\n    kind: benchmark\n",
            "  grid:\n    kind: benchmark\n    matrix: {limt: [1]} #!\n    limit: 3\n",
            "HERE stages.grid.matrix.limt: unknown axis (the stage does not use it) 'limt'. Known: none.",
        ),
        (
            "  adapted:\n    kind: uda\n    resources: {gpus: 0.5}\n    model: student\n    source: source\n    target: target\n"
            "    seed: ${matrix.seed}",
            "  adapted: #!\n    kind: uda\n    model: student\n    source: source\n    target: target\n"
            "    seed: ${matrix.sed}",
            "HERE stages.adapted: unknown axis of the matrix 'sed'. Did you mean 'seed'? Known: seed.",
        ),
        (
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.checkpoint}",
            "  grid:\n    kind: benchmark\n    checkpoint: ${adaptd.checkpoint} #!",
            "HERE stages.grid.checkpoint: unknown stage in ${adaptd.checkpoint} 'adaptd'. Did you mean 'adapted'? "
            "Known: adapted, board, clean, grid, source_only, weather.",
        ),
        (
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.checkpoint}",
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.chekpoint} #!",
            "HERE stages.grid.checkpoint: unknown output of stage 'adapted' 'chekpoint'. Did you mean 'checkpoint'? "
            "Known: checkpoint.",
        ),
        (
            "  grid:\n    kind: benchmark\n    checkpoint: ${adapted.checkpoint}",
            "  grid:\n    kind: benchmark\n    checkpoint: ${clean.checkpoint} #!",
            "HERE stages.grid.checkpoint: unknown output of stage 'clean' 'checkpoint'. Known: none.",
        ),
        (
            "    checkpoint: ${adapted.checkpoint}\n    dataset: test\n    protocol",
            "    checkpoint: adapted #!\n    dataset: test\n    protocol",
            "HERE stages.grid.checkpoint: write ${STAGE.checkpoint} and no more, got 'adapted'.",
        ),
        (
            "    checkpoint: ${adapted.checkpoint}\n    dataset: test\n    protocol",
            "    checkpoint: best of ${adapted.checkpoint} #!\n    dataset: test\n    protocol",
            "HERE stages.grid.checkpoint: write ${STAGE.checkpoint} and no more, got 'best of ${adapted.checkpoint}'.",
        ),
        (
            "    label: source only\n    model: student",
            "    model: ${adapted.checkpoint} #!",
            "HERE stages.source_only.model: only `checkpoint` takes the output of a stage, got ${adapted.checkpoint}.",
        ),
        (
            "  grid:\n    kind: benchmark\n",
            "  grid: #!\n    kind: benchmark\n    model: student\n",
            "HERE stages.grid: give either `checkpoint: ${STAGE.checkpoint}` or `model: NAME`, and only one of them.",
        ),
        (
            "  board: {kind: leaderboard, needs: [clean, weather, grid]}",
            "  board: {kind: leaderboard, needs: [clean, weathr]} #!",
            "HERE stages.board.needs: unknown scored stage 'weathr'. Did you mean 'weather'? Known: clean, grid, weather.",
        ),
        (
            "  board: {kind: leaderboard, needs: [clean, weather, grid]}",
            "  board: {kind: leaderboard, needs: [adapted]} #!",
            "HERE stages.board.needs: unknown scored stage 'adapted'.",
        ),
        (
            '    matrix: {trained: ["${source_only.checkpoint}", "${adapted.checkpoint}"]}\n',
            '    matrix: {trained: ["${adapted.checkpoint}"], exclude: [{seed: 0}]} #!\n',
            "HERE stages.clean.matrix: `exclude` names 'seed', which is no axis of this matrix (its axes: trained).",
        ),
    ],
)
def test_a_stage_that_is_not_understood_is_refused_with_its_line(refuse: Refuse, old: str, new: str, line: str) -> None:
    assert FULL.count(old) == 1, old
    lines = refuse(FULL.replace(old, new))
    assert len(lines) == 1
    assert lines[0].startswith(line)


def test_an_unknown_protocol_is_answered_by_the_closest(refuse: Refuse) -> None:
    (line,) = refuse(edit(FULL, ("protocol: quick", "protocol: quik")))
    assert "'quick'" in line


def test_a_circle_of_stages_is_shown(refuse: Refuse) -> None:
    text = edit(
        FULL,
        ("    label: source only\n", "    label: ${adapted.checkpoint}\n"),
        ("  adapted:\n    kind: uda\n", "  adapted:\n    kind: uda\n    label: ${source_only.checkpoint}\n"),
        ("  source_only:\n", "  source_only: #!\n"),
    )
    assert refuse(text) == [
        "HERE stages.source_only: the stages refer to each other in a circle: source_only -> adapted -> source_only. "
        "Break it."
    ]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "  clean:\n",
            "  clean: #!\n",
            "HERE stages.clean: data set 'test' has 11 classes (Sky, Building, Pole, ...) but the network of "
            "source_only[seed=0] has 19 (road, sidewalk, building, ...). Choose data sets with the same classes.",
        ),
    ],
)
def test_a_network_is_not_scored_on_other_classes(refuse: Refuse, old: str, new: str, message: str) -> None:
    text = edit(FULL, ("  test: {type: cityscapes, split: val", "  test: {type: camvid, split: val"), (old, new))
    assert refuse(text) == [message]


def test_a_target_of_other_classes_is_refused(refuse: Refuse) -> None:
    text = edit(FULL, ("  target: {type: cityscapes", "  target: {type: camvid"), ("  adapted:\n", "  adapted: #!\n"))
    (line,) = refuse(text)
    assert line.startswith("HERE stages.adapted: data set 'target' has 11 classes")
    assert "but data set 'source' has 19" in line


def test_a_stream_over_two_sets_of_classes_is_refused(refuse: Refuse) -> None:
    text = edit(
        TINY,
        (
            "  test: {type: cityscapes, split: val}",
            "  test: {type: cityscapes, split: val}\n  cam: {type: camvid, split: val}",
        ),
        (
            "  clean: {kind: evaluate, model: net, dataset: test}",
            "  clean: {kind: stream, model: net, stream: {kind: continual, domains: [{dataset: test}, {dataset: cam}]}} #!",
        ),
    )
    (line,) = refuse(text)
    assert line.startswith("HERE stages.clean: data set 'cam' has 11 classes")


def test_camvid_alone_is_as_good_as_any(expand_text: Expand) -> None:
    assert len(expand_text(TINY.replace("cityscapes", "camvid")).tasks) == 1


def test_the_version_of_the_corruption_backend_is_part_of_a_benchmark_key(
    expand_text: Expand, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = """\
title: t
datasets: {test: {type: cityscapes, split: val}}
models: {net: {config: cgnet_small}}
stages:
  grid: {kind: benchmark, model: net, dataset: test}
  clean: {kind: evaluate, model: net, dataset: test}
"""
    before = {task.stage: key for key, task in expand_text(text).tasks.items()}
    describe_corruptions.cache_clear()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "9.9.9")
    after = {task.stage: key for key, task in expand_text(text).tasks.items()}
    describe_corruptions.cache_clear()
    assert before["grid"] != after["grid"]
    assert before["clean"] == after["clean"]


def test_overrides_give_a_run_a_variant_of_its_own() -> None:
    plain = Graph("e", "full", "t", {}, (), {})
    changed = Graph("e", "full", "t", {}, (), {}, ("a=1",))
    assert plain.variant == "full"
    assert changed.variant.startswith("full+")
    assert changed.variant != Graph("e", "full", "t", {}, (), {}, ("a=2",)).variant


def test_how_often_a_training_reports_and_saves_is_not_part_of_its_key(expand_text: Expand) -> None:
    changed = edit(
        FULL, ("training: {iterations: 10}", "training: {iterations: 10, log_interval: 7, checkpoint_interval: 3}")
    )
    assert keys(expand_text(changed), "adapted") == keys(expand_text(FULL), "adapted")


def test_settings_that_came_later_leave_the_keys_of_old_trainings_alone(expand_text: Expand) -> None:
    """The canonical text is that of 0.1.0, written out by hand: a store of that time serves today's source models."""
    text = (
        '["train",1,{"datasets":[[{"every":1,"resize":null,"split":"train","subset":[],"type":"gta"},"fingerprint-gta"]],'
        '"model":[{},"config-cgnet_small",null,"network"],"seed":0,"training":{"augment":{"cat_max_ratio":0.75,'
        '"crop":[512,512],"flip":0.5},"batch_size":2,"iterations":10,"optimizer":{"betas":[0.9,0.999],'
        '"head_lr_multiplier":10.0,"lr":0.001,"momentum":0.9,"norm_decay_multiplier":0.0,"type":"adamw",'
        '"weight_decay":0.01},"schedule":{"power":1.0,"warmup_iterations":1500,"warmup_ratio":1e-06}}}]'
    )
    assert keys(expand_text(FULL), "source_only")[0] == hashlib.sha256(text.encode()).hexdigest()[:32]


@pytest.mark.parametrize(
    "later", ["accumulate: 2", "workers: 2", "precision: bf16", "compile: true", "channels_last: true"]
)
def test_settings_that_came_later_are_part_of_the_key_where_they_are_used(expand_text: Expand, later: str) -> None:
    changed = edit(FULL, ("training: {iterations: 10, opt", f"training: {{iterations: 10, {later}, opt"))
    assert set(keys(expand_text(changed), "source_only")).isdisjoint(keys(expand_text(FULL), "source_only"))


def test_pictures_are_not_part_of_a_key(expand_text: Expand) -> None:
    changed = edit(FULL, ("training: {iterations: 10}", "training: {iterations: 10, picture_interval: 5}"))
    assert keys(expand_text(changed), "adapted") == keys(expand_text(FULL), "adapted")


def test_target_labels_are_bound_where_pseudo_labels_are_scored(write: Callable[..., Path]) -> None:
    text = edit(
        FULL, ("method: {feature_distance: null}", "method: {feature_distance: null, score_pseudo_labels: true}")
    )
    loaded = load_experiment(str(write(text)), "full")
    asked: set[tuple[str, bool]] = set()

    class Recorder:
        def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
            asked.add((name, needs_labels))
            return BoundDataset(loaded.settings.datasets[name], "f")

        def require_crop_fits(self, name: str, crop: tuple[int, int]) -> None:
            pass

        def bind_model(self, name: str) -> BoundModel:
            return BoundModel(loaded.settings.models[name], "c", None)

    expand(loaded, Recorder())
    assert ("target", True) in asked
    assert ("target", False) not in asked


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


def test_the_ends_of_a_gap_are_training_stages(expand_text: Expand, refuse: Refuse) -> None:
    board = "  board: {kind: leaderboard, needs: [clean, weather, grid]}"
    gap = "  board: {kind: leaderboard, needs: [clean], gap: {source: source_only, oracle: %s}}"
    (made,) = expand_text(edit(FULL, (board, gap % "adapted"))).leaderboards.values()
    assert made.gap is not None
    assert (made.gap.source, made.gap.oracle) == ("source_only", "adapted")
    (line,) = refuse(edit(FULL, (board, gap % "clean" + " #!")))
    assert line.startswith("HERE stages.board.gap.oracle: unknown training stage 'clean'. Known: adapted, source_only.")
