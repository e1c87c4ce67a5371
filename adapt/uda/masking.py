"""MIC's masked images: most blocks of an image are hidden (Hoyer et al., CVPR 2023, arXiv:2212.01322, section 3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def draw_block_mask(
    generator: np.random.Generator, count: int, size: tuple[int, int], block: int, ratio: float
) -> NDArray[np.bool_]:
    """Draw which square blocks of each image stay: those whose U(0, 1) is larger than the ratio.

    Args:
        generator: Advanced by N * ceil(H / block) * ceil(W / block) numbers.
        count: Images N.
        size: (H, W).
        block: Side of a block in pixels.
        ratio: Expected share of hidden blocks.

    Returns:
        (N, 1, ceil(H / block), ceil(W / block)) bool, True where a block stays.
    """
    height, width = size
    return generator.random((count, 1, -(-height // block), -(-width // block))) > ratio


def mask_blocks(images: Tensor, keep: Tensor, block: int) -> Tensor:
    """Hide blocks of normalised images: their pixels become 0, the mean colour.

    Blocks begin at the top left corner; those at the right and the bottom border are cut off where the size is not a
    multiple of the block.

    Args:
        images: (N, C, H, W) float, normalised; not changed.
        keep: (N, 1, h, w) bool on the same device, of `draw_block_mask`.
        block: Side of a block in pixels.

    Returns:
        As `images`.
    """
    pixels = keep.repeat_interleave(block, dim=2).repeat_interleave(block, dim=3)
    return images * pixels[:, :, : images.shape[2], : images.shape[3]]
