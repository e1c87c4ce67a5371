"""Pseudo-labels of the target domain and the weight of each."""

from __future__ import annotations

import torch
from torch import Tensor


def make_pseudo_labels(
    logits: Tensor, threshold: float, ignore_top: int = 0, ignore_bottom: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    """Label every pixel with its likeliest class and weigh all of them by the batch's share of confident pixels.

    Args:
        logits: (N, K, H, W) float, the teacher's.
        threshold: A pixel is confident when its largest probability is at least this.
        ignore_top: Rows at the top with weight 0.
        ignore_bottom: Rows at the bottom with weight 0.

    Returns:
        Labels (N, H, W) int64, none of them ignored; weights (N, H, W) float32; and the share q, a float32 scalar over
        the whole batch (ignored rows included).
    """
    confidence, label = torch.softmax(logits.float(), dim=1).max(dim=1)  # (N, H, W) both
    share = (confidence >= threshold).float().mean()
    weight = share.expand(label.shape).clone()
    weight[:, :ignore_top] = 0.0
    weight[:, label.shape[1] - min(ignore_bottom, label.shape[1]) :] = 0.0
    return label, weight, share
