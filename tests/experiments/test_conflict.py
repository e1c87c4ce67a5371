"""Settings that cannot hold together are refused at planning, with file, line, key and what to write instead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from adapt.errors import SpecError
from experiments.graph import Graph

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

TEXT = """\
title: an adaptation in which every setting fits the others
datasets:
  source: {type: gta, split: train}
  target: {type: cityscapes, split: train}
models:
  student: {config: cgnet_small, weights: some.pth, weights_of: backbone}
stages:
  adapted:
    kind: uda
    resources: {gpus: 1}
    model: student
    source: source
    target: target
    training:
      augment: {crop: [64, 48]}
      precision: bf16
      workers: 2
    method:
      name: hrda
      ignore_top: 20
      ignore_bottom: 27
      feature_distance: {classes: [11, 18]}
      multi_resolution: {detail_crop: [64, 48]}
"""
CAMVID = (("type: gta", "type: camvid"), ("type: cityscapes", "type: camvid"))


def edit(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


def test_what_fits_is_accepted_up_to_the_last_pixel(expand_text: Expand) -> None:
    (task,) = expand_text(TEXT).nodes
    assert (task.workers, task.settings.method.name) == (2, "hrda")


WEIGHTS = (
    "HERE stages.adapted.method.feature_distance: it keeps the backbone near its ImageNet features, but the model does not "
    "start from the weights of a backbone. Give the model such weights (`weights: FILE`, `weights_of: backbone`), or write "
    "`feature_distance: null` (none), or `feature_distance: {reference: start}` (near whatever it starts from)."
)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            [("    method:\n      name: hrda", "    method: #!\n      name: source_only")],
            "HERE stages.adapted.method: 'source_only' is supervised training and no adaptation. Write a stage of "
            "`kind: train` with `dataset:` the source.",
        ),
        (
            [("    method:\n      name: hrda", "    method: #!\n      name: oracle")],
            "HERE stages.adapted.method: 'oracle' is supervised training and no adaptation. Write a stage of "
            "`kind: train` with `dataset:` the target.",
        ),
        (
            [
                (", weights: some.pth, weights_of: backbone", ""),
                ("      feature_distance: {classes: [11, 18]}", "      feature_distance: {classes: [11, 18]} #!"),
            ],
            WEIGHTS,
        ),
        (
            [
                (", weights_of: backbone", ""),
                ("      feature_distance: {classes: [11, 18]}", "      feature_distance: {classes: [11, 18]} #!"),
            ],
            WEIGHTS,
        ),
        (
            [("{gpus: 1}", "{gpus: 0}"), ("precision: bf16", "precision: bf16 #!")],
            "HERE stages.adapted.training.precision: bf16 is for GPUs, and the stage asks for none. "
            "Write `precision: fp32`, or give it `resources: {gpus: 1}`.",
        ),
        (
            [("{gpus: 1}", "{gpus: 0.5} #!")],
            "HERE stages.adapted.resources.gpus: 2 workers need whole GPUs each, got 0.5 for each. "
            "Write `gpus: 1`, or `workers: 1`.",
        ),
        (
            [("{detail_crop: [64, 48]}", "{detail_crop: [64, 49]} #!")],
            "HERE stages.adapted.method.multi_resolution.detail_crop: the detail crop [64, 49] does not fit into the "
            "training crop [64, 48]. Lower it, or enlarge `training.augment.crop`.",
        ),
        (
            [("ignore_bottom: 27", "ignore_bottom: 28 #!")],
            "HERE stages.adapted.method.ignore_bottom: ignore_top 20 and ignore_bottom 28 leave nothing of a crop that is "
            "48 high. Lower them, or enlarge `training.augment.crop`.",
        ),
        (
            [*CAMVID, ("{classes: [11, 18]}", "{classes: [10, 11, 18]} #!")],
            "HERE stages.adapted.method.feature_distance.classes: the data has the train ids 0 to 10, not 11, 18. "
            "List its things, or write `feature_distance: null`.",
        ),
        (
            [("{crop: [64, 48]}", "{crop: null} #!")],
            "HERE stages.adapted.training.augment.crop: an adaptation joins images of two domains in one batch, so it needs "
            "one size for both: (width, height), such as [512, 512], got null.",
        ),
    ],
)
def test_what_does_not_fit_is_refused_with_its_line(refuse: Refuse, changes: list[tuple[str, str]], line: str) -> None:
    assert refuse(edit(TEXT, *changes)) == [line]


@pytest.mark.parametrize(
    "changes",
    [
        [(", weights: some.pth, weights_of: backbone", ""), ("{classes: [11, 18]}", "{reference: start}")],
        [(", weights: some.pth, weights_of: backbone", ""), ("{classes: [11, 18]}", "null")],
        [*CAMVID, ("{classes: [11, 18]}", "{classes: [8, 10]}")],
        [("{gpus: 1}", "{gpus: 0}"), ("precision: bf16", "precision: fp32")],
        [("{gpus: 1}", "{gpus: 0.5}"), ("workers: 2", "workers: 1")],
        [("name: hrda", "name: mic"), ("      multi_resolution: {detail_crop: [64, 48]}\n", "")],
    ],
)
def test_each_remedy_is_one(expand_text: Expand, changes: list[tuple[str, str]]) -> None:
    assert len(expand_text(edit(TEXT, *changes)).nodes) == 1


def test_a_method_without_any_of_these_parts_has_no_conflict(expand_text: Expand) -> None:
    head, _, _ = edit(TEXT, (", weights: some.pth, weights_of: backbone", "")).partition("    method:\n")
    assert len(expand_text(head + "    method: {name: minent}\n").nodes) == 1


def test_a_wrong_method_is_answered_by_the_closest(refuse: Refuse) -> None:
    lines = refuse(edit(TEXT, ("    method:\n      name: hrda", "    method: #!\n      name: hrdaa")))
    assert lines[0].startswith(
        "HERE stages.adapted.method: unknown name 'hrdaa'. Did you mean 'hrda'? Known: dacs, daformer,"
    )


def test_a_method_without_a_name_is_daformer(expand_text: Expand) -> None:
    head, _, _ = TEXT.partition("    method:\n")
    (named,), (unnamed,), (without,) = (
        expand_text(head + method).nodes
        for method in ("    method: {name: daformer, ema_alpha: 0.9}\n", "    method: {ema_alpha: 0.9}\n", "")
    )
    assert named.key == unnamed.key != without.key
    assert without.settings.method.name == "daformer"


def test_two_resolutions_need_a_crop_in_multiples(expand_text: Expand) -> None:
    text = edit(TEXT, ("crop: [64, 48]}\n      precision", "crop: [68, 48]}\n      precision"))

    with pytest.raises(
        SpecError, match=r"stages\.adapted\.training\.augment\.crop: two resolutions need .* 8, got \[68, 48\]"
    ):
        expand_text(text)
