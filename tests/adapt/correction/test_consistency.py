"""Multi-scale consistency against loops and a case worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from adapt.correction.consistency import (
    build_scale_weights,
    compute_consistency,
    compute_multi_scale_loss,
    fuse_scales,
    resize_images,
    resize_logits,
)
from adapt.correction.loss import compute_loss
from adapt.correction.settings import ConsistencySettings, CrossEntropySettings, GeneralisedSettings


def make_batch(factor: float = 3.0) -> tuple[list[Tensor], Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = [factor * torch.randn(3, 4, 3, 5, generator=generator) for _ in range(3)]
    label = torch.randint(0, 4, (3, 3, 5), generator=generator)
    label[0, 0] = 255
    return logits, label, torch.tensor([1.0, -0.5, 0.25])


def softmax(values: Any) -> Any:
    exponents = np.exp(np.asarray(values, np.float64))
    return exponents / exponents.sum()


def compute_in_loops(logits: list[Tensor], label: Tensor, weights: Tensor, confidence: float) -> tuple[Any, float]:
    shares = softmax(weights)
    count, classes, height, width = logits[0].shape
    fused = np.zeros((count, classes, height, width))
    divergence = np.zeros((count, height, width))
    for image, row, column in np.ndindex(count, height, width):
        parts = [softmax(scale[image, :, row, column]) for scale in logits]
        for k in range(classes):
            q = sum(share * p[k] for share, p in zip(shares, parts, strict=True))
            fused[image, k, row, column] = min(max(q, 0.001), 0.999)
        for p in parts:
            for k in range(classes):
                divergence[image, row, column] += p[k] * math.log(p[k] / fused[image, k, row, column])
    for image in range(count):
        labelled = [
            fused[image, k, row, column]
            for k, row, column in np.ndindex(classes, height, width)
            if label[image, row, column] != 255
        ]
        if max(labelled) < confidence:
            divergence[image] = 0
    return fused, float(divergence.mean())


@pytest.mark.parametrize("confidence", [0.0, 0.8, 0.998, 1.0])
def test_equals_the_loop(confidence: float) -> None:
    logits, label, weights = make_batch()
    for scale in logits:
        scale[1, 2, 0, 0] += 60
    fused, consistency = compute_in_loops(logits, label, weights, confidence)

    assert {fused.min(), fused.max()} == {0.001, 0.999}, "both ends of the clamp are reached"
    np.testing.assert_allclose(fuse_scales([scale.softmax(1) for scale in logits], weights).numpy(), fused, rtol=1e-5)
    assert compute_consistency(logits, label, weights, confidence).item() == pytest.approx(consistency, rel=1e-4)


def test_confidence_takes_images_one_by_one() -> None:
    logits, label, weights = make_batch(1.0)
    label = label.clamp(max=3)
    largest = fuse_scales([scale.softmax(1) for scale in logits], weights).amax(dim=(1, 2, 3)).sort().values
    values = [
        compute_consistency(logits, label, weights, float(bound)).item()
        for bound in (0.0, (largest[0] + largest[1]) / 2, (largest[1] + largest[2]) / 2, 1.0)
    ]
    assert values == sorted(values, reverse=True)
    assert len(set(values)) == 4
    assert values[-1] == 0


def test_by_hand() -> None:
    """Two scales, two classes, one pixel: p = (1/2, 1/2) and (1/4, 3/4), so q = (3/8, 5/8)."""
    logits = [torch.zeros(1, 2, 1, 1), torch.tensor([0.0, math.log(3)]).view(1, 2, 1, 1)]
    label, weights = torch.zeros(1, 1, 1, dtype=torch.int64), torch.zeros(2)
    first = 0.5 * math.log(4 / 3) + 0.5 * math.log(4 / 5)
    second = 0.25 * math.log(2 / 3) + 0.75 * math.log(6 / 5)
    # Logits times 1/2: the second scale's probability of class 0 becomes 1 / (1 + sqrt(3)).
    entropy = math.log(2) + math.log(1 + math.sqrt(3))

    summed = ConsistencySettings(scales=(1.0, 2.0), weight=0.5, confidence=0.6)
    values = compute_multi_scale_loss(logits, label, weights, summed, CrossEntropySettings())
    assert values["cross_entropy"].item() == pytest.approx(entropy, rel=1e-5)
    assert values["consistency"].item() == pytest.approx(0.5 * (first + second), rel=1e-5)
    assert values["loss"].item() == pytest.approx(entropy + 0.5 * (first + second), rel=1e-5)

    averaged = summed.model_copy(update={"mean": True})
    halves = compute_multi_scale_loss(logits, label, weights, averaged, CrossEntropySettings())
    for name, value in values.items():
        assert halves[name].item() == pytest.approx(value.item() / 2, rel=1e-6)

    unsure = summed.model_copy(update={"confidence": 0.63})
    assert compute_multi_scale_loss(logits, label, weights, unsure, CrossEntropySettings())["consistency"] == 0


def test_the_loss_is_the_chosen_one() -> None:
    logits, label, weights = make_batch()
    robust = GeneralisedSettings()
    shares = weights.softmax(0)
    wanted = sum(compute_loss(scale * share, label, robust) for scale, share in zip(logits, shares, strict=True))
    values = compute_multi_scale_loss(logits, label, weights, ConsistencySettings(), robust)
    torch.testing.assert_close(values["cross_entropy"], wanted)


def test_agreeing_scales_have_no_consistency_to_learn() -> None:
    logits = [torch.randn(2, 4, 3, 3)] * 3
    label = torch.zeros(2, 3, 3, dtype=torch.int64)
    # Not quite 0 where q was clamped.
    assert abs(compute_consistency(logits, label, torch.ones(3), 0.0).item()) < 1e-4


def test_an_ignored_pixel_does_not_make_an_image_sure_but_counts_in_a_sure_one() -> None:
    sure, unsure = [torch.tensor(values).view(1, 2, 1, 1) for values in ([9.0, 0.0], [0.1, 0.0])]
    scales = [torch.cat([sure, unsure], dim=3), torch.cat([sure, -unsure], dim=3)]  # differ in the second pixel
    weights = torch.ones(2)
    first_ignored, second_ignored = torch.tensor([[[255, 0]]]), torch.tensor([[[0, 255]]])
    assert compute_consistency(scales, first_ignored, weights, 0.8) == 0
    assert compute_consistency(scales, second_ignored, weights, 0.8) > 1e-4


@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_gradients_are_finite_at_extreme_logits(size: float) -> None:
    first = torch.tensor([size, -size, 0.0]).view(1, 3, 1, 1).requires_grad_()
    second = torch.tensor([-size, size, 0.0]).view(1, 3, 1, 1).requires_grad_()
    weights = build_scale_weights(ConsistencySettings(scales=(1.0, 2.0)))
    consistency = compute_consistency([first, second], torch.zeros(1, 1, 1, dtype=torch.int64), weights, 0.0)
    consistency.backward()
    assert torch.isfinite(consistency)
    for tensor in (first, second, weights):
        assert tensor.grad is not None
        assert torch.isfinite(tensor.grad).all()


def test_scales_and_their_mean_are_learnt_from() -> None:
    """The gradient is that of a float64 loss written plainly, so neither p nor q is held still."""
    logits, label, weights = make_batch()
    for tensor in (*logits, weights):
        tensor.requires_grad_()
    compute_consistency(logits, label, weights, 0.0).backward()

    copies = [tensor.detach().double().requires_grad_() for tensor in (*logits, weights)]
    shares, parts = copies[-1].softmax(0), [scale.softmax(1) for scale in copies[:-1]]
    fused = sum(share * p for share, p in zip(shares, parts, strict=True))
    assert isinstance(fused, Tensor)
    log_fused = fused.clamp(1e-3, 1 - 1e-3).log()
    divergences = [(p * (p.log() - log_fused)).sum(1) for p in parts]
    torch.stack(divergences).sum(0).mean().backward()
    for tensor, copy in zip((*logits, weights), copies, strict=True):
        assert tensor.grad is not None
        assert copy.grad is not None
        torch.testing.assert_close(tensor.grad.double(), copy.grad, rtol=1e-3, atol=1e-7)


def test_weights_start_equal_and_are_learnt_where_asked() -> None:
    learned = build_scale_weights(ConsistencySettings())
    assert learned.tolist() == [1.0, 1.0, 1.0]
    assert learned.requires_grad
    assert not build_scale_weights(ConsistencySettings(weights="fixed")).requires_grad


def test_resizing_aligns_corners() -> None:
    images = torch.randn(2, 3, 10, 21)
    assert resize_images(images, 1.0) is images
    # 1.5 * 21 is 31.5: rounded down. Aligned corners stay what they are.
    for resized, size in ((resize_images(images, 1.5), (15, 31)), (resize_images(images, 0.7), (7, 14))):
        assert tuple(resized.shape[2:]) == size
        for row in (0, -1):
            for column in (0, -1):
                torch.testing.assert_close(resized[..., row, column], images[..., row, column])
    ramp = torch.arange(3.0).view(1, 1, 1, 3).expand(1, 1, 2, 3)
    large = resize_logits(ramp.bfloat16(), (4, 5))
    assert large.dtype == torch.float32
    assert large[0, 0].tolist() == [[0.0, 0.5, 1.0, 1.5, 2.0]] * 4
