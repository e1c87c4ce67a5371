"""HRDA's fusion of a coarse and a fine prediction by an attention of the coarse one's size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from adapt.networks.slides import Region


def resize(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (N, K, h, w) to `size` (H, W), bilinearly; cells are areas (align_corners=False)."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=False)


def fuse(context: Tensor, detail: Tensor, attention: Tensor) -> Tensor:
    """Fuse two predictions: up(attention) * detail + up((1 - attention) * context) (HRDA, section 3).

    Args:
        context: (N, K, h, w) logits of the coarse prediction.
        detail: (N, K, H, W) logits of the fine one, 0 where there is none.
        attention: (N, K, h, w) in [0, 1], 0 where there is no fine prediction.

    Returns:
        (N, K, H, W) logits.
    """
    size = (detail.shape[2], detail.shape[3])
    return resize(attention, size) * detail + resize((1 - attention) * context, size)


def make_region_mask(region: Region, size: tuple[int, int], grid: Tensor) -> Tensor:
    """Mark the cells of a coarse grid that lie wholly inside a region of the image.

    Args:
        region: In pixels, with both ends given.
        size: (height, width) of the image that the grid covers.
        grid: (N, K, h, w); its size, device and dtype are taken.

    Returns:
        (1, 1, h, w), 1 inside and 0 outside.
    """
    cells = []
    for side, length, count in zip(region, size, grid.shape[2:], strict=True):
        cells.append(slice(-(-side.start * count // length), side.stop * count // length))
    mask = torch.zeros((1, 1, *grid.shape[2:]), device=grid.device, dtype=grid.dtype)
    mask[:, :, cells[0], cells[1]] = 1
    return mask
