"""Cross-entropy to the own argmax: a naive loop, its gradient by hand, and what a method owes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.method import NotFiniteError
from adapt.tta.pseudo_label import cross_entropy_to_argmax
from adapt.tta.settings import PseudoLabelSettings

STRONG = PseudoLabelSettings(optimizer="adam", lr=1e-2)


def test_loss_and_gradient_by_a_naive_loop(toy_net, inputs):
    with torch.no_grad():
        logits = toy_net().eval()(inputs[0])
    logits.requires_grad_(True)
    loss = cross_entropy_to_argmax(logits)
    loss.backward()
    total, expected = 0.0, torch.zeros_like(logits)
    for row in range(6):
        for column in range(8):
            values = logits[0, :, row, column].tolist()
            weights = [math.exp(value) for value in values]
            label = values.index(max(values))
            total -= math.log(weights[label] / sum(weights))
            for k, weight in enumerate(weights):  # the softmax less the one-hot label: the label is a constant
                expected[0, k, row, column] = (weight / sum(weights) - (k == label)) / 48
    assert loss.item() == pytest.approx(total / 48, abs=1e-12)
    assert torch.allclose(logits.grad, expected, rtol=0, atol=1e-12)


def test_one_step_of_sgd_by_hand_with_the_prediction_before_it(toy_net, inputs):
    net, plain = toy_net(dropout=0.5), toy_net()
    method = build_method(PseudoLabelSettings(optimizer="sgd", lr=0.1), net, nn.Module.__call__, 5)
    outcome = method.predict_and_adapt(inputs[0])
    logits = plain.train()(inputs[0])
    loss = -logits.log_softmax(1).amax(1).mean()
    slope = torch.autograd.grad(loss, plain[1].weight)[0]
    assert torch.equal(outcome.logits, logits)
    assert outcome.loss == pytest.approx(loss.item(), abs=1e-12)
    assert torch.allclose(net[1].weight, plain[1].weight - 0.1 * slope, rtol=0, atol=1e-12)
    assert (outcome.updates, outcome.skipped, outcome.logits.requires_grad) == (1, 0, False)


def test_changes_the_affine_parameters_and_nothing_else(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    for images in inputs:
        method.predict_and_adapt(images)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight", "1.bias"} == set(method.collect_parameters())


def test_after_a_reset_the_run_repeats_bit_for_bit(toy_net, inputs):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    runs = []
    for _ in range(2):
        runs.append([method.predict_and_adapt(images).logits for images in inputs])
        method.reset()
        assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_the_loss_falls_on_one_image(toy_net, layer_norm_net, group_norm_net, inputs, norm):
    net = {"batch": toy_net(), "layer": layer_norm_net, "group": group_norm_net}[norm]
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    losses = [method.predict_and_adapt(inputs[0]).loss for _ in range(20)]
    assert losses[-1] < losses[0] - 0.02


def test_a_loss_that_is_not_finite_makes_no_update(toy_net, inputs):
    net = toy_net()
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    with pytest.raises(NotFiniteError):
        method.predict_and_adapt(inputs[0] * float("nan"))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert method.optimizer.state_dict()["state"] == {}


def test_refuses_a_model_without_normalisation():
    with pytest.raises(SpecError, match="Conv2d has none"):
        build_method(STRONG, nn.Conv2d(3, 5, 1), nn.Module.__call__, 5)
