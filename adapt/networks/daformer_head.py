"""DAFormer's decode head: features of every level, fused by dilated separable convolutions.

Paper: DAFormer: Improving Network Architectures and Training Strategies for Domain-Adaptive Semantic Segmentation,
    CVPR 2022, arXiv:2111.14887.
Implements: the context-aware multi-level feature fusion (section 3).
Checked against: a count of its parameters by hand (3,712,275 for MiT-B5 and 19 classes; the paper's table 7 gives 3.7 M, as
    quoted in lhoyer/DAFormer, issue 86), and its arithmetic written out once more.
Deviations: a level's Linear is a 1x1 convolution, which is the same function and needs no transposed copy; so a
    published checkpoint's `embed_layers.*.proj.weight` wants two more axes and other names before it loads here.
Protocol: logits at the stride of the largest level; dropout before the last layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.openmmlab import MODELS, BaseDecodeHead, ConvModule, DepthwiseSeparableConvModule


@MODELS.register_module()
class DAFormerHead(BaseDecodeHead):
    """Embed each level, join them at the largest one's size, look at them at several dilations, classify."""

    def __init__(
        self,
        in_channels: Sequence[int],
        channels: int = 256,
        *,
        embed_dims: int = 256,
        dilations: Sequence[int] = (1, 6, 12, 18),
        **kwargs: Any,
    ) -> None:
        """Build the head; the defaults are the paper's.

        Args:
            in_channels: Channels of each level in `in_index`.
            channels: Width of every branch and of the layer that joins them.
            embed_dims: Width that each level is brought to.
            dilations: One branch each; 1 is a 1x1 convolution, the others are depthwise-separable 3x3 ones.
            **kwargs: `num_classes`, `in_index`, `norm_cfg`, `dropout_ratio` and what else mmsegmentation's heads take.
        """
        super().__init__(in_channels, channels, input_transform="multiple_select", **kwargs)
        self.embed_layers = nn.ModuleList(nn.Conv2d(width, embed_dims, 1) for width in in_channels)
        joined = embed_dims * len(in_channels)
        layer: dict[str, Any] = {"norm_cfg": self.norm_cfg, "act_cfg": self.act_cfg}
        self.branches = nn.ModuleList(
            ConvModule(joined, channels, 1, **layer)
            if dilation == 1
            else DepthwiseSeparableConvModule(joined, channels, 3, padding=dilation, dilation=dilation, **layer)
            for dilation in dilations
        )
        self.bottleneck = ConvModule(len(dilations) * channels, channels, 3, padding=1, **layer)

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits.

        Args:
            inputs: The backbone's outputs, each (N, C, h, w).

        Returns:
            (N, K, h, w) at the size of the largest level that the head takes.
        """
        levels = [embed(level) for embed, level in zip(self.embed_layers, self._transform_inputs(inputs), strict=True)]
        size = max((level.shape[2:] for level in levels), key=lambda shape: shape[0] * shape[1])
        resized = [
            level
            if level.shape[2:] == size
            else functional.interpolate(level, size=size, mode="bilinear", align_corners=self.align_corners)
            for level in levels
        ]
        joined = torch.cat(resized, dim=1)
        context = torch.cat([branch(joined) for branch in self.branches], dim=1)
        return self.cls_seg(self.bottleneck(context))
