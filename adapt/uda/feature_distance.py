"""DAFormer's feature distance: how far a network's features of things have moved from those it started with.

Paper: DAFormer, CVPR 2022, arXiv:2111.14887, section 3.3. Checked against lhoyer/DAFormer,
`mmseg/models/uda/dacs.py` and `mmseg/utils/utils.py`. Deviation: a batch without such features has the distance 0 there,
not NaN, because the sum and the number of features are handed on apart, for all workers to add up.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from adapt.uda.class_mix import LABELS


@torch.no_grad()
def make_thing_mask(label: Tensor, size: tuple[int, int], classes: Sequence[int], min_ratio: float) -> Tensor:
    """Mark the cells of a feature map whose commonest label covers enough of them and is one of the given classes.

    The pixel in row y lies in the cell row floor(y * h / H), so each pixel lies in one cell, and cells are equal squares
    where the label's size is a multiple of the features'. Counting labels in 256 bins a cell gives what average-pooling
    their one-hot code gives, without a float for each pixel and class. Of equally common labels any may decide.

    Args:
        label: (N, H, W) int64 in [0, 255].
        size: (h, w) of the features.
        classes: Train ids that count.
        min_ratio: Least share of a cell's pixels, in (0, 1].

    Returns:
        (N, h, w) bool.
    """
    (images, height, width), (rows, columns), device = label.shape, size, label.device
    row = torch.arange(height, device=device) * rows // height
    column = torch.arange(width, device=device) * columns // width
    first_row = torch.arange(images, device=device)[:, None] * rows
    # Bin of each pixel; what is common to rows and columns is multiplied before it grows to the size of the label.
    bins = ((first_row + row) * (columns * LABELS))[:, :, None] + column * LABELS  # (N, H, W)
    bins = bins.add_(label).flatten()
    counts = torch.zeros(images * rows * columns * LABELS, dtype=torch.int32, device=device)
    counts.scatter_add_(0, bins, torch.ones(1, dtype=torch.int32, device=device).expand(len(bins)))
    count, commonest = counts.view(images, rows, columns, LABELS).max(dim=3)
    area = counts.view(images, rows, columns, LABELS).sum(dim=3)

    is_counted = torch.zeros(LABELS, dtype=torch.bool)
    is_counted[list(classes)] = True
    return (count / area >= min_ratio) & is_counted.to(device, non_blocking=True)[commonest]


def compute_feature_distance(features: Tensor, reference: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Add up the Euclidean distances, over channels, of two feature maps at the marked cells.

    Args:
        features: (N, C, h, w) float.
        reference: As `features`.
        mask: (N, h, w) bool.

    Returns:
        The sum, a float32 scalar, and the number of marked cells, an int64 scalar. An empty mask gives 0 and 0. The
        gradient of the sum is 0 outside the mask and where the features are equal.
    """
    distance = torch.linalg.vector_norm(features.float() - reference.float(), dim=1)  # (N, h, w)
    return distance.masked_fill(~mask, 0.0).sum(), mask.sum()
