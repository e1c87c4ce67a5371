"""ETA: the official implementation's numbers, its filters, and what a method owes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.entropy import mean_entropy
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import EtaSettings, TentSettings

OFFICIAL = EtaSettings(optimizer="sgd", lr=1e-2, momentum=0.9, margin=0.95, diversity=0.9999)
STRONG = EtaSettings(optimizer="adam", lr=1e-2, margin=0.8, diversity=1.1, unit="pixel")


def test_matches_the_official_implementation(gap_net, gap_batches):
    net = gap_net()
    method = build_method(OFFICIAL, net, nn.Module.__call__, 5)
    kept = 0.0
    cumulative = []
    for images in gap_batches:
        outcome = method.predict_and_adapt(images)
        kept += 4 * outcome.notes["kept"]
        cumulative.append(kept)
    assert cumulative == [4, 8, 12]
    assert net[1].weight.tolist() == pytest.approx([1.0629110417, 1.1766841321, 1.2086158025, 1.1310243916], abs=1e-8)


def test_on_single_pixels_the_unit_makes_no_difference(gap_net, gap_batches):
    nets = []
    for unit in ("image", "pixel"):
        net = gap_net()
        method = build_method(OFFICIAL.model_copy(update={"unit": unit}), net, nn.Module.__call__, 5)
        assert method.unit == unit
        for images in gap_batches:
            method.predict_and_adapt(images)
        nets.append(net)
    assert torch.allclose(nets[0][1].weight, nets[1][1].weight, rtol=0, atol=1e-14)


def test_where_all_is_kept_at_weight_1_it_is_tent(toy_net, inputs):
    """At a vast margin all weights are one common factor, which Adam does not see."""
    eta, tent = toy_net(), toy_net()
    first = build_method(
        EtaSettings(lr=1e-3, margin=5, diversity=1.1, unit="image"), eta, nn.Module.__call__, 5
    ).predict_and_adapt(inputs[0])
    second = build_method(TentSettings(lr=1e-3), tent, nn.Module.__call__, 5).predict_and_adapt(inputs[0])
    assert first.notes == {"kept": 1.0}
    assert torch.equal(first.logits, second.logits)
    assert first.loss == pytest.approx(second.loss * math.exp(5 * math.log(5) - second.loss), rel=1e-12)
    assert torch.allclose(eta[1].weight, tent[1].weight, rtol=0, atol=1e-9)


def test_what_is_kept_is_not_new_the_second_time(toy_net, inputs):
    method = build_method(
        EtaSettings(optimizer="sgd", lr=1e-6, margin=0.95, diversity=0.99), toy_net(), nn.Module.__call__, 5
    )
    first, second = (method.predict_and_adapt(inputs[0]) for _ in range(2))
    assert (first.updates, first.skipped, first.notes["kept"]) == (1, 0, 1.0)
    assert (second.updates, second.skipped, second.notes["kept"], second.loss) == (0, 1, 0.0, None)


def test_nothing_kept_makes_no_update(toy_net, inputs):
    net = toy_net()
    method = build_method(EtaSettings(lr=0.1, margin=1e-6), net, nn.Module.__call__, 5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    outcome = method.predict_and_adapt(inputs[0])
    assert (outcome.updates, outcome.skipped, outcome.loss, outcome.notes) == (0, 1, None, {"kept": 0.0})
    assert not outcome.logits.requires_grad
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert method.optimizer.state_dict()["state"] == {}
    assert method.own_state() == {"average": None}


def test_changes_the_affine_parameters_and_nothing_else(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    for images in inputs:
        method.predict_and_adapt(images)
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {"1.weight", "1.bias"} == set(method.collect_parameters())


def test_after_a_reset_the_run_repeats_bit_for_bit_with_its_moving_average(toy_net, inputs):
    net = toy_net()
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(STRONG.model_copy(update={"diversity": 0.95}), net, nn.Module.__call__, 5)
    runs, shares = [], []
    for _ in range(2):
        outcomes = [method.predict_and_adapt(images) for images in inputs]
        runs.append([*(outcome.logits for outcome in outcomes), method.own_state()["average"]])
        shares.append([outcome.notes["kept"] for outcome in outcomes])
        method.reset()
        assert method.own_state() == {"average": None}
        assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))
    assert shares[0] == shares[1]
    assert shares[0][0] > shares[0][1] > 0


@pytest.mark.parametrize("norm", ["batch", "layer", "group"])
def test_the_entropy_falls_on_one_image(toy_net, layer_norm_net, group_norm_net, inputs, norm):
    """The weight is a constant of each step, so the entropy falls, not always its product with the weight."""
    net = {"batch": toy_net(), "layer": layer_norm_net, "group": group_norm_net}[norm]
    method = build_method(STRONG.model_copy(update={"margin": 1.1}), net, nn.Module.__call__, 5)
    entropies = [float(mean_entropy(method.predict_and_adapt(inputs[0]).logits)) for _ in range(20)]
    assert entropies[-1] < entropies[0] - 0.02


def test_an_entropy_that_is_not_finite_changes_nothing(toy_net, inputs):
    net = toy_net()
    method = build_method(STRONG, net, nn.Module.__call__, 5)
    method.predict_and_adapt(inputs[0])
    before = method.save()
    with pytest.raises(NotFiniteError):
        method.predict_and_adapt(inputs[1] * float("nan"))
    after = method.save()
    assert all(torch.equal(value, before.tensors[name]) for name, value in after.tensors.items())
    assert torch.equal(after.own["average"], before.own["average"])
    assert str(after.optimizer) == str(before.optimizer)


def test_refuses_a_model_without_normalisation():
    with pytest.raises(SpecError, match="Conv2d has none"):
        build_method(STRONG, nn.Conv2d(3, 5, 1), nn.Module.__call__, 5)
