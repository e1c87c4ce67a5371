"""MIC's masked images: most blocks of an image are hidden (Hoyer et al., CVPR 2023, arXiv:2212.01322, section 3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def draw_block_mask(
    generator: np.random.Generator, count: int, size: tuple[int, int], block: int, ratio: float
) -> NDArray[np.bool_]:
    """Draw which square blocks of each image stay: those whose U(0, 1) is larger than the ratio.

    Blocks begin at the top left corner; those at the right and the bottom border are cut off where the size is not a
    multiple of the block.

    Args:
        generator: Advanced by N * ceil(H / block) * ceil(W / block) numbers.
        count: Images N.
        size: (H, W).
        block: Side of a block in pixels.
        ratio: Expected share of hidden blocks.

    Returns:
        (N, 1, H, W) bool, True where a pixel stays.
    """
    height, width = size
    keep = generator.random((count, 1, -(-height // block), -(-width // block))) > ratio
    return keep.repeat(block, axis=2).repeat(block, axis=3)[:, :, :height, :width]


def mask_blocks(images: Tensor, keep: Tensor) -> Tensor:
    """Hide blocks of normalised images: their pixels become 0, the mean colour.

    Args:
        images: (N, C, H, W) float, normalised; not changed.
        keep: (N, 1, H, W) bool on the same device, of `draw_block_mask`.

    Returns:
        As `images`.
    """
    return images * keep
