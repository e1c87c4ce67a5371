"""ClassMix: half of the source's classes are pasted over a target image (Olsson et al., WACV 2021, arXiv:2007.07936).

Nothing here waits for the device: the classes of a batch are a table of 256 flags, never a list of unknown length.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LABELS = 256
"""Possible values of a label: train ids from 0 and 255, which marks ignored pixels and counts as a class here."""


def find_present(label: Tensor) -> Tensor:
    """Find the classes that a batch holds; as in DAFormer the ignore label 255 is one of them.

    Args:
        label: (N, H, W) int64 source labels in [0, 255].

    Returns:
        (256,) bool on the device of `label`.
    """
    present = torch.zeros(LABELS, dtype=torch.bool, device=label.device)
    return present.scatter_(0, label.flatten(), True)


def draw_orders(generator: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Draw one order of all possible classes for each image.

    The draw knows nothing of the labels, so it can be made for the images of all workers before any label is read.

    Args:
        generator: Advanced by `count` permutations.
        count: Images N.

    Returns:
        (N, 256) int64, each row a permutation of 0 to 255.
    """
    return generator.permuted(np.tile(np.arange(LABELS, dtype=np.int64), (count, 1)), axis=1)


def choose_classes(present: Tensor, order: Tensor) -> Tensor:
    """Choose half of the classes that are present, rounded up: the first ones in a random order.

    That is a draw of ceil(n / 2) of n classes without replacement, as DAFormer's.

    Args:
        present: (256,) bool, of `find_present`.
        order: (256,) int64 on the same device, a row of `draw_orders`.

    Returns:
        (256,) bool on the device of `present`.
    """
    ranked = present.gather(0, order)
    position = ranked.cumsum(0)  # 1 for the first present class in this order, n for the last
    first_half = ranked & (position <= (position[-1] + 1) // 2)
    return torch.zeros_like(present).scatter_(0, order, first_half)


def make_mask(label: Tensor, chosen: Tensor) -> Tensor:
    """Mark the pixels that belong to one of the chosen classes.

    Args:
        label: (..., H, W) int64 in [0, 255].
        chosen: (256,) bool.

    Returns:
        (..., H, W) bool.
    """
    return chosen[label]


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
