"""Multi-scale consistency: predictions of one image at several scales learn the label and to agree.

Paper: Adaptive Early-Learning Correction for Segmentation from Noisy Annotations, CVPR 2022, arXiv:2110.03740.
Implements: section 3.2, the sum of KL(p_k || q) over scales with q = sum_k w_k p_k, in the form of the published code: q is
    clamped to [0.001, 0.999], only images count that q is sure of somewhere, and the cross-entropy of scale k is that of
    logits * w_k, a temperature of about the number of scales.
Checked against: Kangningthu/ADELE, lib/utils/JSD_loss.py and the resizing in train.py; naive loops and a hand-worked case.
Deviations: none. As in that code p_k is the softmax of the logits as they are, without w_k; both p_k and q are learnt from; an
    image is sure by its labelled pixels alone, but where it counts all its pixels do; means are over all pixels.
Protocol: evaluation uses the single scale.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from adapt.correction.loss import compute_loss
from adapt.correction.settings import ConsistencySettings, LossSettings
from adapt.data.label_map import IGNORE

FLOOR = 1e-3
"""q lies in [FLOOR, 1 - FLOOR], as in the published code."""


def build_scale_weights(settings: ConsistencySettings) -> nn.Parameter:
    """Build the weights of the scales before their softmax: all 1, so equal.

    Args:
        settings: `learned` weights have gradients, `fixed` ones have none.

    Returns:
        (S,) float32.
    """
    return nn.Parameter(torch.ones(len(settings.scales)), requires_grad=settings.weights == "learned")


def resize_images(images: Tensor, scale: float) -> Tensor:
    """Resize images to a scale, bilinearly with corners aligned.

    Args:
        images: (N, 3, H, W) float.
        scale: Of both sides; each becomes a whole number of pixels, rounded down.

    Returns:
        (N, 3, h, w); the images themselves at scale 1.
    """
    if scale == 1.0:
        return images
    return functional.interpolate(images, scale_factor=scale, mode="bilinear", align_corners=True)


def resize_logits(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize logits to the size of the label, bilinearly with corners aligned.

    Args:
        logits: (N, K, h, w) float. Computed in float32.
        size: (H, W).

    Returns:
        (N, K, H, W) float32.
    """
    return functional.interpolate(logits.float(), size=size, mode="bilinear", align_corners=True)


def fuse_scales(probabilities: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Average the probabilities of all scales: q = sum_k w_k p_k, with w = softmax(weights).

    Args:
        probabilities: S times (N, K, H, W) float32.
        weights: (S,) float32, of `build_scale_weights`.

    Returns:
        (N, K, H, W) float32 in [0.001, 0.999]; the clamp lets them sum to a little more or less than 1 over K.
    """
    (first, share), *rest = zip(probabilities, weights.softmax(0), strict=True)
    return sum((share * scale for scale, share in rest), start=share * first).clamp(FLOOR, 1 - FLOOR)


def compute_consistency(logits: Sequence[Tensor], label: Tensor, weights: Tensor, confidence: float) -> Tensor:
    """Average sum_k KL(p_k || q) over all pixels; images that q is nowhere sure of contribute 0.

    Args:
        logits: S times (N, K, H, W) float, all at one size. Computed in float32.
        label: (N, H, W) int64; where it is 255, q cannot make an image count.
        weights: (S,) float32, of `build_scale_weights`.
        confidence: The largest q of an image, over classes and labelled pixels, has to reach this.

    Returns:
        A float32 scalar.
    """
    # With log p, instead of the logarithm of p, the gradient stays finite where p is 0.
    log_probabilities = [scale.float().log_softmax(1) for scale in logits]
    probabilities = [scale.exp() for scale in log_probabilities]
    fused = fuse_scales(probabilities, weights)  # (N, K, H, W)
    largest = (fused.detach() * (label != IGNORE)[:, None]).amax(dim=(1, 2, 3))
    is_sure = largest >= confidence  # (N,)
    log_fused = fused.log()
    parts = zip(probabilities, log_probabilities, strict=True)
    divergences = torch.stack([(scale * (log_scale - log_fused)).sum(1) for scale, log_scale in parts])  # (S, N, H, W)
    return (divergences.sum(0) * is_sure[:, None, None]).mean()


def compute_multi_scale_loss(
    logits: Sequence[Tensor], label: Tensor, weights: Tensor, settings: ConsistencySettings, loss: LossSettings
) -> dict[str, Tensor]:
    """Compute what a network learns from its predictions at several scales.

    Args:
        logits: S times (N, K, H, W) float, all at one size, in the order of `settings.scales`. Computed in float32.
        label: (N, H, W) int64, 255 ignored.
        weights: (S,) float, of `build_scale_weights`.
        settings: Weight and confidence of the consistency; whether sums over scales become means.
        loss: What is computed of logits * w_k and the label.

    Returns:
        Float32 scalars: `cross_entropy` of all scales, `consistency` with its weight in it, and their sum `loss`.
    """
    shares = weights.softmax(0)
    factor = 1 / len(logits) if settings.mean else 1.0
    parts = zip(shares, logits, strict=True)
    entropy = factor * torch.stack([compute_loss(scale * share, label, loss) for share, scale in parts]).sum()
    consistency = factor * settings.weight * compute_consistency(logits, label, weights, settings.confidence)
    return {"loss": entropy + consistency, "cross_entropy": entropy, "consistency": consistency}
