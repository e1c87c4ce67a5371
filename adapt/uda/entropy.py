"""Entropy of a segmentation, the loss of direct entropy minimisation (Vu et al., ADVENT, CVPR 2019, arXiv:1811.12833)."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional


def compute_entropy(logits: Tensor) -> Tensor:
    """Mean over all pixels of the entropy of the class probabilities, divided by its maximum log K (ADVENT, section 3.1).

    Args:
        logits: (N, K, H, W) float of at least two classes. Computed in float32.

    Returns:
        A float32 scalar in [0, 1]; its gradient is finite also where a probability underflows to 0.
    """
    log_probability = functional.log_softmax(logits.float(), dim=1)
    entropy = -(log_probability.exp() * log_probability).sum(dim=1)  # (N, H, W), in nats
    return entropy.mean() / math.log(logits.shape[1])
