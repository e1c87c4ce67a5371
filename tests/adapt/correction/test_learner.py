"""One step of the learner against the same step in plain torch."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from adapt.correction.counts import LabelCounts
from adapt.correction.learner import NoisyLearner
from adapt.correction.settings import ConsistencySettings, GeneralisedSettings
from adapt.model import ModelSettings
from adapt.openmmlab import PixelData, SegDataSample
from adapt.openmmlab.model import build_model, resolve_config
from adapt.training.step import StepWrapper

SCALES = (0.5, 1.0, 1.5)


def make_batch() -> tuple[dict[str, Any], Tensor]:
    torch.manual_seed(3)
    images = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8)
    labels = torch.randint(0, 11, (2, 3, 32, 48))
    labels[:, :, :4] = 255
    samples = []
    for label in labels:
        sample = SegDataSample(metainfo={"img_shape": (32, 48)})
        sample.gt_sem_seg = PixelData(data=label.clone())
        samples.append(sample)
    return {"inputs": list(images), "data_samples": samples}, labels


def build(model_config: dict[str, Any], lr: float = 0.1, **options: Any) -> tuple[NoisyLearner, StepWrapper]:
    config = copy.deepcopy(model_config)
    config["decode_head"]["dropout_ratio"] = 0.0
    learner = NoisyLearner(build_model(config, 0), LabelCounts(11, "original"), **options)
    learner.train()
    return learner, StepWrapper(torch.optim.SGD(learner.parameters(), lr=lr))


def run_plainly(network: nn.Module, images: Tensor, size: tuple[int, int]) -> Tensor:
    return interpolate(network.decode_head(network.backbone(images)), size=size, mode="bilinear", align_corners=True)


def test_the_consistency_step_by_hand(model_config) -> None:
    settings = ConsistencySettings(scales=SCALES, confidence=0.0, weight=0.7)
    learner, wrapper = build(model_config, consistency=settings)
    twin, _ = build(model_config, consistency=settings)
    batch, labels = make_batch()
    images = twin.data_preprocessor(copy.deepcopy(batch), training=True)["inputs"]
    label = labels[:, 0]
    weights = twin.scale_weights.softmax(0)
    logits = []
    for scale in SCALES:
        size = (int(32 * scale), int(48 * scale))
        resized = interpolate(images, size=size, mode="bilinear", align_corners=True)
        logits.append(run_plainly(twin.student, resized, (32, 48)))
    entropies = sum(
        cross_entropy(scale * share, label, ignore_index=255, reduction="none").mean()
        for scale, share in zip(logits, weights, strict=True)
    )
    fused = sum(share * scale.softmax(1) for scale, share in zip(logits, weights, strict=True)).clamp(1e-3, 1 - 1e-3)
    divergence = sum((scale.softmax(1) * (scale.log_softmax(1) - fused.log())).sum(1).mean() for scale in logits)
    total = entropies + 0.7 * divergence
    total.backward()
    outputs = learner.train_step(batch, wrapper)
    assert learner.metrics == tuple(outputs)
    assert float(outputs["loss"]) == pytest.approx(float(total.detach()), rel=1e-5)
    assert float(outputs["consistency"]) == pytest.approx(0.7 * float(divergence.detach()), rel=1e-4)
    moved = learner.scale_weights.detach() - 1
    assert torch.allclose(moved, -0.1 * twin.scale_weights.grad, rtol=1e-3, atol=1e-7)
    assert moved.abs().max() > 1e-6
    expected = twin.student.decode_head.conv_seg.weight - 0.1 * twin.student.decode_head.conv_seg.weight.grad
    assert torch.allclose(learner.student.decode_head.conv_seg.weight, expected, atol=1e-5)
    assert learner.counts.take()["fit"].sum() == (labels[:, 1] != 255).sum()


def test_fixed_weights_stay_equal(model_config) -> None:
    learner, wrapper = build(model_config, consistency=ConsistencySettings(scales=(0.5, 1.0), weights="fixed"))
    learner.train_step(make_batch()[0], wrapper)
    assert torch.equal(learner.scale_weights, torch.ones(2))


def test_another_loss_takes_the_place_of_the_heads_but_for_its_factor(model_config) -> None:
    model_config["decode_head"]["loss_decode"]["loss_weight"] = 0.4
    settings = GeneralisedSettings(q=0.5)
    learner, wrapper = build(model_config, loss=settings)
    twin, _ = build(model_config)
    batch, labels = make_batch()
    images = twin.data_preprocessor(copy.deepcopy(batch), training=True)["inputs"]
    entropy = cross_entropy(
        run_plainly(twin.student, images, (32, 48)), labels[:, 0], ignore_index=255, reduction="none"
    )
    expected = 0.4 * ((1 - (-0.5 * entropy).exp()) / 0.5).mean()
    outputs = learner.train_step(batch, wrapper)
    assert float(outputs["loss"]) == pytest.approx(float(expected.detach()), rel=1e-4)
    assert tuple(outputs) == learner.metrics == ("loss",)


def test_a_network_that_wants_other_sizes_sees_padded_images() -> None:
    """A U-Net takes multiples of 16 only: 0.7 of 32x48 is 22x33."""
    unet = build_model(resolve_config(ModelSettings(config="unet_small"), 11), 0)
    settings = ConsistencySettings(scales=(0.7, 1.0))
    learner = NoisyLearner(unet, LabelCounts(11, "original"), consistency=settings)
    wrapper = StepWrapper(torch.optim.SGD(learner.train().parameters(), lr=0.1))
    outputs = learner.train_step(make_batch()[0], wrapper)
    assert all(torch.isfinite(value) for value in outputs.values())
