"""BatchNorm on blended statistics: the published pixel, its two ends, untouched state, and what is refused."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.catalog import build_method
from adapt.tta.settings import BnAlphaSettings, SourceSettings


def test_matches_the_published_pixel(toy_net, inputs):
    method = build_method(BnAlphaSettings(alpha=0.1), toy_net(), nn.Module.__call__, 5)
    pixel = method.predict_and_adapt(inputs[0]).logits[0, :, 0, 0]
    assert pixel.tolist() == pytest.approx(
        [0.7700122442, -0.2266787609, 0.5066087314, 0.3447690166, -0.8312755275], abs=1e-8
    )


def test_the_published_weight_is_the_default():
    assert BnAlphaSettings().alpha == 0.1


def test_weight_0_is_the_source(toy_net, inputs):
    source = build_method(SourceSettings(), toy_net(), nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    got = build_method(BnAlphaSettings(alpha=0), toy_net(), nn.Module.__call__, 5).predict_and_adapt(inputs[0]).logits
    assert torch.equal(got, source)


def test_weight_1_is_the_unbiased_variance_of_the_batch_by_a_naive_loop(inputs):
    norm = nn.BatchNorm2d(3).double()
    norm.running_mean.fill_(7.0)
    got = build_method(BnAlphaSettings(alpha=1), norm, nn.Module.__call__, 3).predict_and_adapt(inputs[0]).logits
    for channel in range(3):
        values = inputs[0][0, channel].flatten().tolist()
        mean = sum(values) / len(values)
        variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
        expected = [(value - mean) / (variance + 1e-5) ** 0.5 for value in values]
        assert got[0, channel].flatten().tolist() == pytest.approx(expected, abs=1e-12)


def test_changes_no_parameter_or_buffer_and_keeps_dropout_off(toy_net, inputs):
    net = toy_net(dropout=0.5)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(BnAlphaSettings(), net, nn.Module.__call__, 5)
    first, second = (method.predict_and_adapt(inputs[0]) for _ in range(2))
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(first.logits, second.logits)
    assert (first.updates, first.loss, method.collect_parameters()) == (0, None, {})


def test_says_whose_statistics_it_uses(toy_net):
    assert (
        build_method(BnAlphaSettings(alpha=0.3), toy_net(), nn.Module.__call__, 5).batch_norm
        == "0.3 batch + 0.7 source"
    )


def test_refuses_a_model_without_batch_norm(layer_norm_net):
    with pytest.raises(SpecError, match=r"bn_alpha.*Sequential has none"):
        build_method(BnAlphaSettings(), layer_norm_net, nn.Module.__call__, 5)
