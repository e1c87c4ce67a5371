"""A backbone and a head whose outputs can be worked out by hand, and small real networks on two resolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.networks.multi_resolution import MultiResolution
from adapt.openmmlab import MODELS, BaseDecodeHead
from adapt.openmmlab.model import build_model


class CellMeans(nn.Module):
    """Means of 4x4 pixels, less the mean of the whole input: what a crop gives depends on where it ends."""

    def __init__(self) -> None:
        super().__init__()
        self.inputs: list[Tensor] = []

    def forward(self, images: Tensor) -> list[Tensor]:
        self.inputs.append(images)
        means = functional.avg_pool2d(images, 4)
        return [means - images.mean(dim=(2, 3), keepdim=True)]


class Squares(BaseDecodeHead):
    """Logits of three classes: the squares of three channels."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(channels=3, **kwargs)

    def forward(self, inputs: list[Tensor]) -> Tensor:
        return inputs[0] ** 2


@pytest.fixture
def toy_config() -> Iterator[dict[str, Any]]:
    """Register the toy parts for one test; yield the config of their network."""
    MODELS.register_module(name="CellMeans", module=CellMeans)
    MODELS.register_module(name="Squares", module=Squares)
    yield {
        "type": "EncoderDecoder",
        "data_preprocessor": {"type": "SegDataPreProcessor", "mean": [0, 0, 0], "std": [1, 1, 1]},
        "backbone": {"type": "CellMeans"},
        "decode_head": {"type": "Squares", "in_channels": 3, "in_index": 0, "num_classes": 3},
    }
    del MODELS.module_dict["CellMeans"], MODELS.module_dict["Squares"]


@pytest.fixture
def build_with_attention(toy_config: dict[str, Any]) -> Callable[..., MultiResolution]:
    """Build the toy network with a scale attention that is the same everywhere."""

    def build(attention: list[float], **settings: Any) -> MultiResolution:
        config = {**toy_config, "type": "MultiResolution", "multi_resolution": settings}
        network: Any = build_model(config, 0).eval().requires_grad_(False)
        with torch.no_grad():
            network.attention_head.conv_seg.weight.zero_()
            network.attention_head.conv_seg.bias.copy_(torch.logit(torch.tensor(attention)))
        return network

    return build
