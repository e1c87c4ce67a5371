"""DAFormer's head: its parameters counted by hand, its arithmetic written out once more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.networks.daformer_head import DAFormerHead

# mmsegmentation warns of its own deprecated builders and defaults.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:mmseg")
NORM = {"type": "BN", "requires_grad": True}


def make_head(**changes: Any) -> DAFormerHead:
    settings: dict[str, Any] = {"in_index": [0, 1, 2, 3], "num_classes": 19, "norm_cfg": NORM, **changes}
    return DAFormerHead(settings.pop("in_channels", [64, 128, 320, 512]), **settings)


def test_parameters_for_mit_b5_are_the_papers_count() -> None:
    embed = (64 + 128 + 320 + 512) * 256 + 4 * 256  # weights and biases of four linear layers
    point = 4 * 256 * 256 + 2 * 256  # dilation 1: a 1x1 convolution without bias, and its norm
    depthwise = 4 * 256 * 9 + 2 * 4 * 256  # one 3x3 filter a channel, and its norm
    separable = depthwise + point
    bottleneck = 4 * 256 * 256 * 9 + 2 * 256
    classify = 256 * 19 + 19
    expected = embed + point + 3 * separable + bottleneck + classify
    assert expected == 3_712_275  # the paper's table 7 says 3.7 M
    assert sum(parameter.numel() for parameter in make_head().parameters()) == expected


def test_shape_for_mit_b5() -> None:
    levels = [
        torch.zeros(1, width, 128 // step, 64 // step) for width, step in ((64, 4), (128, 8), (320, 16), (512, 32))
    ]
    assert make_head().eval()(levels).shape == (1, 19, 32, 16)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_arithmetic(order: list[int]) -> None:
    torch.manual_seed(0)
    widths = (5, 7)
    head = make_head(
        in_channels=[widths[index] for index in order],
        in_index=order,
        channels=6,
        embed_dims=3,
        dilations=(1, 2),
        num_classes=4,
    ).eval()
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.uniform_(module.bias)
    levels = [torch.randn(2, 5, 8, 6), torch.randn(2, 7, 4, 3)]
    state = head.state_dict()

    def norm_relu(name: str, values: Tensor) -> Tensor:
        mean, var = state[f"{name}.bn.running_mean"], state[f"{name}.bn.running_var"]
        scale, shift = state[f"{name}.bn.weight"], state[f"{name}.bn.bias"]
        channel = (None, slice(None), None, None)
        normal = (values - mean[channel]) / (var[channel] + 1e-5).sqrt()
        return (normal * scale[channel] + shift[channel]).clamp(min=0)

    embedded = []
    for place, index in enumerate(order):
        weight, bias = state[f"embed_layers.{place}.weight"][:, :, 0, 0], state[f"embed_layers.{place}.bias"]
        linear = torch.einsum("nchw,ec->nehw", levels[index], weight) + bias[None, :, None, None]
        embedded.append(functional.interpolate(linear, size=(8, 6), mode="bilinear", align_corners=False))
    joined = torch.cat(embedded, 1)
    point = norm_relu("branches.0", functional.conv2d(joined, state["branches.0.conv.weight"]))
    depth_weight = state["branches.1.depthwise_conv.conv.weight"]
    depthwise = functional.conv2d(joined, depth_weight, padding=2, dilation=2, groups=6)
    depthwise = norm_relu("branches.1.depthwise_conv", depthwise)
    dilated = functional.conv2d(depthwise, state["branches.1.pointwise_conv.conv.weight"])
    dilated = norm_relu("branches.1.pointwise_conv", dilated)
    fused = functional.conv2d(torch.cat([point, dilated], 1), state["bottleneck.conv.weight"], padding=1)
    fused = norm_relu("bottleneck", fused)
    expected = functional.conv2d(fused, state["conv_seg.weight"], state["conv_seg.bias"])
    with torch.no_grad():
        torch.testing.assert_close(head(levels), expected)


def test_dropout_is_a_tenth_and_stands_before_the_classes() -> None:
    head = make_head()
    assert isinstance(head.dropout, nn.Dropout2d)
    assert head.dropout.p == 0.1
