"""Confusion counts where a training step leaves its predictions: on the device, without waiting for it."""

from __future__ import annotations

import torch
from torch import Tensor

from adapt.data.label_map import IGNORE


def count_on_device(label: Tensor, prediction: Tensor, class_count: int) -> Tensor:
    """Count how often each class was predicted as each class.

    Args:
        label: int64 of any shape, train ids, 255 where the pixel is ignored.
        prediction: int64 of the same shape and device, train ids.
        class_count: K.

    Returns:
        (K, K) int64 on the device; rows are labels, columns predictions.
    """
    index = torch.where(label == IGNORE, class_count * class_count, label * class_count + prediction).flatten()
    counts = torch.zeros(class_count * class_count + 1, dtype=torch.int64, device=index.device)
    counts.scatter_add_(0, index, torch.ones_like(index))  # bincount would wait for a GPU
    return counts[:-1].view(class_count, class_count)
