"""EATA: its penalty by hand, ETA where that weighs nothing, and what it refuses."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.eata import measure_drift
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import EataSettings, EtaSettings
from adapt.tta.supplies import Supplies

SGD = {"optimizer": "sgd", "lr": 1e-2, "momentum": 0.0, "margin": 0.9, "diversity": 1.1, "unit": "pixel"}


def fisher(value: float = 1.0) -> Supplies:
    weights = torch.tensor([1.0, 2.0, 0.0, 4.0], dtype=torch.float64)
    return Supplies(fisher={"1.weight": value * weights, "1.bias": value * weights.flip(0)})


def test_the_drift_by_hand():
    parameters = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[3.0]])}
    anchor = {"a": torch.tensor([0.0, 4.0]), "b": torch.tensor([[2.5]])}
    weights = {"a": torch.tensor([5.0, 0.5]), "b": torch.tensor([[8.0]])}
    assert float(measure_drift(parameters, anchor, weights)) == 5.0 + 0.5 * 4 + 8.0 * 0.25
    assert float(measure_drift(anchor, anchor, weights)) == 0.0


def test_without_weight_it_is_eta_bit_for_bit(gap_net, gap_batches):
    settings = {"optimizer": "sgd", "lr": 1e-2, "margin": 0.95, "diversity": 0.9999}
    nets = [gap_net(), gap_net()]
    methods = [
        build_method(EtaSettings(**settings), nets[0], nn.Module.__call__, 5),
        build_method(EataSettings(**settings, fisher_weight=0), nets[1], nn.Module.__call__, 5, fisher()),
    ]
    for images in gap_batches:
        one, two = (method.predict_and_adapt(images) for method in methods)
        assert torch.equal(one.logits, two.logits)
        assert (one.loss, one.notes) == (two.loss, two.notes)
    assert torch.equal(nets[0][1].weight, nets[1][1].weight)
    assert nets[1][1].weight.tolist() == pytest.approx(
        [1.0629110417, 1.1766841321, 1.2086158025, 1.1310243916], abs=1e-8
    )


def test_each_step_is_etas_and_a_pull_to_the_start_by_hand(toy_net, inputs):
    """With plain SGD the penalty moves w by -lr * weight * 2 F (w - w0) beyond ETA's own step from the same point."""
    net = toy_net()
    start = net[1].weight.detach().clone()
    method = build_method(EataSettings(**SGD, fisher_weight=3.0), net, nn.Module.__call__, 5, fisher())
    method.predict_and_adapt(inputs[0])
    middle = {name: value.clone() for name, value in net.state_dict().items()}
    moved = middle["1.weight"] - start
    assert moved.abs().min() > 1e-5
    shadow = toy_net()
    shadow.load_state_dict(middle)
    outcome = method.predict_and_adapt(inputs[0])
    alone = build_method(EtaSettings(**SGD), shadow, nn.Module.__call__, 5).predict_and_adapt(inputs[0])
    weights = fisher().fisher
    pull = -1e-2 * 3.0 * 2 * weights["1.weight"] * moved
    assert torch.allclose(net[1].weight - shadow[1].weight, pull, rtol=0, atol=1e-14)
    drift = (weights["1.weight"] * moved**2).sum() + (
        weights["1.bias"] * (middle["1.bias"] - toy_net()[1].bias) ** 2
    ).sum()
    assert outcome.loss - alone.loss == pytest.approx(3.0 * drift.item(), abs=1e-12)


def test_a_strong_anchor_holds_the_parameters(toy_net, inputs):
    moved = []
    for weight in (0.0, 20.0):
        net = toy_net()
        method = build_method(EataSettings(**SGD, fisher_weight=weight), net, nn.Module.__call__, 5, fisher())
        for _ in range(30):
            method.predict_and_adapt(inputs[0])
        moved.append((net[1].weight - toy_net()[1].weight).abs())
    assert (moved[1][[0, 1, 3]] < 0.5 * moved[0][[0, 1, 3]]).all()
    assert moved[1][2] > 0.5 * moved[0][2]  # no Fisher information: free


def test_the_loss_falls_on_one_image(toy_net, inputs):
    settings = EataSettings(optimizer="adam", lr=1e-2, margin=1.1, diversity=1.1, unit="pixel", fisher_weight=0.01)
    method = build_method(settings, toy_net(), nn.Module.__call__, 5, fisher())
    losses = [method.predict_and_adapt(inputs[0]).loss for _ in range(20)]
    assert losses[-1] < losses[0] - 0.05


@pytest.mark.parametrize("unit", ["image", "pixel"])
def test_nothing_kept_makes_no_update_and_no_pull(toy_net, inputs, unit):
    net = toy_net()
    settings = EataSettings(optimizer="sgd", lr=1e-2, margin=0.95, diversity=1e-6, unit=unit)
    method = build_method(settings, net, nn.Module.__call__, 5, fisher())
    assert method.unit == unit
    assert method.predict_and_adapt(inputs[0]).updates == 1
    before = {name: value.clone() for name, value in net.state_dict().items()}
    outcome = method.predict_and_adapt(inputs[0])
    assert (outcome.updates, outcome.skipped, outcome.loss, outcome.notes) == (0, 1, None, {"kept": 0.0})
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_after_a_reset_the_run_repeats_bit_for_bit_and_nothing_frozen_changes(toy_net, inputs):
    net = toy_net(dropout=0.5)
    start = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(EataSettings(**SGD, fisher_weight=3.0), net, nn.Module.__call__, 5, fisher())
    runs = []
    for _ in range(2):
        runs.append([method.predict_and_adapt(images).logits for images in inputs])
        changed = {name for name, value in net.state_dict().items() if not torch.equal(value, start[name])}
        assert changed == {"1.weight", "1.bias"}
        method.reset()
        assert method.own_state() == {"average": None}
        assert all(torch.equal(value, start[name]) for name, value in net.state_dict().items())
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))


def test_a_frame_or_a_penalty_that_is_not_finite_changes_nothing(toy_net, inputs):
    for weight, factor in ((1.0, float("nan")), (float("inf"), 1.0)):
        net = toy_net()
        method = build_method(EataSettings(**SGD), net, nn.Module.__call__, 5, fisher())
        method.predict_and_adapt(inputs[0])
        method._fisher["1.weight"].mul_(weight)
        before = {name: value.clone() for name, value in net.state_dict().items()}
        average = method.own_state()["average"].clone()
        with pytest.raises(NotFiniteError):
            method.predict_and_adapt(factor * inputs[1])
        assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
        assert torch.equal(method.own_state()["average"], average)


def test_refuses_to_do_without_fisher_information_or_with_another_models(toy_net):
    with pytest.raises(SpecError, match=r"eata.*fisher: \$\{STAGE.fisher\}"):
        build_method(EataSettings(), toy_net(), nn.Module.__call__, 5)
    other = Supplies(fisher={"1.weight": torch.ones(4), "1.bias": torch.ones(3)})
    with pytest.raises(SpecError, match=r"1\.bias .*another shape"):
        build_method(EataSettings(), toy_net(), nn.Module.__call__, 5, other)
    with pytest.raises(SpecError, match=r"not finite for 1\.weight \(and 1 more\)"):
        build_method(EataSettings(), toy_net(), nn.Module.__call__, 5, fisher(float("inf")))
    with pytest.raises(SpecError, match="Conv2d has none"):
        build_method(EataSettings(), nn.Conv2d(3, 5, 1), nn.Module.__call__, 5, fisher())


def test_adapts_layer_norm_and_group_norm(layer_norm_net, group_norm_net, inputs):
    for net in (layer_norm_net, group_norm_net):
        places = {"1.weight": torch.ones_like(net[1].weight), "1.bias": torch.ones_like(net[1].bias)}
        before = {name: value.clone() for name, value in net.state_dict().items()}
        settings = EataSettings(margin=1.1, lr=1e-2, fisher_weight=1)
        build_method(settings, net, nn.Module.__call__, 5, Supplies(fisher=places)).predict_and_adapt(inputs[0])
        changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
        assert changed == {"1.weight", "1.bias"}
