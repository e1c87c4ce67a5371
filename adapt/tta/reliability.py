"""Which predictions are worth learning from, judged image by image or pixel by pixel.

With the unit `image`, entropies and probabilities are means over an image's pixels, of shape (B, 1, 1) and (B, K, 1, 1);
with `pixel` they are those of each pixel, (B, H, W) and (B, K, H, W). All functions take both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from adapt.tta.entropy import pixel_entropy
from adapt.tta.method import check_finite_loss
from adapt.tta.settings import EtaSettings


@dataclass(frozen=True)
class Selection:
    """What `select_reliable_and_new` kept of a batch.

    Attributes:
        loss: scalar, the mean weighted entropy of what was kept, with gradients; None if nothing was kept.
        share: how much of the batch was kept, in [0, 1].
        average: (K,), the moving average of mean probabilities after this batch; None as long as nothing was ever kept.
    """

    loss: Tensor | None
    share: float
    average: Tensor | None


def unit_entropy(logits: Tensor, unit: Literal["image", "pixel"]) -> Tensor:
    """Compute the entropy of every image or pixel.

    Args:
        logits: (B, K, H, W).
        unit: `image` averages over the pixels of each image.

    Returns:
        (B, 1, 1) or (B, H, W) in [0, ln K], in nats, with gradients.
    """
    entropy = pixel_entropy(logits)
    return entropy.mean(dim=(1, 2), keepdim=True) if unit == "image" else entropy


def unit_probability(logits: Tensor, unit: Literal["image", "pixel"]) -> Tensor:
    """Compute the class probabilities of every image (the mean over its pixels) or pixel, without gradients.

    Args:
        logits: (B, K, H, W).
        unit: as for `unit_entropy`.

    Returns:
        (B, K, 1, 1) or (B, K, H, W).
    """
    probability = logits.detach().softmax(dim=1)
    return probability.mean(dim=(2, 3), keepdim=True) if unit == "image" else probability


def find_reliable(entropy: Tensor, margin: float, num_classes: int) -> Tensor:
    """Tell for each entropy, of any shape, whether it is below margin * ln K (strictly): bool of the same shape."""
    return entropy.detach() < margin * math.log(num_classes)


def find_new(probability: Tensor, average: Tensor | None, diversity: float) -> Tensor:
    """Tell whether probabilities differ from what was learned from so far.

    Args:
        probability: (B, K, h, w).
        average: (K,), the moving average; None before there is one: then all are new.
        diversity: the cosine with the average must be below this (strictly).

    Returns:
        Bool (B, h, w).
    """
    if average is None:
        return torch.ones_like(probability[:, 0], dtype=torch.bool)
    return cosine_similarity(average.view(1, -1, 1, 1), probability, dim=1).abs() < diversity


def mean_over(values: Tensor, kept: Tensor) -> Tensor:
    """Average values over where `kept`, a bool tensor of the same shape with at least one True, is true: a scalar."""
    return torch.where(kept, values, 0.0).sum() / kept.sum()


def select_reliable_and_new(logits: Tensor, settings: EtaSettings, average: Tensor | None) -> Selection:
    """Keep what is both reliable and new, and weigh its entropies by exp(margin * ln K - entropy).

    Args:
        logits: (B, K, H, W).
        settings: margin, diversity, ema and unit.
        average: (K,), the moving average so far; None before anything was kept.

    Returns:
        The selection; the moving average takes in the mean probabilities of what was kept, and stays if nothing was.

    Raises:
        NotFiniteError: if an entropy is not finite, kept or not.
    """
    entropy = unit_entropy(logits, settings.unit)
    check_finite_loss(entropy.mean())
    probability = unit_probability(logits, settings.unit)
    num_classes = logits.shape[1]
    kept = find_reliable(entropy, settings.margin, num_classes) & find_new(probability, average, settings.diversity)
    count = int(kept.sum())
    if count == 0:
        return Selection(None, 0.0, average)
    weight = torch.exp(settings.margin * math.log(num_classes) - entropy.detach())
    mean = torch.where(kept[:, None], probability, 0.0).sum(dim=(0, 2, 3)) / count  # (K,)
    average = mean if average is None else settings.ema * average + (1 - settings.ema) * mean
    return Selection(mean_over(weight * entropy, kept), count / kept.numel(), average)
