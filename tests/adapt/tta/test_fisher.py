"""Fisher information: by hand on one weight, by a naive loop on a net, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from adapt.tta.fisher import estimate_fisher
from adapt.tta.method import NotFiniteError
from adapt.tta.parameters import collect_norm_parameters


class Scale(nn.Module):
    """Two classes: the input's first channel times a weight, and 0."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(1.0, dtype=torch.float64))
        self.unused = nn.Parameter(torch.ones(2, dtype=torch.float64))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        first = self.weight * images[:, :1]
        return torch.cat([first, torch.zeros_like(first)], dim=1)


def test_one_weight_by_hand():
    """Logits (w x, 0): the slope of -ln p(argmax) is -(1 - p) x for x > 0 and p x for x < 0, p = sigmoid(w x)."""
    net = Scale()
    batches = [torch.tensor([2.0, -1.0]).double().view(1, 1, 1, 2), torch.tensor([0.5]).double().view(1, 1, 1, 1)]
    parameters = dict(net.named_parameters())
    got = estimate_fisher(net, nn.Module.__call__, iter(batches), parameters, "source")

    def sigmoid(value: float) -> float:
        return 1 / (1 + math.exp(-value))

    first = (-(1 - sigmoid(2.0)) * 2.0 + sigmoid(-1.0) * -1.0) / 2  # the mean over two pixels, then the square
    second = -(1 - sigmoid(0.5)) * 0.5
    assert list(got) == ["weight", "unused"]
    assert float(got["weight"]) == pytest.approx((first**2 + second**2) / 2, abs=1e-14)
    assert got["unused"].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("batch_norm", ["batch", "source"])
def test_a_net_by_a_naive_loop(toy_net, inputs, batch_norm):
    net, plain = toy_net(dropout=0.5), toy_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    parameters = collect_norm_parameters(net)
    got = estimate_fisher(net, nn.Module.__call__, inputs, parameters, batch_norm)
    expected = {name: torch.zeros(4, dtype=torch.float64) for name in parameters}
    for images in inputs:
        plain.zero_grad()
        logits = plain.train(batch_norm == "batch")(images)
        (-logits.log_softmax(dim=1).amax(dim=1).sum() / 48).backward()
        for name in expected:
            expected[name] += dict(plain.named_parameters())[name].grad ** 2 / 3
    assert got.keys() == parameters.keys()
    for name, value in got.items():
        assert torch.allclose(value, expected[name], rtol=0, atol=1e-14)
        assert not value.requires_grad
        assert (value > 0).all()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(parameter.grad is None for parameter in net.parameters())


def test_refuses_no_batch_and_gradients_that_are_not_finite(toy_net, inputs):
    net = toy_net()
    parameters = collect_norm_parameters(net)
    with pytest.raises(ValueError, match="there was none"):
        estimate_fisher(net, nn.Module.__call__, [], parameters, "batch")
    with pytest.raises(NotFiniteError, match="source batch 1"):
        estimate_fisher(net, nn.Module.__call__, [inputs[0], inputs[1] * float("nan")], parameters, "batch")
