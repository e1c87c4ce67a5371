"""Mutual information against a loop over pixels, and its two extremes."""

from __future__ import annotations

import math

import pytest
import torch

from adapt.tta.reservoir.mutual_information import mutual_information


def test_equals_a_naive_loop_over_pixels():
    torch.manual_seed(0)
    logits = 2 * torch.randn(2, 3, 4, 5, dtype=torch.float64)
    total, mean = 0.0, [0.0] * 3
    for image in range(2):
        for row in range(4):
            for column in range(5):
                weights = [math.exp(float(value)) for value in logits[image, :, row, column]]
                probabilities = [weight / sum(weights) for weight in weights]
                total -= sum(p * math.log(p) for p in probabilities) / 40
                mean = [old + p / 40 for old, p in zip(mean, probabilities, strict=True)]
    expected = -sum(p * math.log(p) for p in mean) - total
    assert mutual_information(logits) == pytest.approx(expected, abs=1e-12)


def test_sure_and_varied_is_highest_and_undecided_or_uniform_is_nothing():
    varied = 200 * torch.eye(4).reshape(1, 4, 2, 2)  # each of four pixels is sure of a class of its own
    assert mutual_information(varied) == pytest.approx(math.log(4), abs=1e-6)
    assert mutual_information(torch.zeros(1, 4, 2, 2)) == pytest.approx(0.0, abs=1e-6)
    same = 200 * torch.eye(4)[0].reshape(1, 4, 1, 1).expand(1, 4, 2, 2)  # all sure of one class
    assert mutual_information(same) == pytest.approx(0.0, abs=1e-6)
    assert math.isnan(mutual_information(torch.full((1, 2, 1, 1), math.nan)))
