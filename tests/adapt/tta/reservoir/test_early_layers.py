"""The first convolutions alone: their outputs, in order, and nothing behind them."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import use_batch_statistics
from adapt.tta.reservoir.early_layers import EarlyLayers


class Crossed(nn.Module):
    """Its convolutions run in another order than they are defined in."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.last = nn.Conv2d(2, 1, 1)
        self.second = nn.Conv2d(4, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Conv2d(3, 4, 3)
        self.runs_of_last = 0
        self.last.register_forward_hook(self.count)

    def count(self, module, inputs, output):
        self.runs_of_last += 1

    def forward(self, images):
        return self.last(torch.relu(self.second(torch.relu(self.norm(self.first(images))))))


def test_reads_the_first_convolutions_in_the_order_in_which_they_run():
    net = Crossed()
    images = torch.randn(2, 3, 6, 5)
    first, second = EarlyLayers(net, nn.Module.__call__, layers=2)(images)
    net.eval()
    with torch.no_grad():
        expected = net.first(images)
        assert torch.equal(first, expected)
        assert torch.equal(second, net.second(torch.relu(net.norm(expected))))
    assert not first.requires_grad


def test_stops_after_the_last_one_and_leaves_the_network_alone():
    net = Crossed().train()
    use_batch_statistics(net)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    ran = []

    def forward(network, images):
        network.last.register_forward_hook(lambda *_: ran.append("last"))
        return network(images)

    read = EarlyLayers(net, forward, layers=2)
    assert [len(read(torch.randn(1, 3, 6, 5))) for _ in range(2)] == [2, 2]
    assert ran == []
    assert net.runs_of_last == 0
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert len(EarlyLayers(net, forward, layers=3)(torch.randn(1, 3, 6, 5))) == 3


def test_does_not_follow_the_network_that_it_was_copied_from(toy_net, inputs):
    net = toy_net()
    read = EarlyLayers(net, nn.Module.__call__, layers=2)
    before = read(inputs[0])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    assert all(torch.equal(one, two) for one, two in zip(before, read(inputs[0]), strict=True))


def test_a_layer_that_changes_features_in_place_is_not_seen(inputs):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 2, 1)).double()
    first, _ = EarlyLayers(net, nn.Module.__call__, layers=2)(inputs[0])
    assert first.min() < 0
    assert torch.equal(first, net[0](inputs[0]))


def test_refuses_a_network_with_fewer_convolutions(toy_net, inputs):
    with pytest.raises(SpecError, match="Lower its `layers`"):
        EarlyLayers(toy_net(), nn.Module.__call__, layers=3)(inputs[0])
