"""Pseudo-labels of the target domain and the weight of each."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def make_pseudo_labels(logits: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Label every pixel with its likeliest class and measure how many pixels are confident.

    Args:
        logits: (N, K, H, W) float, the teacher's. Probabilities are computed in float32.
        threshold: A pixel is confident when its largest probability is at least this.

    Returns:
        Labels (N, H, W) int64, none of them ignored, and the share q of confident pixels among all N * H * W, a float32
        scalar.
    """
    largest, label = logits.max(dim=1)
    # The largest softmax probability is exp(0) / sum(exp(logit - largest)); float32 minus half precision is float32.
    confidence = (logits - largest.float().unsqueeze(1)).exp_().sum(dim=1).reciprocal_()  # (N, H, W)
    return label, (confidence >= threshold).float().mean()


def weigh_pixels(
    share: Tensor,
    size: tuple[int, int, int],
    ignore_top: int = 0,
    ignore_bottom: int = 0,
    valid: Tensor | None = None,
) -> Tensor:
    """Give all pixels of a batch the weight q, but those that are not to be learnt from 0.

    Args:
        share: The share q of confident pixels, a float32 scalar.
        size: (N, H, W).
        ignore_top: Rows at the top with weight 0.
        ignore_bottom: Rows at the bottom with weight 0.
        valid: (N, H, W) bool, False where the weight is 0; None is valid everywhere.

    Returns:
        (N, H, W) float32.
    """
    weight = share.expand(size).clone() if valid is None else share * valid
    weight[:, :ignore_top] = 0.0
    weight[:, max(size[1] - ignore_bottom, 0) :] = 0.0
    return weight
