"""BatchNorm on batch statistics: the published pixel, a naive loop, untouched buffers, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.settings import BnStatsSettings, SourceSettings


def test_matches_the_published_pixel(toy_net, inputs):
    net = toy_net()
    method = build_method(BnStatsSettings(), net, nn.Module.__call__, 5)
    pixel = method.predict_and_adapt(inputs[0]).logits[0, :, 0, 0]
    assert pixel.tolist() == pytest.approx(
        [1.1089961913, -0.5481713689, 0.6737553565, 0.5326428945, -1.2258725322], abs=1e-8
    )


def test_is_the_biased_variance_of_the_batch_by_a_naive_loop(inputs):
    norm = nn.BatchNorm2d(3).double()
    method = build_method(BnStatsSettings(), norm, nn.Module.__call__, 3)
    got = method.predict_and_adapt(inputs[0]).logits
    for channel in range(3):
        values = inputs[0][0, channel].flatten().tolist()
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / len(values)
        expected = [(value - mean) / (variance + 1e-5) ** 0.5 for value in values]
        assert got[0, channel].flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_changes_no_parameter_or_buffer_and_keeps_dropout_off(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(BnStatsSettings(), net, nn.Module.__call__, 5)
    first, second = (method.predict_and_adapt(inputs[0]) for _ in range(2))
    after = net.state_dict()
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    assert torch.equal(first.logits, second.logits)


def test_a_forward_that_calls_eval_does_not_bring_source_statistics_back(toy_net, inputs):
    net = toy_net()
    plain = build_method(BnStatsSettings(), net, nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    net = toy_net()
    method = build_method(BnStatsSettings(), net, lambda model, images: model.eval()(images), 5)
    assert torch.equal(method.predict_and_adapt(inputs[0]).logits, plain)


def test_one_value_per_channel_keeps_source_statistics(inputs):
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3)).double()
    pooled[1].running_mean.fill_(0.25)
    expected = (inputs[0].mean(dim=(2, 3), keepdim=True) - 0.25) / (1 + 1e-5) ** 0.5
    method = build_method(BnStatsSettings(), pooled, nn.Module.__call__, 3)
    assert torch.allclose(method.predict_and_adapt(inputs[0]).logits, expected, rtol=0, atol=1e-12)


def test_another_method_on_the_same_model_gets_source_statistics_back(toy_net, inputs):
    net = toy_net()
    expected = build_method(SourceSettings(), net, nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    build_method(BnStatsSettings(), net, nn.Module.__call__, 5).predict_and_adapt(inputs[0])
    assert torch.equal(
        build_method(SourceSettings(), net, nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits, expected
    )


def test_refuses_a_model_without_batch_norm(layer_norm_net):
    with pytest.raises(SpecError, match=r"bn_stats.*Sequential has none"):
        build_method(BnStatsSettings(), layer_norm_net, nn.Module.__call__, 5)
