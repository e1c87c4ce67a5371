"""The losses against loops in float64, their limits, and the loss that plain training takes today."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import Tensor

from adapt.correction.loss import compute_loss, compute_pixel_losses
from adapt.correction.settings import CrossEntropySettings, GeneralisedSettings, LossSettings, SymmetricSettings
from adapt.openmmlab.model import build_model

CHOICES = [
    CrossEntropySettings(),
    CrossEntropySettings(label_smoothing=0.1),
    SymmetricSettings(),
    SymmetricSettings(alpha=6.0, beta=0.1, log_zero=-6.0),
    GeneralisedSettings(),
    GeneralisedSettings(q=1.0),
]


def make_batch(seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(2, 5, 4, 6, generator=generator)
    label = torch.randint(0, 5, (2, 4, 6), generator=generator)
    label[0, 1, :3] = 255
    return logits, label


def compute_one(logits: list[float], label: int, settings: LossSettings) -> float:
    """One pixel, as the papers write it: sums over classes of a one-hot label."""
    if label == 255:
        return 0.0
    total = sum(math.exp(value) for value in logits)
    probability = [math.exp(value) / total for value in logits]
    one_hot = [float(index == label) for index in range(len(logits))]
    if isinstance(settings, CrossEntropySettings):
        share = settings.label_smoothing
        target = [(1 - share) * value + share / len(logits) for value in one_hot]
        return -sum(t * math.log(p) for t, p in zip(target, probability, strict=True))
    if isinstance(settings, SymmetricSettings):
        entropy = -sum(t * math.log(p) for t, p in zip(one_hot, probability, strict=True))
        log_target = [0.0 if value else settings.log_zero for value in one_hot]
        reverse = -sum(p * t for p, t in zip(probability, log_target, strict=True))
        return settings.alpha * entropy + settings.beta * reverse
    return (1 - probability[label] ** settings.q) / settings.q


@pytest.mark.parametrize("settings", CHOICES, ids=repr)
def test_every_pixel_equals_the_loop(settings: LossSettings) -> None:
    logits, label = make_batch()
    losses = compute_pixel_losses(logits, label, settings)

    assert losses.shape == label.shape
    assert losses.dtype == torch.float32
    wanted = np.zeros(label.shape)
    for image, row, column in np.ndindex(*label.shape):
        wanted[image, row, column] = compute_one(
            logits[image, :, row, column].tolist(), int(label[image, row, column]), settings
        )
    np.testing.assert_allclose(losses.numpy(), wanted, rtol=1e-5, atol=1e-6)
    assert (losses[label == 255] == 0).all()
    assert compute_loss(logits, label, settings).item() == pytest.approx(wanted.mean(), rel=1e-5)


def test_by_hand() -> None:
    # p of the label is 1/2: log 2; 0.1 log 2 + 4 (1 - 1/2); 2 (1 - sqrt(1/2)).
    logits, label = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64)
    assert compute_loss(logits, label, CrossEntropySettings()).item() == pytest.approx(0.693147, abs=1e-6)
    assert compute_loss(logits, label, SymmetricSettings()).item() == pytest.approx(2.069315, abs=1e-6)
    assert compute_loss(logits, label, GeneralisedSettings(q=0.5)).item() == pytest.approx(0.585786, abs=1e-6)


def test_plain_cross_entropy_is_what_mmsegmentation_trains_with(model_config: dict[str, Any]) -> None:
    head: Any = build_model(model_config, 0).decode_head
    logits = torch.randn(2, 11, 6, 8, requires_grad=True)
    label = torch.randint(0, 11, (2, 24, 32))
    label[:, :5] = 255
    samples = [SimpleNamespace(gt_sem_seg=SimpleNamespace(data=one[None])) for one in label]
    wanted = head.loss_by_feat(logits, samples)["loss_ce"]
    large = torch.nn.functional.interpolate(logits, size=(24, 32), mode="bilinear", align_corners=False)
    loss = compute_loss(large, label, CrossEntropySettings())

    assert loss.item() == pytest.approx(wanted.item(), rel=1e-6)
    gradients = [torch.autograd.grad(value, logits, retain_graph=True)[0] for value in (loss, wanted)]
    torch.testing.assert_close(*gradients)


@hypothesis.settings(deadline=None)
@hypothesis.given(seed=st.integers(0, 1000), q=st.floats(1e-9, 1e-6))
def test_generalised_tends_to_cross_entropy(seed: int, q: float) -> None:
    logits, label = make_batch(seed)
    torch.testing.assert_close(
        compute_pixel_losses(logits, label, GeneralisedSettings(q=q)),
        compute_pixel_losses(logits, label, CrossEntropySettings()),
        rtol=1e-4,
        atol=1e-6,
    )


def test_robust_losses_are_bounded_where_cross_entropy_is_not() -> None:
    logits, label = torch.tensor([0.0, 1e4]).view(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64)
    assert compute_loss(logits, label, CrossEntropySettings()).item() == 1e4
    assert compute_loss(logits, label, SymmetricSettings(alpha=0.0)).item() == 4.0
    assert compute_loss(logits, label, GeneralisedSettings(q=0.5)).item() == 2.0


@pytest.mark.parametrize("settings", CHOICES, ids=repr)
@pytest.mark.parametrize("size", [1e2, 1e4, 1e30])
def test_gradients_are_finite_at_extreme_logits(settings: LossSettings, size: float) -> None:
    logits = torch.tensor([[size, -size, 0.0], [-size, size, 0.0], [size, size, -size]])  # pixels, classes
    logits = logits.t().reshape(1, 3, 1, 3).requires_grad_()
    losses = compute_pixel_losses(logits, torch.zeros(1, 1, 3, dtype=torch.int64), settings)
    losses.sum().backward()

    assert torch.isfinite(losses).all()
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("settings", CHOICES, ids=repr)
def test_half_precision_is_computed_in_float32(settings: LossSettings) -> None:
    logits, label = make_batch()
    rounded = logits.bfloat16()
    losses = compute_pixel_losses(rounded, label, settings)

    assert losses.dtype == torch.float32
    assert torch.equal(losses, compute_pixel_losses(rounded.float(), label, settings))
