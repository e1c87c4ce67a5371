"""The entropy of predictions, by pixel and over all of them."""

from __future__ import annotations

from torch import Tensor


def pixel_entropy(logits: Tensor) -> Tensor:
    """Compute the entropy of the softmax at every pixel; gradients flow through both the weights and the logarithm.

    Args:
        logits: (B, K, H, W).

    Returns:
        (B, H, W) in [0, ln K], in nats.
    """
    log_probability = logits.log_softmax(dim=1)
    return -(log_probability.exp() * log_probability).sum(dim=1)


def mean_entropy(logits: Tensor) -> Tensor:
    """Average the entropy of the softmax over all pixels, with gradients as in `pixel_entropy`.

    Args:
        logits: (B, K, H, W).

    Returns:
        A scalar in [0, ln K], in nats.
    """
    return pixel_entropy(logits).mean()
