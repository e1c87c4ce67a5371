"""DeepLabV2's decode head, the classical one of domain adaptation: four dilated convolutions straight to the classes.

Paper: DeepLab: Semantic Image Segmentation with Deep Convolutional Nets, Atrous Convolution, and Fully Connected CRFs,
    TPAMI 2018, arXiv:1606.00915.
Implements: atrous spatial pyramid pooling with the dilations of its ASPP-L, in the one-layer form of the adaptation
    literature (lhoyer/DAFormer, mmseg/models/decode_heads/dlv2_head.py); no CRF.
Checked against: a sum of four convolutions and a count of its parameters by hand.
Deviations: none from that form.
Protocol: logits at the stride of the level it takes; no dropout, no norm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from adapt.openmmlab import MODELS, BaseDecodeHead


@MODELS.register_module()
class DeepLabV2Head(BaseDecodeHead):
    """The sum of dilated 3x3 convolutions that end in the class logits."""

    def __init__(self, in_channels: int, *, dilations: Sequence[int] = (6, 12, 18, 24), **kwargs: Any) -> None:
        """Build the head; the defaults are the paper's.

        Args:
            in_channels: Channels of the level `in_index`.
            dilations: One convolution each.
            **kwargs: `num_classes`, `in_index` and what else mmsegmentation's heads take.
        """
        kwargs.setdefault("init_cfg", {"type": "Normal", "std": 0.01, "override": {"name": "branches"}})
        super().__init__(in_channels, channels=in_channels, dropout_ratio=0, **kwargs)
        # The branches are the classifier; a layer without a gradient would upset data-parallel training.
        del self.conv_seg
        self.branches = nn.ModuleList(
            nn.Conv2d(in_channels, self.out_channels, 3, padding=dilation, dilation=dilation) for dilation in dilations
        )

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Compute logits.

        Args:
            inputs: The backbone's outputs, each (N, C, h, w).

        Returns:
            (N, K, h, w) at the size of the level that the head takes.
        """
        level = self._transform_inputs(inputs)
        first, *others = (branch(level) for branch in self.branches)
        for logits in others:
            first = first + logits
        return first
