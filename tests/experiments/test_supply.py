"""What streams take from other stages: edges for what a method needs, refusals for what it lacks or cannot use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from adapt.tta.settings import AuxAdaptSettings, EataSettings, ReservoirSettings, TentSettings
from experiments.graph import Graph, expand
from experiments.load import load_experiment
from experiments.schema import StreamStage
from experiments.supply import find_bad_input, find_missing_supply, list_unused
from experiments.task import BoundDataset, BoundModel, Task

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

SUPPLIED = """\
title: what methods need
datasets:
  source: {type: gta, split: train}
  own: {type: camvid, split: train}
  fog: {type: acdc, split: val, subset: [fog]}
models:
  net: {config: cgnet_small}
  small: {config: cgnet_camvid}
stages:
  main: {kind: train, model: net, dataset: source, training: {}}
  aux: {kind: train, model: small, dataset: source, training: {}}
  look: {kind: styles, checkpoint: "${main.checkpoint}", dataset: source}
  anchor: {kind: fisher, checkpoint: "${main.checkpoint}", dataset: source}
  weather:
    kind: stream
    checkpoint: ${main.checkpoint}
    auxiliary: ${aux.checkpoint}
    styles: ${look.styles}
    fisher: ${anchor.fisher}
    matrix:
      method:
        - {name: source}
        - {name: eata}
        - {name: auxadapt}
        - {name: reservoir, base: {name: eata}}
    method: ${matrix.method}
    stream: {kind: single, domains: [{dataset: fog}]}
"""


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def weather(graph: Graph) -> dict[str, Task]:
    return {task.point["method"]["name"]: task for task in graph.nodes if task.stage == "weather"}


def test_each_method_takes_what_it_needs_and_no_more(expand_text: Expand) -> None:
    graph = expand_text(SUPPLIED)
    stages = {key: task.stage for key, task in graph.tasks.items()}
    assert {
        name: {role: stages[key] for role, key in task.inputs.items()} for name, task in weather(graph).items()
    } == {
        "source": {"checkpoint": "main"},
        "eata": {"checkpoint": "main", "fisher": "anchor"},
        "auxadapt": {"checkpoint": "main", "auxiliary": "aux"},
        "reservoir": {"checkpoint": "main", "styles": "look", "fisher": "anchor"},
    }
    eata = weather(graph)["eata"].settings
    assert isinstance(eata, StreamStage)
    assert (eata.fisher, eata.styles, eata.auxiliary) == (weather(graph)["eata"].inputs["fisher"], None, None)


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("look: {kind: styles,", "look: {kind: styles, quantile: 0.9,", {"reservoir"}),
        ("anchor: {kind: fisher,", "anchor: {kind: fisher, samples: 9,", {"eata", "reservoir"}),
        ("aux: {kind: train, model: small,", "aux: {kind: train, seed: 1, model: small,", {"auxadapt"}),
        (
            "    method: ${matrix",
            "    on_non_finite: stop\n    method: ${matrix",
            {"source", "eata", "auxadapt", "reservoir"},
        ),
        (
            "    method: ${matrix",
            "    temporal: {flow: dis}\n    method: ${matrix",
            {"source", "eata", "auxadapt", "reservoir"},
        ),
    ],
)
def test_a_key_holds_the_supplies_that_are_used(expand_text: Expand, old: str, new: str, changed: set[str]) -> None:
    before, after = weather(expand_text(SUPPLIED)), weather(expand_text(edit(SUPPLIED, (old, new))))
    assert {name for name in before if before[name].key != after[name].key} == changed


def test_an_unused_supply_leaves_the_key_as_it_would_be_without(expand_text: Expand) -> None:
    lines = [line for line in SUPPLIED.splitlines() if "${look" not in line and "${anchor" not in line]
    bare = "\n".join(line for line in lines if "eata" not in line and "auxadapt" not in line and "${aux" not in line)
    assert weather(expand_text(bare))["source"].key == weather(expand_text(SUPPLIED))["source"].key


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (
            "    styles: ${look.styles}\n",
            "HERE stages.weather.styles: the method reservoir(eata) needs it. Write `styles: ${STAGE.styles}`, and add the "
            "stage that measures them on the source: `STAGE: {kind: styles, checkpoint: ..., dataset: SOURCE}`.",
        ),
        (
            "    fisher: ${anchor.fisher}\n",
            "HERE stages.weather.fisher: the method eata needs it. Write `fisher: ${STAGE.fisher}`",
        ),
        (
            "    auxiliary: ${aux.checkpoint}\n",
            "HERE stages.weather.auxiliary: the method auxadapt needs it. Write `auxiliary: ${STAGE.checkpoint}`",
        ),
    ],
)
def test_a_missing_supply_is_named_with_its_remedy(refuse: Refuse, line: str, message: str) -> None:
    (got,) = refuse(edit(SUPPLIED, (line, ""), ("  weather:\n", "  weather: #!\n")))
    assert got.startswith(message)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "styles: ${look.styles}\n",
            "styles: ${anchor.fisher} #!\n",
            "HERE stages.weather.styles: write ${STAGE.styles} and no more, got '${anchor.fisher}'.",
        ),
        (
            "auxiliary: ${aux.checkpoint}\n",
            "auxiliary: small #!\n",
            "HERE stages.weather.auxiliary: write ${STAGE.checkpoint} and no more, got 'small'.",
        ),
        (
            "    stream: {kind: single",
            "    label: ${anchor.fisher} #!\n    stream: {kind: single",
            "HERE stages.weather.label: only `checkpoint`, `auxiliary`, `styles` and `fisher` take the output of a "
            "stage, got ${anchor.fisher}.",
        ),
        (
            '  look: {kind: styles, checkpoint: "${main.checkpoint}", dataset: source}',
            '  look: {kind: styles, checkpoint: "${main.checkpoint}", fisher: "${anchor.fisher}", dataset: source} #!',
            "HERE stages.look.fisher: only `checkpoint` takes the output of a stage, got ${anchor.fisher}.",
        ),
    ],
)
def test_an_input_that_is_another_output_is_refused(refuse: Refuse, old: str, new: str, message: str) -> None:
    (got,) = refuse(edit(SUPPLIED, (old, new)))
    assert got.startswith(message)


@pytest.mark.parametrize("role", ["styles", "fisher"])
def test_statistics_of_another_network_are_refused(refuse: Refuse, role: str) -> None:
    stage = {"styles": "look", "fisher": "anchor"}[role]
    old = f'{stage}: {{kind: {role}, checkpoint: "${{main.checkpoint}}"'
    text = edit(SUPPLIED, (old, old.replace("main", "aux")))
    (got,) = refuse(text)
    assert f"stages.weather.{role}: {stage} was measured on another network than the one that is adapted here." in got
    assert f"Give stage '{stage}' the same `checkpoint` or `model`" in got


def test_styles_of_vgg19_serve_every_network(expand_text: Expand) -> None:
    old = 'look: {kind: styles, checkpoint: "${main.checkpoint}"'
    new = 'look: {kind: styles, extractor: {name: vgg19, weights: vgg.pth}, checkpoint: "${aux.checkpoint}"'
    assert len(weather(expand_text(edit(SUPPLIED, (old, new))))) == 4


def test_an_auxiliary_network_of_other_classes_is_refused(refuse: Refuse) -> None:
    text = edit(
        SUPPLIED, ("aux: {kind: train, model: small, dataset: source", "aux: {kind: train, model: small, dataset: own")
    )
    (got,) = refuse(text)
    assert "stages.weather.auxiliary: the network of aux predicts 11 classes (Sky, Building, Pole, ...)" in got
    assert "but the network of main has 19 (road, sidewalk, building, ...)" in got


def test_the_bytes_of_an_extractor_are_part_of_the_key_and_its_name_is_not(expand_text: Expand) -> None:
    old = "look: {kind: styles,"
    text = edit(SUPPLIED, (old, f"{old} extractor: {{name: vgg19, weights: vgg.pth}},"))

    def find(text: str, **options: dict[str, str]) -> Task:
        return next(task for task in expand_text(text, **options).nodes if task.stage == "look")

    task = find(text, changed={"vgg.pth": "bytes"})
    assert (task.extractor_sha256, task.weights) == ("bytes", {"extractor": "vgg.pth"})
    assert find(text.replace("vgg.pth", "other.pth"), changed={"other.pth": "bytes"}).key == task.key
    assert find(text, changed={"vgg.pth": "others"}).key != task.key


def test_source_statistics_need_no_labels(write: Callable[..., Path]) -> None:
    text = edit(
        SUPPLIED,
        ("        - {name: auxadapt}\n", ""),
        ("    auxiliary: ${aux.checkpoint}\n", ""),
        ("  main: {kind: train, model: net, dataset: source, training: {}}\n", ""),
        ("  aux: {kind: train, model: small, dataset: source, training: {}}\n", ""),
        ("    checkpoint: ${main.checkpoint}\n", "    model: net\n"),
    ).replace('checkpoint: "${main.checkpoint}"', "model: net")
    loaded = load_experiment(str(write(text)), "full")
    asked: set[tuple[str, bool]] = set()

    class Recorder:
        def bind_dataset(self, name: str, needs_labels: bool) -> BoundDataset:
            asked.add((name, needs_labels))
            return BoundDataset(loaded.settings.datasets[name], "f")

        def bind_model(self, name: str) -> BoundModel:
            return BoundModel(loaded.settings.models[name], "c", None)

    expand(loaded, cast(Any, Recorder()))
    assert asked == {("source", False), ("fog", True)}


STREAM = {"kind": "stream", "model": "net", "stream": {"kind": "single", "domains": [{"dataset": "fog"}]}}


def build(method: object, **supplies: str) -> StreamStage:
    return StreamStage.model_validate({**STREAM, "method": method, **supplies})


def test_needs_follow_what_a_method_wraps() -> None:
    reservoir = ReservoirSettings(base=EataSettings())
    assert find_missing_supply(build(TentSettings())) is None
    conflict = find_missing_supply(build(reservoir, styles="s"))
    assert conflict is not None
    assert conflict.key == ("fisher",)
    assert find_missing_supply(build(reservoir, styles="s", fisher="f")) is None
    assert list_unused(build(AuxAdaptSettings(), auxiliary="a", styles="s", fisher="f")) == ("styles", "fisher")


def test_no_input_is_no_conflict() -> None:
    assert (
        find_bad_input("stream", {"styles": None, "method": {"name": "tent"}, "checkpoint": "${a.checkpoint}"}) is None
    )


@pytest.mark.parametrize(
    ("old", "new", "method"),
    [
        ("dataset: source}\n  weather", "dataset: source, batch_norm: source}\n  weather", "eata"),
        ("        - {name: eata}\n", "        - {name: eata, batch_norm: source}\n", "eata"),
        ("base: {name: eata}", "base: {name: eata, batch_norm: source}", "reservoir(eata)"),
        ("{name: auxadapt}", "{name: rdumb, n: 9, base: {name: eata, batch_norm: source}}", "rdumb(eata)"),
    ],
)
def test_fisher_of_other_statistics_than_the_methods_is_refused(
    refuse: Refuse, old: str, new: str, method: str
) -> None:
    (got,) = refuse(edit(SUPPLIED, (old, new), ("    fisher: ${anchor.fisher}\n", "    fisher: ${anchor.fisher} #!\n")))
    assert got.startswith("HERE stages.weather.fisher: anchor was measured with `batch_norm: ")
    assert f"but the method {method}" in got
    assert "Give `stages.anchor.batch_norm` and `batch_norm` of this stage's `method` the same value." in got


def test_fisher_of_the_methods_own_statistics_is_taken(expand_text: Expand) -> None:
    text = edit(
        SUPPLIED,
        ("dataset: source}\n  weather", "dataset: source, batch_norm: source}\n  weather"),
        ("        - {name: eata}\n", "        - {name: eata, batch_norm: source}\n"),
        ("base: {name: eata}", "base: {name: eata, batch_norm: source}"),
    )
    assert len(weather(expand_text(text))) == 4


def test_a_search_may_not_try_other_statistics_than_those_of_fisher(refuse: Refuse, expand_text: Expand) -> None:
    lines = "    search: {stream: {kind: single, domains: [{dataset: rain}]}, space: {batch_norm: [batch, source]}}\n"
    text = edit(
        SUPPLIED,
        ("  fog: {type", "  rain: {type: acdc, split: val, subset: [rain]}\n  fog: {type"),
        ("        - {name: source}\n", ""),
        ("        - {name: auxadapt}\n", ""),
        ("        - {name: reservoir, base: {name: eata}}\n", ""),
        ("    method: ${matrix.method}\n", "    method: ${matrix.method}\n" + lines),
    )
    (got,) = refuse(text)
    assert "stages.weather.fisher: anchor was measured with `batch_norm: batch`" in got
    assert weather(expand_text(text.replace("[batch, source]", "[batch]")))["eata"].inputs["fisher"]


def test_a_reference_to_another_output_names_its_key(refuse: Refuse) -> None:
    (got,) = refuse(edit(SUPPLIED, ("styles: ${look.styles}\n", "styles: ${look.checkpoint} #!\n")))
    assert got == "HERE stages.weather.styles: unknown output of stage 'look' 'checkpoint'. Known: styles."


@pytest.mark.parametrize(
    "edits",
    [
        [("domains: [{dataset: fog}]}", "domains: [{dataset: fig}]} #!")],
        [
            (
                "    stream: {kind: single",
                "    search:\n      space: {lr: [1e-3]}\n      stream:\n        kind: single\n        domains:\n"
                "          - {dataset: fig} #!\n    stream: {kind: single",
            ),
            ("        - {name: source}\n", ""),
        ],
    ],
    ids=["stream", "search"],
)
def test_an_unknown_data_set_of_a_domain_is_named_with_its_key(refuse: Refuse, edits: list[tuple[str, str]]) -> None:
    (got,) = refuse(edit(SUPPLIED, *edits))
    at = "stream" if len(edits) == 1 else "search.stream"
    assert got.startswith(f"HERE stages.weather.{at}.domains.0.dataset: unknown data set 'fig'. Did you mean 'fog'?")


@pytest.mark.parametrize("flow", ["nomod.x:f", "nomod:f", "json.nothing:f", "json.decoder.x:f"])
def test_a_flow_of_a_module_that_is_not_there_is_refused(refuse: Refuse, flow: str) -> None:
    line = f'    temporal: {{flow: "{flow}"}} #!\n'
    (got,) = refuse(edit(SUPPLIED, ("    method: ${matrix", f"{line}    method: ${{matrix")))
    module = flow.partition(":")[0]
    assert got.startswith(
        f"HERE stages.weather.temporal.flow: the flow '{flow}' cannot be imported: this Python has no"
    )
    assert f"no module '{module}'. Install it" in got
    assert "write `dis` or `farneback`" in got
