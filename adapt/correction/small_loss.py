"""Selection of the pixels whose loss is small: labels that a network does not believe in are left out.

Nothing here waits for the device: how many pixels are kept stays a tensor.
"""

from __future__ import annotations

import torch
from torch import Tensor

from adapt.correction.settings import CoTeachingSettings


def select_small(losses: Tensor, valid: Tensor, keep: float) -> Tensor:
    """Select a share of the valid pixels of the whole batch, those with the smallest loss.

    Of equal losses the first pixels, in the order of images, rows and columns, are selected.

    Args:
        losses: (N, H, W) float, finite.
        valid: (N, H, W) bool, pixels that may be selected.
        keep: Share in [0, 1]; the number of pixels is rounded to the nearest, halves to the even one.

    Returns:
        (N, H, W) bool.
    """
    order = losses.detach().masked_fill(~valid, torch.inf).flatten().argsort(stable=True)
    # In float64 for batches of more pixels than float32 counts.
    count = (keep * valid.sum(dtype=torch.float64)).round()
    is_first = torch.arange(order.numel(), device=order.device) < count
    return torch.zeros_like(is_first).scatter_(0, order, is_first).view(losses.shape)


def compute_keep(epoch: float, settings: CoTeachingSettings) -> float:
    """Compute the share of pixels that is learnt from: 1 at first, falling linearly to 1 - `forget_rate`.

    Args:
        epoch: Passed since the start, with fractions.
        settings: How much is left out in the end, and from when on.

    Returns:
        A share in (0, 1].
    """
    return 1.0 - settings.forget_rate * min(1.0, epoch / settings.warmup_epochs)
