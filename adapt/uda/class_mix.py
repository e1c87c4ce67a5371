"""ClassMix: half of the source's classes are pasted over a target image (Olsson et al., WACV 2021)."""

from __future__ import annotations

import torch
from torch import Tensor


def draw_classes(labels: Tensor) -> Tensor:
    """Draw half of the classes that the batch holds, rounded up, without replacement.

    As in DAFormer the ignore label 255 counts as a class: `torch.unique` over the whole batch, 255 included.

    Args:
        labels: (N, H, W) int64 source labels. Draws from torch's global generator of the CPU.

    Returns:
        (ceil(n / 2),) int64 classes.
    """
    classes = torch.unique(labels)
    count = (len(classes) + 1) // 2
    return classes[torch.randperm(len(classes))[:count].to(classes.device)]


def make_mask(label: Tensor, classes: Tensor) -> Tensor:
    """Pixels that belong to one of the classes.

    Args:
        label: (H, W) int64.
        classes: (M,) int64.

    Returns:
        (H, W) bool.
    """
    return torch.isin(label, classes)


def mix(mask: Tensor, source: Tensor, target: Tensor) -> Tensor:
    """Take the source where the mask is set, the target elsewhere.

    Args:
        mask: (..., H, W) bool, broadcast over leading dimensions.
        source: (..., H, W), an image, a label map or a weight map.
        target: As `source`.

    Returns:
        As `source`.
    """
    return torch.where(mask, source, target)
