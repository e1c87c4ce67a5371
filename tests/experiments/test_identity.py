"""Keys hold what a result depends on and nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from experiments.graph import Graph
from experiments.identity import describe_corruptions
from experiments.schema import STAGE_VERSIONS
from tests.experiments.samples import FULL, TINY, edit, keys

Expand = Callable[..., Graph]


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


QUICK = (
    "name: quick, "
    "cells: {gaussian_noise: 1, brightness: 3, contrast: 3, frost: 2, jpeg_compression: 3, defocus_blur: 3}"
)


# what changes -> the stages whose keys change with it
@pytest.mark.parametrize(
    ("old", "new", "stages"),
    [
        ("lr: 0.001", "lr: 0.002", {"source_only", "clean", "weather"}),
        ("training: {iterations: 10}", "training: {iterations: 11}", {"adapted", "clean", "weather", "grid"}),
        ("lr: 1.0e-4", "lr: 2.0e-4", {"weather"}),
        ("protocol: quick", "protocol: fan", {"grid"}),
        ("protocol: quick", "limit: 3", {"grid"}),
        ("protocol: quick", "backend: reference", {"grid"}),
        ("protocol: quick", "shifts: [fog]", {"grid"}),
        ("protocol: quick", "calibration: true", {"grid"}),
        ("protocol: quick", "protocol: {name: mine, cells: {fog: 3}}", {"grid"}),
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


@pytest.mark.parametrize(
    "changed", ["shards: 4", "workers: 3", "backend: fast", f"protocol: {{{QUICK}, channel_order: RGB}}"]
)
def test_how_a_benchmark_is_computed_is_not_part_of_its_key(expand_text: Expand, changed: str) -> None:
    after = expand_text(edit(FULL, ("protocol: quick", changed)))
    assert keys(after, "grid") == keys(expand_text(FULL), "grid")


@pytest.mark.parametrize("added", ["channel_order: BGR", "insertion_point: after_resize"])
def test_how_a_protocol_is_applied_is_part_of_a_key(expand_text: Expand, added: str) -> None:
    mine = QUICK.replace("name: quick", "name: mine")
    before, after = (
        expand_text(edit(FULL, ("protocol: quick", f"protocol: {{{mine}{more}}}"))) for more in ("", f", {added}")
    )
    assert set(keys(before, "grid")).isdisjoint(keys(after, "grid"))
    assert set(before.tasks) - set(keys(before, "grid")) == set(after.tasks) - set(keys(after, "grid"))


def test_a_backend_that_draws_nothing_is_not_part_of_a_key(expand_text: Expand) -> None:
    one = expand_text(edit(FULL, ("protocol: quick", "protocol: weather")))
    other = expand_text(edit(FULL, ("protocol: quick", "protocol: weather\n    backend: reference")))
    assert keys(one, "grid") == keys(other, "grid")


def test_a_protocol_written_out_is_known_by_its_content(expand_text: Expand) -> None:
    one = expand_text(edit(FULL, ("protocol: quick", "protocol: {name: mine, cells: {fog: 3, snow: [1, 2]}}")))
    same = expand_text(
        edit(FULL, ("protocol: quick", "protocol: {backend: fast, cells: {fog: [3], snow: [1, 2]}, name: mine}"))
    )
    turned = expand_text(edit(FULL, ("protocol: quick", "protocol: {name: mine, cells: {snow: [2, 1], fog: 3}}")))
    assert keys(one, "grid") == keys(turned, "grid")
    other = expand_text(edit(FULL, ("protocol: quick", "protocol: {name: mine, cells: {fog: 3, snow: [1, 3]}}")))
    assert keys(one, "grid") == keys(same, "grid") != keys(other, "grid")


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
