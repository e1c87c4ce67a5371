"""The model in train mode: equal to plain torch, buffers untouched, draws that depend on seed and place only."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.settings import BnStatsSettings, BnTrainSettings
from adapt.tta.supplies import Supplies


def build(net: nn.Module, seed: int = 0):
    return build_method(BnTrainSettings(), net, nn.Module.__call__, 5, Supplies(seed=seed))


def test_without_dropout_it_is_bn_stats_and_plain_train_mode(toy_net, inputs):
    got = build(toy_net()).predict_and_adapt(inputs[0]).logits
    stats = build_method(BnStatsSettings(), toy_net(), nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    with torch.no_grad():
        plain = toy_net().train()(inputs[0])
    assert torch.equal(got, stats)
    assert torch.allclose(got, plain, rtol=0, atol=1e-12)


def test_dropout_clears_half_of_the_features_and_doubles_the_rest(toy_net, inputs):
    net = toy_net(dropout=0.5)
    method = build(net)
    seen = []
    net[4].register_forward_pre_hook(lambda layer, features: seen.append(features[0]))
    method.predict_and_adapt(inputs[0])
    with torch.no_grad():
        features = toy_net().train()[:3](inputs[0])
    kept = seen[0] != 0
    assert torch.allclose(seen[0][kept], 2 * features[kept], rtol=0, atol=1e-12)
    positive = features > 0
    assert 0.3 < float(kept[positive].float().mean()) < 0.7


def test_the_draws_depend_on_seed_and_place_and_leave_torch_alone(toy_net, inputs):
    method = build(toy_net(dropout=0.5))
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    first, second = (method.predict_and_adapt(inputs[0]).logits for _ in range(2))
    assert torch.equal(torch.rand(3), expected)
    assert not torch.equal(first, second)
    assert torch.equal(build(toy_net(dropout=0.5)).predict_and_adapt(inputs[0]).logits, first)
    assert not torch.equal(build(toy_net(dropout=0.5), seed=1).predict_and_adapt(inputs[0]).logits, first)


def test_predict_shows_what_the_next_frame_will_get(toy_net, inputs):
    method = build(toy_net(dropout=0.5))
    shown = method.predict(inputs[0])
    assert torch.equal(method.predict(inputs[0]), shown)
    assert torch.equal(method.predict_and_adapt(inputs[0]).logits, shown)
    assert not torch.equal(method.predict(inputs[0]), shown)


def test_changes_no_parameter_or_buffer_and_repeats_after_a_reset(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build(net)
    runs = []
    for _ in range(2):
        runs.append([method.predict_and_adapt(images).logits for images in inputs])
        method.reset()
    assert all(torch.equal(one, two) for one, two in zip(*runs, strict=True))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_one_value_per_channel_keeps_source_statistics(inputs):
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)).double()
    pooled[1].running_mean.fill_(0.25)
    expected = (inputs[0].mean(dim=(2, 3), keepdim=True) - 0.25) / (1 + 1e-5) ** 0.5
    assert torch.allclose(build(pooled).predict_and_adapt(inputs[0]).logits, expected, rtol=0, atol=1e-12)


def test_another_method_turns_dropout_off_again(toy_net, inputs):
    net = toy_net(dropout=0.5)
    build(net).predict_and_adapt(inputs[0])
    got = build_method(BnStatsSettings(), net, nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    expected = build_method(BnStatsSettings(), toy_net(), nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    assert torch.equal(got, expected)


def test_refuses_a_model_without_batch_norm(layer_norm_net):
    with pytest.raises(SpecError, match=r"bn_train.*Sequential has none"):
        build(layer_norm_net)
