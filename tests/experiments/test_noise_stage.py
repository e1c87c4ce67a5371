"""Noise, loss, correction and validation of a training: part of its key where they are set, and refused where they do not fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from experiments.graph import Graph

Expand = Callable[..., Graph]
Refuse = Callable[..., list[str]]

TEXT = """\
title: a training on noisy labels
datasets:
  train: {type: camvid, split: train}
  val: {type: camvid, split: val}
  night: {type: cityscapes, split: val}
models:
  net: {config: cgnet_small}
stages:
  trained:
    kind: train
    model: net
    dataset: train
    training: {iterations: 1000, augment: {crop: [64, 48]}}
"""
NOISE = "    noise: {name: flip, rate: 0.3}\n"
UDA = """\
  adapted:
    kind: uda
    model: net
    source: train
    target: val
    training: {iterations: 1000, augment: {crop: [64, 48]}}
    method: {name: dacs, feature_distance: null}
"""


def key(expand_text: Expand, *lines: str) -> str:
    return expand_text(TEXT + "".join(lines)).nodes[-1].key


def test_what_is_not_set_is_no_part_of_the_key_and_what_is_set_is(expand_text: Expand) -> None:
    plain = key(expand_text)
    assert key(expand_text, "    noise: null\n    correction: null\n") == plain
    keys = [
        key(expand_text, NOISE),
        key(expand_text, NOISE.replace("0.3", "0.4")),
        key(expand_text, NOISE.replace("rate", "seed: 1, rate")),
        key(expand_text, NOISE, "    loss: {name: generalised}\n"),
        key(expand_text, NOISE, "    correction: {name: adele}\n"),
        key(expand_text, NOISE, "    correction: {name: adele, rule: {confidence: 0.7}}\n"),
        key(expand_text, "    validation: {dataset: val, interval: 100}\n"),
    ]
    assert len({plain, *keys}) == 8


def test_a_validation_is_bound_and_its_name_does_not_matter(expand_text: Expand) -> None:
    lines = "    validation: {dataset: val, interval: 100}\n"
    (task,) = expand_text(TEXT + lines).nodes
    assert set(task.datasets) == {"train", "val"}
    renamed = (TEXT + lines).replace("  val:", "  looked_at:").replace("dataset: val", "dataset: looked_at")
    assert expand_text(renamed).nodes[0].key == task.key


def test_an_adaptation_takes_noise_and_correction_of_its_source(expand_text: Expand) -> None:
    plain = key(expand_text, UDA)
    assert key(expand_text, UDA, NOISE) != plain
    assert key(expand_text, UDA, NOISE, "    correction: {name: adele, consistency: null}\n") != key(
        expand_text, UDA, NOISE
    )


@pytest.mark.parametrize(
    ("lines", "line"),
    [
        (
            "    noise: {name: flip, rate: 1.2} #!\n",
            "HERE stages.trained.noise.rate: input should be less than or equal to 1 (got 1.2).",
        ),
        (
            "    noise: {name: fliped, rate: 0.2} #!\n",
            "HERE stages.trained.noise: unknown name 'fliped'. Did you mean 'flip'? Known: boundary, drop, flip, "
            "morphology, weak.",
        ),
        (
            "    noise: {name: drop, rate: 0.2, background: Sky2} #!\n",
            "HERE stages.trained.noise: `background` of the noise names 'Sky2', which is no class of this data set. Allowed: Sky, "
            "Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist. The closest is 'Sky'.",
        ),
        (
            "    correction: {name: adele, rule: {background: nothing}} #!\n",
            "HERE stages.trained.correction.rule.background: `correction.rule.background` names 'nothing', which is no class of "
            "this data set. Allowed: Sky, Building, Pole, Road, Pavement, Tree, SignSymbol, Fence, Car, Pedestrian, Bicyclist. "
            "The closest is 'Building'.",
        ),
        (
            "    correction: {name: adele, consistency: {scales: [0.5, 2.0]}} #!\n",
            "HERE stages.trained.correction.consistency: `scales` must hold 1.0: the curves of training IoU are those of the "
            "single scale.",
        ),
        (
            "    validation: {dataset: vall, interval: 10} #!\n",
            "HERE stages.trained.validation.dataset: unknown data set 'vall'. Did you mean 'val'? Known: night, train, val.",
        ),
    ],
)
def test_what_does_not_fit_is_refused(refuse: Refuse, lines: str, line: str) -> None:
    assert refuse(TEXT + lines) == [line]


# 1000 iterations of 2 images: of 900 frames an epoch has 450 iterations, of 600 frames 300.
@pytest.mark.parametrize(
    ("frames", "lines", "parts"),
    [
        (
            900,
            "{name: adele}",
            ("1350, the end of epoch 3, but", "1000 iterations (2.22 epochs). Set `training.iterations`"),
        ),
        (
            300,
            "{name: adele, curve: {point_iterations: 300}}",
            (
                "4 points (`correction.curve.min_points`) of 300 iterations",
                "at iteration 1200",
                "1200 or more, or lower `corr",
            ),
        ),
        (
            600,
            "{name: adele, curve: {point_iterations: null}}",
            (
                "of a whole epoch",
                "at iteration 1200, the end of epoch 4",
                "or lower `correction.curve.point_iterations`.",
            ),
        ),
        (
            600,
            "{name: adele, rule: {every: 10}}",
            ("divides", "at iteration 3000, the end of epoch 10", "or lower `correction.rule.every`."),
        ),
        (
            300,
            "{name: self_correction, epoch: 7}",
            ("`correction.epoch`, 7, on", "at iteration 1050", "or lower `correction.epoch`."),
        ),
        (600, "{name: self_correction, epoch: 1, rule: {every: 4}}", ("at iteration 1200, the end of epoch 4",)),
    ],
)
def test_a_correction_that_never_happens_is_refused(
    refuse: Refuse, expand_text: Expand, frames: int, lines: str, parts: tuple[str, ...]
) -> None:
    text = TEXT + f"    correction: {lines} #!\n"
    (line,) = refuse(text, changed={"frames": str(frames)})
    assert line.startswith("HERE stages.trained.correction: `correction` would never change a label. ")
    for part in parts:
        assert part in line
    needed = line.partition("`training.iterations` to ")[2].partition(" ")[0]
    longer = text.replace("iterations: 1000", f"iterations: {needed}")
    assert len(expand_text(longer, changed={"frames": str(frames)}).nodes) == 1
    assert refuse(longer.replace(needed, str(int(needed) - 1), 1), changed={"frames": str(frames)})
    assert len(expand_text(text).nodes) == 1  # how many frames there are is not known: the task refuses it


def test_a_correction_counts_the_images_of_an_accumulated_batch(expand_text: Expand, refuse: Refuse) -> None:
    text = TEXT + "    correction: {name: self_correction, epoch: 5} #!\n"
    assert refuse(text, changed={"frames": "800"})
    longer = text.replace("iterations: 1000,", "iterations: 1000, accumulate: 2,")
    assert len(expand_text(longer, changed={"frames": "800"}).nodes) == 1


def test_an_adaptation_corrects_in_epochs_of_its_source(expand_text: Expand, refuse: Refuse) -> None:
    text = TEXT + UDA + "    correction: {name: self_correction, epoch: 3, consistency: null} #!\n"
    (line,) = refuse(text, changed={"frames": "1000"})
    assert "at iteration 1500" in line
    assert len(expand_text(text, changed={"frames": "600"}).nodes) == 2


def test_several_workers_are_refused(refuse: Refuse) -> None:
    text = TEXT.replace("iterations: 1000,", "iterations: 1000, workers: 2,").replace("[64, 48]}}", "[64, 48]}} #!")
    (line,) = refuse(text + NOISE)
    assert line.startswith("HERE stages.trained.training.workers: noise, loss, correction and validation are for")


def test_a_validation_of_other_classes_is_refused(refuse: Refuse) -> None:
    lines = "    validation: {dataset: night, interval: 10}\n"
    (line,) = refuse(TEXT.replace("  trained:", "  trained: #!") + lines)
    assert "data set 'night' has 19 classes" in line
    assert "data set 'train' has 11" in line


def test_an_adaptation_does_without_the_loss_over_scales(refuse: Refuse) -> None:
    (line,) = refuse(TEXT + UDA + "    correction: {name: adele} #!\n")
    assert line.startswith("HERE stages.adapted.correction.consistency: the loss over several scales is for `train`")
