"""The closed-form network and inputs on which the official implementations were run, float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


def wave(shape: tuple[int, ...], scale: float, phase: float, frequency: float = 0.7) -> Tensor:
    """scale * sin(frequency * a + 0.013 * a**2 + phase) for a = 0, 1, 2 ..., in the given shape."""
    place = torch.arange(math.prod(shape), dtype=torch.float64)
    return (scale * torch.sin(frequency * place + 0.013 * place**2 + phase)).reshape(shape)


def build_toy_net(dropout: float = 0.0) -> nn.Sequential:
    """conv3x3 - BatchNorm - ReLU - (dropout) - conv1x1, three channels to five classes."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(dropout), nn.Conv2d(4, 5, 1)
    ).double()
    first, norm, _, _, last = net
    values = {
        first.weight: wave((4, 3, 3, 3), 0.5, 0.1),
        first.bias: wave((4,), 0.1, 0.2),
        norm.weight: 1 + wave((4,), 0.2, 0.3),
        norm.bias: 0.5 + wave((4,), 0.1, 0.4),
        norm.running_mean: wave((4,), 0.3, 0.5),
        norm.running_var: 1 + wave((4,), 0.5, 0.6),
        last.weight: wave((5, 4, 1, 1), 2, 0.7),
        last.bias: wave((5,), 0.3, 0.8),
    }
    with torch.no_grad():
        for place, value in values.items():
            place.copy_(value)
    return net


def build_inputs() -> list[Tensor]:
    """Three batches of one image, (1, 3, 6, 8)."""
    return [wave((1, 3, 6, 8), 1, 0.3 * k, 0.37) for k in range(3)]


@pytest.fixture
def toy_net() -> Callable[..., nn.Sequential]:
    return build_toy_net


@pytest.fixture
def inputs() -> list[Tensor]:
    return build_inputs()


@pytest.fixture
def layer_norm_net() -> nn.Sequential:
    """A network whose only normalisation is LayerNorm (over the last axis)."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 5, 1), nn.LayerNorm(8)).double()


@pytest.fixture
def group_norm_net() -> nn.Sequential:
    """A network whose only normalisation is GroupNorm."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GroupNorm(2, 4), nn.ReLU(), nn.Conv2d(4, 5, 1)).double()


@pytest.fixture
def gap_net() -> Callable[[], nn.Sequential]:
    """The toy net with global average pooling before its last convolution: one prediction per image."""

    def build() -> nn.Sequential:
        first, norm, relu, _, last = build_toy_net()
        return nn.Sequential(first, norm, relu, nn.AdaptiveAvgPool2d(1), last)

    return build


@pytest.fixture
def gap_batches() -> list[Tensor]:
    """Three batches of four images, (4, 3, 6, 8), for the net with global average pooling."""
    return [
        torch.cat([wave((1, 3, 6, 8), 1 + 0.5 * j, 0.3 * k + 0.9 * j, 0.37 + 0.05 * j) for j in range(4)])
        for k in range(3)
    ]
