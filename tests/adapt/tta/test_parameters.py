"""Which parameters are norm affine, what freezing leaves, and which optimiser is built."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import use_batch_statistics
from adapt.tta.parameters import build_optimizer, collect_norm_parameters, freeze


def test_collects_every_kind_of_norm_layer_by_full_name():
    net = nn.ModuleDict(
        {
            "bn": nn.BatchNorm2d(4),
            "ln": nn.LayerNorm(4),
            "gn": nn.GroupNorm(2, 4),
            "inner": nn.Sequential(nn.Conv2d(4, 4, 1), nn.InstanceNorm2d(4, affine=True)),
            "plain": nn.BatchNorm2d(4, affine=False),
            "linear": nn.Linear(4, 4),
        }
    )
    found = collect_norm_parameters(net)
    names = ["bn.weight", "bn.bias", "ln.weight", "ln.bias", "gn.weight", "gn.bias", "inner.1.weight", "inner.1.bias"]
    assert list(found) == names
    assert all(found[name] is dict(net.named_parameters())[name] for name in names)
    assert list(collect_norm_parameters(nn.LayerNorm(4))) == ["weight", "bias"]


def test_refuses_a_model_without_norm_affine_parameters():
    with pytest.raises(SpecError, match="BatchNorm2d has none"):
        collect_norm_parameters(nn.BatchNorm2d(4, affine=False))


def test_freeze_leaves_only_the_named_parameters_and_undoes_earlier_modes():
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Dropout(0.5))
    use_batch_statistics(net)
    net.train()
    freeze(net, except_for={"1.weight": net[1].weight})
    assert [name for name, parameter in net.named_parameters() if parameter.requires_grad] == ["1.weight"]
    images = torch.rand(2, 3, 4, 4)
    with torch.no_grad():
        expected = net[0](images) / (1 + 1e-5) ** 0.5  # fresh BatchNorm: mean 0, variance 1, weight 1, bias 0
    assert torch.allclose(net(images), expected, atol=1e-6)
    freeze(net)
    assert not any(parameter.requires_grad for parameter in net.parameters())


def test_the_optimiser_is_the_one_named():
    parameter = nn.Parameter(torch.zeros(2))
    adam = build_optimizer("adam", [parameter], lr=1e-3, momentum=0.9)
    assert isinstance(adam, torch.optim.Adam)
    assert (adam.defaults["lr"], adam.defaults["betas"], adam.defaults["weight_decay"]) == (1e-3, (0.9, 0.999), 0)
    sgd = build_optimizer("sgd", [parameter], lr=1e-2, momentum=0.8)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["lr"], sgd.defaults["momentum"], sgd.defaults["nesterov"]) == (1e-2, 0.8, False)
