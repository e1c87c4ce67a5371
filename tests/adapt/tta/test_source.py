"""The source method: eval mode, and the published sums."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.tta.catalog import build_method
from adapt.tta.settings import SourceSettings


def test_matches_the_published_values(toy_net, inputs):
    net = toy_net()
    method = build_method(SourceSettings(), net, nn.Module.__call__, 5)
    logits = [method.predict_and_adapt(images).logits for images in inputs]
    assert [float(each.sum()) for each in logits] == pytest.approx(
        [76.9763511695, 74.6598483764, 73.2178623695], abs=1e-8
    )
    assert logits[0][0, :, 0, 0].tolist() == pytest.approx(
        [0.7289778466, -0.18776171, 0.4863754397, 0.3220266671, -0.7835091051], abs=1e-8
    )


def test_changes_nothing_and_keeps_dropout_off(toy_net, inputs):
    net = toy_net(dropout=0.5)
    net.train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    method = build_method(SourceSettings(), net, nn.Module.__call__, 5)
    outcomes = [method.predict_and_adapt(inputs[0]) for _ in range(3)]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert torch.equal(outcomes[0].logits, outcomes[1].logits)
    assert [(outcome.loss, outcome.updates, outcome.skipped) for outcome in outcomes] == [(None, 0, 0)] * 3
    assert not any(parameter.requires_grad for parameter in net.parameters())
