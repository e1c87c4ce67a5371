"""How much a model's predictions say about a batch: sure at each pixel, varied over all of them."""

from __future__ import annotations

import torch
from torch import Tensor

from adapt.tta.entropy import mean_entropy


def mutual_information(logits: Tensor) -> float:
    """Compute the entropy of the mean prediction less the mean entropy of the predictions.

    Both means run over B, H and W [ours: the paper has one prediction for each image].

    Args:
        logits: (B, K, H, W).

    Returns:
        A number in [0, ln K], in nats; not a number where the logits are not finite.
    """
    mean_probability = logits.softmax(dim=1).mean(dim=(0, 2, 3))  # (K,)
    return float(torch.special.entr(mean_probability).sum() - mean_entropy(logits))
