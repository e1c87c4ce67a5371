"""What a network in training holds an image to be, and how sure it is: the mean over several scales."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from adapt.correction.consistency import resize_images, resize_logits
from adapt.inference import forward_logits, to_tensor


@torch.no_grad()
def predict_over_scales(
    model: nn.Module, image: NDArray[np.uint8], scales: Sequence[float], flip: bool, temperature: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Predict an image from its mean logits over scales, and mirrored ones if asked for.

    Args:
        model: The network, in eval mode.
        image: (H, W, 3) uint8 RGB, decoded once for all scales.
        scales: Of both sides.
        flip: Whether each scale comes mirrored too.
        temperature: The mean logits are divided by this.

    Returns:
        (H, W) uint8, the most probable class, and (H, W) float32, its probability.
    """
    whole = to_tensor(model, image)
    size = (whole.shape[2], whole.shape[3])
    total: Tensor | None = None
    for scale in scales:
        for is_mirrored in (False, True) if flip else (False,):
            logits = _predict_view(model, whole, size, scale, is_mirrored)
            total = logits if total is None else total + logits
    if total is None:
        raise ValueError("at least one scale is needed")
    mean = total / (len(scales) * (1 + flip) * temperature)
    confidence, predicted = mean.softmax(dim=1)[0].max(dim=0)
    return predicted.to(torch.uint8).cpu().numpy(), confidence.cpu().numpy()


def _predict_view(model: nn.Module, whole: Tensor, size: tuple[int, int], scale: float, is_mirrored: bool) -> Tensor:
    images = resize_images(whole, scale)
    logits = forward_logits(model, images.flip(3) if is_mirrored else images)
    return resize_logits(logits.flip(3) if is_mirrored else logits, size)
