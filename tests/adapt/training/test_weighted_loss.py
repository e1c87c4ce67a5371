"""The weighted cross-entropy, against a loop over pixels."""

from __future__ import annotations

import math

import pytest
import torch

from adapt.training.weighted_loss import compute_weighted_cross_entropy


def test_equals_a_loop_and_counts_ignored_pixels() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, 5)
    label = torch.randint(0, 4, (2, 3, 5))
    label[0, 0] = 255
    weight = torch.rand(2, 3, 5)
    total = 0.0
    for n in range(2):
        for y in range(3):
            for x in range(5):
                if label[n, y, x] != 255:
                    scores = logits[n, :, y, x].tolist()
                    likelihood = math.exp(scores[int(label[n, y, x])]) / sum(math.exp(score) for score in scores)
                    total -= float(weight[n, y, x]) * math.log(likelihood)

    loss = compute_weighted_cross_entropy(logits, label, weight)

    assert loss.item() == pytest.approx(total / 30, rel=1e-5)


def test_nothing_to_learn_gives_zero_not_nan() -> None:
    logits = torch.randn(1, 4, 3, 5, requires_grad=True)

    loss = compute_weighted_cross_entropy(logits, torch.full((1, 3, 5), 255), torch.ones(1, 3, 5))
    loss.backward()

    assert loss.item() == 0.0
    assert logits.grad is not None
    assert torch.all(logits.grad == 0)


def test_half_precision_logits_are_computed_in_float32() -> None:
    logits = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1)).to(torch.bfloat16)
    label, weight = torch.randint(0, 4, (2, 3, 5)), torch.rand(2, 3, 5)

    loss = compute_weighted_cross_entropy(logits, label, weight)

    assert loss.dtype == torch.float32
    assert loss.item() == compute_weighted_cross_entropy(logits.float(), label, weight).item()
