"""Overlapping crops that cover an image, and the mean of what was predicted on them."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

Region = tuple[slice, slice]
"""Rows and columns of a map."""


def list_starts(length: int, crop: int, step: int) -> list[int]:
    """List where crops of one axis begin: every `step`, the last one moved back so that it ends with the axis.

    Args:
        length: Of the axis.
        crop: Of a crop, at most `length`.
        step: Between crops; at most `crop`, or gaps are left.

    Returns:
        Increasing starts, the first 0, the last `length - crop`.
    """
    return [*range(0, length - crop, step), length - crop]


def list_regions(size: tuple[int, int], crop: tuple[int, int], step: tuple[int, int]) -> list[Region]:
    """List the crops that cover a map; one that is smaller than a crop, on either axis, is taken whole on that axis.

    Args:
        size: (height, width) of the map.
        crop: (height, width) of a crop.
        step: Rows and columns between crops.

    Returns:
        Row by row.
    """
    axes = []
    for length, longest, between in zip(size, crop, step, strict=True):
        side = min(longest, length)
        axes.append([slice(start, start + side) for start in list_starts(length, side, between)])
    return list(itertools.product(*axes))


def average_overlaps(parts: Iterable[Tensor], regions: Sequence[Region], size: tuple[int, int]) -> Tensor:
    """Average maps where they overlap.

    Args:
        parts: For each region (N, K, h, w) of its size; consumed one at a time.
        regions: At least one; together they cover the map.
        size: (H, W) of the map.

    Returns:
        (N, K, H, W), float32 at least.
    """
    total, count = torch.empty(0), torch.empty(0)
    for index, (part, (rows, columns)) in enumerate(zip(parts, regions, strict=True)):
        if index == 0:
            # A sum of many half-precision parts would lose the digits that the parts have.
            dtype = torch.promote_types(part.dtype, torch.float32)
            total = part.new_zeros((*part.shape[:2], *size), dtype=dtype)
            count = part.new_zeros(size, dtype=dtype)
        total[:, :, rows, columns] += part
        count[rows, columns] += 1
    return total / count
