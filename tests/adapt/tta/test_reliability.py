"""Filters by image and by pixel against naive loops, and their edges."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from adapt.tta.method import NotFiniteError
from adapt.tta.reliability import (
    find_new,
    find_reliable,
    mean_over,
    select_reliable_and_new,
    unit_entropy,
    unit_probability,
)
from adapt.tta.settings import EtaSettings


def draw(seed: int, *shape: int, scale: float = 2.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def softmax(values: list[float]) -> list[float]:
    weights = [math.exp(value) for value in values]
    return [weight / sum(weights) for weight in weights]


def entropy(probability: list[float]) -> float:
    return -sum(p * math.log(p) for p in probability)


def cosine(one: list[float], two: list[float]) -> float:
    dot = sum(a * b for a, b in zip(one, two, strict=True))
    return dot / math.sqrt(sum(a * a for a in one)) / math.sqrt(sum(b * b for b in two))


def list_samples(logits: Tensor, unit: str) -> list[tuple[float, list[float]]]:
    """(entropy, probability) of each image or pixel, in plain Python."""
    images = []
    for image in logits:
        pixels = [softmax(pixel) for pixel in image.flatten(1).T.tolist()]
        if unit == "pixel":
            images += [(entropy(pixel), pixel) for pixel in pixels]
        else:
            mean = [sum(column) / len(pixels) for column in zip(*pixels, strict=True)]
            images.append((sum(entropy(pixel) for pixel in pixels) / len(pixels), mean))
    return images


@pytest.mark.parametrize("unit", ["image", "pixel"])
def test_entropy_and_probability_of_each_unit(unit):
    logits = draw(0, 3, 4, 2, 5)
    samples = list_samples(logits, unit)
    got_entropy, got_probability = unit_entropy(logits, unit), unit_probability(logits, unit)
    assert got_entropy.shape == ((3, 1, 1) if unit == "image" else (3, 2, 5))
    assert got_probability.shape == ((3, 4, 1, 1) if unit == "image" else (3, 4, 2, 5))
    assert got_entropy.flatten().tolist() == pytest.approx([h for h, _ in samples], abs=1e-12)
    rows = got_probability.permute(0, 2, 3, 1).reshape(-1, 4).tolist()
    for row, (_, probability) in zip(rows, samples, strict=True):
        assert row == pytest.approx(probability, abs=1e-12)


@pytest.mark.parametrize("unit", ["image", "pixel"])
def test_selection_weights_loss_and_moving_average_by_a_naive_loop(unit):
    settings = EtaSettings(margin=0.6, diversity=0.8, ema=0.7, unit=unit)
    limit = 0.6 * math.log(4)
    average: list[float] | None = None
    average_tensor = None
    seen = 0
    for seed in range(1, 5):
        logits = draw(seed, 4, 4, 2, 2)
        logits[:, 0] += 1.5 * (seed % 2)  # one class stands out in every second batch
        samples = list_samples(logits, unit)
        kept = [(h, p) for h, p in samples if h < limit and (average is None or abs(cosine(average, p)) < 0.8)]
        got = select_reliable_and_new(logits, settings, average_tensor)
        assert got.share == pytest.approx(len(kept) / len(samples))
        if not kept:
            assert got.loss is None
            assert got.average is average_tensor
            continue
        seen += len(kept) < sum(h < limit for h, _ in samples)
        assert float(got.loss) == pytest.approx(sum(math.exp(limit - h) * h for h, _ in kept) / len(kept), abs=1e-12)
        mean = [sum(column) / len(kept) for column in zip(*(p for _, p in kept), strict=True)]
        average = mean if average is None else [0.7 * a + 0.3 * m for a, m in zip(average, mean, strict=True)]
        average_tensor = got.average
        assert average_tensor.tolist() == pytest.approx(average, abs=1e-12)
    assert seen > 0, "the diversity filter never kept less than the reliability filter: the case tests nothing"


def test_no_gradient_flows_through_weight_or_filter():
    logits = draw(1, 2, 4, 3, 3).requires_grad_(True)
    settings = EtaSettings(margin=0.6, unit="pixel")
    loss = select_reliable_and_new(logits, settings, None).loss
    got = torch.autograd.grad(loss, logits)[0]
    values = unit_entropy(logits, "pixel")
    kept = values.detach() < 0.6 * math.log(4)
    weight = torch.exp(0.6 * math.log(4) - values.detach())
    expected = torch.autograd.grad((values * weight)[kept].mean(), logits)[0]
    assert torch.allclose(got, expected, rtol=0, atol=1e-12)
    assert not got[:, :, ~kept[0]][0].any()


def test_both_limits_are_strict():
    assert find_reliable(torch.tensor([0.5 * math.log(4)], dtype=torch.float64), 0.5, 4).tolist() == [False]
    assert find_reliable(torch.tensor([0.5 * math.log(4) - 1e-9], dtype=torch.float64), 0.5, 4).tolist() == [True]
    probability = torch.tensor([1.0, 0.0])[None, :, None, None]
    assert find_new(probability, torch.tensor([1.0, 0.0]), 1.0).tolist() == [[[False]]]
    assert find_new(probability, torch.tensor([0.0, 1.0]), 0.1).tolist() == [[[True]]]
    assert find_new(probability, None, 1e-9).tolist() == [[[True]]]


def test_a_mean_over_what_is_kept():
    values, kept = torch.tensor([1.0, 2.0, 6.0]), torch.tensor([True, False, True])
    assert float(mean_over(values, kept)) == 3.5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_one_pixel_that_is_not_finite_stops_even_if_the_filter_would_drop_it(value):
    logits = draw(2, 1, 4, 3, 3)
    logits[0, 0, 1, 1] = value
    with pytest.raises(NotFiniteError):
        select_reliable_and_new(logits, EtaSettings(margin=0.6, unit="pixel"), None)
