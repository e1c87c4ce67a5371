"""Cross-entropy and what withstands wrong labels better: smoothed labels, symmetric and generalised cross-entropy.

Paper: Symmetric Cross Entropy for Robust Learning with Noisy Labels, ICCV 2019, arXiv:1908.06112; Generalized Cross Entropy
    Loss for Training Deep Neural Networks with Noisy Labels, NeurIPS 2018, arXiv:1805.07836.
Implements: symmetric cross-entropy, section 3 (equations 4 to 6), and L_q, section 3 (equation 6), for every pixel.
Checked against: naive loops in float64, torch's label smoothing and the loss of mmsegmentation's head in the tests.
Deviations: the probability is never clamped. Both robust losses are functions of the cross-entropy c = -log p of the label
    alone: reverse cross-entropy is -A (1 - exp(-c)), L_q is (1 - exp(-q c)) / q. Loss and gradient stay finite whatever p is.
Protocol: the mean counts ignored pixels, as mmsegmentation's CrossEntropyLoss does, so plain training stays what it is.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from adapt.correction.settings import CrossEntropySettings, LossSettings, SymmetricSettings
from adapt.data.label_map import IGNORE


def compute_pixel_losses(logits: Tensor, label: Tensor, settings: LossSettings) -> Tensor:
    """Compute the loss of every pixel.

    Args:
        logits: (N, K, H, W) float. Computed in float32.
        label: (N, H, W) int64, 255 ignored.
        settings: Which loss.

    Returns:
        (N, H, W) float32, at least 0; 0 where the label is ignored.
    """
    smoothing = settings.label_smoothing if isinstance(settings, CrossEntropySettings) else 0.0
    entropy = functional.cross_entropy(
        logits.float(), label, ignore_index=IGNORE, reduction="none", label_smoothing=smoothing
    )
    # All that follows is 0 where the cross-entropy is; expm1 keeps the digits that 1 - exp(-x) loses for small x.
    if isinstance(settings, CrossEntropySettings):
        return entropy
    if isinstance(settings, SymmetricSettings):
        return settings.alpha * entropy + settings.beta * settings.log_zero * torch.expm1(-entropy)
    return -torch.expm1(-settings.q * entropy) / settings.q


def compute_loss(logits: Tensor, label: Tensor, settings: LossSettings) -> Tensor:
    """Average the loss over all N * H * W pixels, ignored ones included, as mmsegmentation's `avg_non_ignore=False`.

    Args:
        logits: (N, K, H, W) float. Computed in float32.
        label: (N, H, W) int64, 255 ignored (contributes 0).
        settings: Which loss.

    Returns:
        A float32 scalar.
    """
    return compute_pixel_losses(logits, label, settings).mean()
