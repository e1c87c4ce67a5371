"""Entropy by pixel and its mean: a naive loop, the ends of the range, and the gradient by finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from adapt.tta.entropy import mean_entropy, pixel_entropy


def naive(logits: list[float]) -> float:
    weights = [math.exp(value) for value in logits]
    return -sum(weight / sum(weights) * math.log(weight / sum(weights)) for weight in weights)


def test_every_pixel_by_a_naive_loop():
    logits = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    got = pixel_entropy(logits)
    assert got.shape == (2, 3, 4)
    for image in range(2):
        for row in range(3):
            for column in range(4):
                expected = naive(logits[image, :, row, column].tolist())
                assert float(got[image, row, column]) == pytest.approx(expected, abs=1e-12)
    assert float(mean_entropy(logits)) == pytest.approx(float(got.sum()) / 24, abs=1e-12)


def test_the_ends_of_the_range_are_exact_and_finite():
    assert pixel_entropy(torch.zeros(1, 7, 1, 1, dtype=torch.float64)).item() == pytest.approx(math.log(7), abs=1e-12)
    certain = torch.tensor([0.0, 2000.0, -500.0])[None, :, None, None].requires_grad_(True)
    entropy = mean_entropy(certain)
    entropy.backward()
    assert entropy.item() == 0.0
    assert certain.grad.isfinite().all()


def test_gradients_flow_through_weights_and_logarithm():
    logits = torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    logits.requires_grad_(True)
    assert torch.autograd.gradcheck(mean_entropy, logits)
    assert torch.autograd.gradcheck(pixel_entropy, logits)
