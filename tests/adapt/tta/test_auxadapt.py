"""AuxAdapt: one step by hand for each fusion and loss, a main network that never changes, and what is refused."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn
from torch.nn.functional import interpolate

from adapt.errors import SpecError
from adapt.tta.auxadapt import fuse
from adapt.tta.catalog import build_method
from adapt.tta.method import NotFiniteError
from adapt.tta.settings import AuxAdaptSettings
from adapt.tta.supplies import Supplies

FAST = AuxAdaptSettings(lr=0.05)


def build_auxiliary(classes: int = 5) -> nn.Sequential:
    """conv - BatchNorm - ReLU - conv at half resolution; no bias before BatchNorm, which would take it away again."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, classes, 1)
    ).double()


def build(settings, net, auxiliary):
    return build_method(settings, net, nn.Module.__call__, 5, Supplies(auxiliary=auxiliary))


def copy_state(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def name_changes(network, before):
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize("aux_scale", [1.0, 0.5])
@pytest.mark.parametrize("loss_on", ["aux", "fused"])
@pytest.mark.parametrize("fusion", ["logits_sum", "prob_mean"])
def test_one_step_by_hand(toy_net, inputs, fusion, loss_on, aux_scale):
    net, auxiliary = toy_net().eval(), build_auxiliary().eval()
    twin = copy.deepcopy(auxiliary)
    with torch.no_grad():
        main = net(inputs[0])
    small = interpolate(inputs[0], size=(3, 4), mode="bilinear") if aux_scale == 0.5 else inputs[0]
    logits = interpolate(twin(small), size=(6, 8), mode="bilinear")
    loss = torch.zeros((), dtype=torch.float64)
    expected = torch.zeros(5, 6, 8, dtype=torch.float64)
    for row in range(6):
        for column in range(8):
            one, two = main[0, :, row, column], logits[0, :, row, column]
            if fusion == "logits_sum":
                fused = torch.softmax(one + two, dim=0)
            else:
                fused = (torch.softmax(one, dim=0) + torch.softmax(two, dim=0)) / 2
            expected[:, row, column] = fused.detach()
            decision = int(fused.argmax())
            chance = fused[decision] if loss_on == "fused" else torch.softmax(two, dim=0)[decision]
            loss = loss - torch.log(chance) / 48
    loss.backward()

    settings = FAST.model_copy(update={"fusion": fusion, "loss_on": loss_on, "aux_scale": aux_scale})
    outcome = build(settings, net, auxiliary).predict_and_adapt(inputs[0])
    torch.testing.assert_close(outcome.logits[0].softmax(dim=0), expected, rtol=0, atol=1e-12)
    assert not outcome.logits.requires_grad
    assert outcome.loss == pytest.approx(loss.item(), abs=1e-12)
    assert (outcome.updates, outcome.skipped) == (1, 0)
    for learnt, start in zip(auxiliary.parameters(), twin.parameters(), strict=True):
        torch.testing.assert_close(learnt.detach(), start.detach() - 0.05 * start.grad, rtol=0, atol=1e-12)


def test_momentum_and_adam_are_those_of_torch(toy_net, inputs):
    for name, kind, options in [("sgd", torch.optim.SGD, {"momentum": 0.5}), ("adam", torch.optim.Adam, {})]:
        net, auxiliary = toy_net().eval(), build_auxiliary().eval()
        twin = copy.deepcopy(auxiliary)
        optimizer = kind(twin.parameters(), lr=0.01, **options)
        method = build(AuxAdaptSettings(optimizer=name, lr=0.01, momentum=0.5), net, auxiliary)
        for images in inputs:
            fused = net(images).detach() + interpolate(twin(images), size=(6, 8), mode="bilinear")
            optimizer.zero_grad()
            nn.functional.nll_loss(fused.log_softmax(dim=1), fused.argmax(dim=1)).backward()
            optimizer.step()
            method.predict_and_adapt(images)
        for learnt, expected in zip(auxiliary.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(learnt, expected, rtol=0, atol=1e-12)


def test_fusion_by_hand():
    main, auxiliary = torch.tensor([0.0, math.log(3.0)]), torch.tensor([math.log(4.0), 0.0])
    total = fuse(main[None, :, None, None], auxiliary[None, :, None, None], "logits_sum").flatten()
    assert total.tolist() == pytest.approx([math.log(4.0), math.log(3.0)])
    mean = fuse(main[None, :, None, None], auxiliary[None, :, None, None], "prob_mean").flatten()
    assert mean.exp().tolist() == pytest.approx([(1 / 4 + 4 / 5) / 2, (3 / 4 + 1 / 5) / 2])
    far = fuse(torch.tensor([[0.0, 900.0]]), torch.tensor([[0.0, 900.0]]), "prob_mean")
    assert torch.isfinite(far).all()


@pytest.mark.parametrize("update_bn", [False, True])
def test_changes_the_auxiliary_network_and_nothing_else(toy_net, inputs, update_bn):
    net, auxiliary = toy_net(dropout=0.5), build_auxiliary()
    main, before = copy_state(net), copy_state(auxiliary)
    method = build(FAST.model_copy(update={"update_bn": update_bn}), net, auxiliary)
    for images in inputs:
        method.predict_and_adapt(images)
    parameters = {name for name, _ in auxiliary.named_parameters()}
    buffers = {"1.running_mean", "1.running_var", "1.num_batches_tracked"} if update_bn else set()
    assert name_changes(net, main) == set()
    assert name_changes(auxiliary, before) == parameters | buffers
    assert set(method.collect_parameters()) == {f"auxiliary.{name}" for name in parameters}
    assert set(method.collect_tensors()) == {f"auxiliary.{name}" for name in parameters | buffers}
    assert not any(module.training for network in (net, auxiliary) for module in network.modules())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_the_main_network_runs_without_gradients_and_each_network_once(toy_net, inputs):
    net, auxiliary = toy_net(), build_auxiliary()
    calls = []

    def forward(network, images):
        calls.append((network is net, torch.is_grad_enabled()))
        return network(images)

    settings = FAST.model_copy(update={"update_interval": 2})
    method = build_method(settings, net, forward, 5, Supplies(auxiliary=auxiliary))
    method.predict_and_adapt(inputs[0])
    method.predict_and_adapt(inputs[0])
    assert calls == [(True, False), (False, True), (True, False), (False, False)]


def test_with_update_bn_the_frame_is_normalised_by_itself_and_the_running_statistics_follow(toy_net, inputs):
    net, auxiliary = toy_net().eval(), build_auxiliary().eval()
    with torch.no_grad():
        features = auxiliary[0](inputs[0])  # (1, 4, 3, 4)
        mean, variance = features.mean(dim=(0, 2, 3)), features.var(dim=(0, 2, 3), correction=0)
        shape = (1, 4, 1, 1)
        normal = (features - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
        logits = auxiliary[3](auxiliary[2](normal))
        expected = net(inputs[0]) + interpolate(logits, size=(6, 8), mode="bilinear")
    method = build(FAST.model_copy(update={"update_bn": True}), net, auxiliary)
    torch.testing.assert_close(method.predict_and_adapt(inputs[0]).logits, expected, rtol=0, atol=1e-12)
    torch.testing.assert_close(auxiliary[1].running_mean, 0.1 * mean, rtol=0, atol=1e-12)
    torch.testing.assert_close(auxiliary[1].running_var, 0.9 + 0.1 * variance * 12 / 11, rtol=0, atol=1e-12)


def test_the_interval_counts_frames_and_starts_with_the_first(toy_net, inputs):
    auxiliary = build_auxiliary()
    method = build(FAST.model_copy(update={"update_interval": 3, "update_bn": True}), toy_net(), auxiliary)
    counts = []
    for _ in range(7):
        before, expected = copy_state(auxiliary), method.predict(inputs[0])
        outcome = method.predict_and_adapt(inputs[0])
        counts.append(
            (outcome.updates, outcome.skipped, outcome.loss is None, name_changes(auxiliary, before) == set())
        )
        if not outcome.updates:
            assert torch.equal(outcome.logits, expected)
    assert counts == [(1, 0, False, False), (0, 0, True, True), (0, 0, True, True)] * 2 + [(1, 0, False, False)]


@pytest.mark.parametrize("update_bn", [False, True])
def test_after_a_reset_the_run_repeats_bit_for_bit(toy_net, inputs, update_bn):
    auxiliary = build_auxiliary()
    start = copy_state(auxiliary)
    settings = FAST.model_copy(update={"update_bn": update_bn, "update_interval": 2})
    method = build(settings, toy_net(), auxiliary)

    def run():
        logits = [method.predict_and_adapt(images).logits for images in inputs]
        return [*logits, *copy_state(auxiliary).values()]

    first = run()
    method.reset()
    assert name_changes(auxiliary, start) == set()
    assert method.own_state() == {"frame": 0}
    assert method.optimizer.state_dict()["state"] == {}
    assert all(torch.equal(one, two) for one, two in zip(first, run(), strict=True))


def test_predict_learns_nothing(toy_net, inputs):
    auxiliary = build_auxiliary()
    method = build(FAST, toy_net(), auxiliary)
    before = copy_state(auxiliary)
    prediction = method.predict(inputs[0])
    assert name_changes(auxiliary, before) == set()
    assert method.own_state() == {"frame": 0}
    assert torch.equal(method.predict_and_adapt(inputs[0]).logits, prediction)


@pytest.mark.parametrize("fusion", ["logits_sum", "prob_mean"])
@pytest.mark.parametrize("loss_on", ["aux", "fused"])
def test_the_loss_falls_on_one_image(layer_norm_net, inputs, fusion, loss_on):
    torch.manual_seed(2)
    auxiliary = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.Conv2d(4, 5, 1)).double()
    method = build(FAST.model_copy(update={"fusion": fusion, "loss_on": loss_on}), layer_norm_net, auxiliary)
    losses = [method.predict_and_adapt(inputs[0]).loss for _ in range(20)]
    assert losses[-1] < losses[0] - 0.05


def test_a_loss_that_is_not_finite_makes_no_update(toy_net, inputs):
    auxiliary = build_auxiliary()
    method = build(FAST.model_copy(update={"update_bn": True}), toy_net(), auxiliary)
    before = copy_state(auxiliary)
    with pytest.raises(NotFiniteError, match="loss of the adaptation is nan"):
        method.predict_and_adapt(inputs[0] * float("nan"))
    assert name_changes(auxiliary, before) == set()
    assert method.own_state() == {"frame": 0}
    assert method.optimizer.state_dict()["state"] == {}


def test_refuses_other_classes_at_once_where_the_head_says_so(toy_net):
    auxiliary = build_auxiliary(classes=4)
    auxiliary.decode_head = nn.Identity()
    auxiliary.decode_head.num_classes = 4
    with pytest.raises(SpecError, match="predicts 4 classes and the main one 5"):
        build(FAST, toy_net(), auxiliary)


def test_refuses_other_classes_on_the_first_frame(toy_net, inputs):
    method = build(FAST, toy_net(), build_auxiliary(classes=4))
    with pytest.raises(SpecError, match="predicts 4 classes and the main one 5"):
        method.predict_and_adapt(inputs[0])


def test_refuses_what_is_no_auxiliary_network(toy_net):
    net = toy_net()
    for auxiliary, message in [
        (None, "auxiliary: "),
        (net, "shares parameters"),
        (nn.Sequential(net[0], nn.Conv2d(4, 5, 1)), "shares parameters"),
        (nn.Identity(), "Identity has none"),
    ]:
        with pytest.raises(SpecError, match=message):
            build(FAST, net, auxiliary)
