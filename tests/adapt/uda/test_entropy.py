"""The entropy loss, against a loop over pixels and known values."""

from __future__ import annotations

import math

import pytest
import torch

from adapt.uda.entropy import compute_entropy


def test_equals_a_loop_over_pixels() -> None:
    torch.manual_seed(0)
    logits = 2 * torch.randn(2, 5, 3, 4)
    total = 0.0
    for n in range(2):
        for y in range(3):
            for x in range(4):
                scores = [math.exp(score) for score in logits[n, :, y, x].tolist()]
                shares = [score / sum(scores) for score in scores]
                total -= sum(share * math.log(share) for share in shares) / math.log(5)

    assert compute_entropy(logits).item() == pytest.approx(total / 24, rel=1e-5)


def test_even_classes_give_one_and_a_sure_class_zero() -> None:
    sure = torch.tensor([0.0, 300.0, 0.0]).reshape(1, 3, 1, 1)

    assert compute_entropy(torch.full((2, 7, 3, 3), 1.5)).item() == pytest.approx(1.0, rel=1e-6)
    assert compute_entropy(sure).item() == 0.0


def test_gradient_is_finite_where_a_probability_underflows_and_lowers_the_entropy() -> None:
    logits = torch.tensor([[0.0, 300.0, -300.0], [1.0, 0.5, 0.0]]).reshape(2, 3, 1, 1).requires_grad_()

    loss = compute_entropy(logits)
    loss.backward()

    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert logits.grad[1, 0] < 0 < logits.grad[1, 2]
    assert compute_entropy(logits.detach() - logits.grad) < loss


def test_half_precision_logits_give_a_float32_loss() -> None:
    logits = torch.randn(1, 4, 3, 3).to(torch.bfloat16)

    loss = compute_entropy(logits)

    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(compute_entropy(logits.float()).item())
