"""Which parameter gets which learning rate and decay."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.training.optimizer import build_optimizer
from adapt.training.settings import OptimizerSettings


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.ModuleDict(
            {"conv": nn.Conv2d(1, 1, 1), "2": nn.LayerNorm(1), "frozen": nn.Linear(1, 1).requires_grad_(False)}
        )
        self.backbone.register_parameter("pos_embed", nn.Parameter(torch.zeros(1)))
        self.decode_head = nn.ModuleDict({"conv": nn.Conv2d(1, 1, 1), "bn": nn.BatchNorm2d(1)})
        self.auxiliary_head = nn.Linear(1, 1)


def options_by_name(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, tuple[float, float]]:
    by_parameter = {
        parameter: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }
    return {name: by_parameter[parameter] for name, parameter in model.named_parameters() if parameter in by_parameter}


def test_groups() -> None:
    model = Toy()

    optimizer = build_optimizer(model, OptimizerSettings())

    options = options_by_name(model, optimizer)
    assert options["backbone.conv.weight"] == options["backbone.conv.bias"] == (6e-5, 0.01)
    assert options["backbone.2.weight"] == options["backbone.pos_embed"] == (6e-5, 0.0)
    assert options["decode_head.conv.weight"] == pytest.approx((6e-4, 0.01))
    assert options["auxiliary_head.weight"] == pytest.approx((6e-4, 0.01))
    assert options["decode_head.bn.weight"] == pytest.approx((6e-4, 0.0))
    assert not any("frozen" in name for name in options)
    assert len(options) == 11
    assert isinstance(optimizer, torch.optim.AdamW)
    assert optimizer.param_groups[0]["lr"] == 6e-5
    assert {group["name"]: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups} == {
        "backbone": (6e-5, 0.01),
        "backbone_norm": (6e-5, 0.0),
        "head": pytest.approx((6e-4, 0.01)),
        "head_norm": pytest.approx((6e-4, 0.0)),
    }


def test_sgd() -> None:
    optimizer = build_optimizer(Toy(), OptimizerSettings(type="sgd", lr=0.01, momentum=0.8, head_lr_multiplier=1))

    assert isinstance(optimizer, torch.optim.SGD)
    assert {(group["lr"], group["momentum"]) for group in optimizer.param_groups} == {(0.01, 0.8)}
