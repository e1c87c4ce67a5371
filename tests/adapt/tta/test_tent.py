"""Tent: the official implementation's numbers, what it may change, and what a reset gives back."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.errors import SpecError, TaskError
from adapt.tta.catalog import build_method
from adapt.tta.entropy import mean_entropy
from adapt.tta.settings import TentSettings

ADAM = TentSettings(optimizer="adam", lr=1e-3)
SGD = TentSettings(optimizer="sgd", lr=1e-3, momentum=0.9)
STRONG = TentSettings(optimizer="adam", lr=1e-2)


def test_adam_matches_the_official_implementation(toy_net, inputs):
    net = toy_net()
    method = build_method(ADAM, net, nn.Module.__call__, 5)
    for images in inputs:
        method.predict_and_adapt(images)
    assert net[1].weight.tolist() == pytest.approx([1.0620095428, 1.172002638, 1.1997251722, 1.1199509562], abs=1e-8)
    assert net[1].bias.tolist() == pytest.approx([0.5416723078, 0.592682959, 0.599052978, 0.5530813409], abs=1e-8)


def test_sgd_matches_the_official_implementation(toy_net, inputs):
    net = toy_net()
    method = build_method(SGD, net, nn.Module.__call__, 5)
    for images in inputs:
        method.predict_and_adapt(images)
    assert net[1].weight.tolist() == pytest.approx([1.0592859569, 1.1697521189, 1.1970045509, 1.1173289009], abs=1e-8)


def test_mean_entropy_by_a_naive_loop():
    logits = torch.tensor([[0.0, 0.0, math.log(3.0)], [5.0, -1.0, 0.5]], dtype=torch.float64).T[None, :, :, None]
    total = 0.0
    for pixel in range(2):
        weights = [math.exp(float(value)) for value in logits[0, :, pixel, 0]]
        probabilities = [weight / sum(weights) for weight in weights]
        total -= sum(p * math.log(p) for p in probabilities)
    assert float(mean_entropy(logits)) == pytest.approx(total / 2, abs=1e-12)
    assert float(mean_entropy(torch.zeros(2, 4, 3, 3))) == pytest.approx(math.log(4), abs=1e-6)


def test_predicts_before_it_updates_with_batch_statistics(toy_net, inputs):
    net = toy_net()
    outcome = build_method(STRONG, net, nn.Module.__call__, 5).predict_and_adapt(inputs[0])
    assert outcome.logits[0, :, 0, 0].tolist() == pytest.approx(
        [1.1089961913, -0.5481713689, 0.6737553565, 0.5326428945, -1.2258725322], abs=1e-8
    )
    assert not outcome.logits.requires_grad
    assert (outcome.updates, outcome.skipped) == (1, 0)
    assert outcome.loss == pytest.approx(float(mean_entropy(outcome.logits)), abs=1e-12)


def test_changes_the_affine_parameters_and_nothing_else(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    assert list(method.collect_parameters()) == ["1.weight", "1.bias"]
    for images in inputs:
        method.predict_and_adapt(images)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight", "1.bias"}


def test_dropout_stays_off(toy_net, inputs):
    with_dropout, without = toy_net(dropout=0.5), toy_net()
    first = build_method(STRONG, with_dropout, nn.Module.__call__, 5).predict_and_adapt(inputs[0])
    assert torch.equal(
        first.logits, build_method(STRONG, without, nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    )


@pytest.mark.parametrize("settings", [STRONG, SGD])
def test_after_a_reset_the_run_repeats_bit_for_bit(toy_net, inputs, settings):
    net = toy_net()
    method = build_method(settings, net, nn.Module.__call__, 5)
    start = {name: value.clone() for name, value in net.state_dict().items()}

    def run():
        logits = [method.predict_and_adapt(images).logits for images in inputs]
        return [*logits, *(value.clone() for value in net.state_dict().values())]

    first = run()
    method.reset()
    assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert method.optimizer.state_dict()["state"] == {}
    assert all(torch.equal(one, two) for one, two in zip(first, run(), strict=True))


def test_the_loss_falls_on_one_image(toy_net, inputs):
    net = toy_net()
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    losses = [method.predict_and_adapt(inputs[0]).loss for _ in range(20)]
    assert losses[-1] < losses[0] - 0.05


def test_adapts_layer_norm_too(layer_norm_net, inputs):
    before = {name: value.clone() for name, value in layer_norm_net.state_dict().items()}
    build_method(STRONG, layer_norm_net, nn.Module.__call__, 5).predict_and_adapt(inputs[0])
    changed = {name for name, value in layer_norm_net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight", "1.bias"}


def test_a_loss_that_is_not_finite_makes_no_update(toy_net, inputs):
    net = toy_net()
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(TaskError, match="loss of the adaptation is nan"):
        method.predict_and_adapt(inputs[0] * float("nan"))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert method.optimizer.state_dict()["state"] == {}


def test_refuses_a_model_without_normalisation():
    net = nn.Conv2d(3, 5, 1)
    with pytest.raises(SpecError, match="Conv2d has none"):
        build_method(ADAM, net, nn.Module.__call__, 5)
