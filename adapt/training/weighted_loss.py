"""Cross-entropy with a weight for every pixel."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from adapt.data.label_map import IGNORE


def compute_weighted_cross_entropy(logits: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """Mean over all N * H * W pixels, ignored ones included, of weight times cross-entropy.

    The denominator counts ignored pixels as mmseg's `avg_non_ignore=False` does, which is what DAFormer trained with.

    Args:
        logits: (N, K, H, W) float. Computed in float32.
        label: (N, H, W) int64, 255 ignored (contributes 0).
        weight: (N, H, W) float32.

    Returns:
        The loss, a float32 scalar.
    """
    loss = functional.cross_entropy(logits.float(), label, ignore_index=IGNORE, reduction="none")  # (N, H, W)
    return (loss * weight).mean()
