"""The fusion formula, worked by hand."""

from __future__ import annotations

import pytest
import torch

from adapt.networks.scale_fusion import fuse, make_region_mask


def test_fusion_by_hand() -> None:
    context = torch.tensor([[[[4.0, 8.0]]]])
    attention = torch.tensor([[[[0.5, 0.0]]]])
    detail = torch.tensor([[[[10.0, 20.0, 30.0, 40.0]]]])
    # Doubling the width of [a, b] gives [a, 0.75 a + 0.25 b, 0.25 a + 0.75 b, b].
    # (1 - attention) * context = [2, 8] -> [2, 3.5, 6.5, 8]; attention -> [0.5, 0.375, 0.125, 0].
    expected = [0.5 * 10 + 2, 0.375 * 20 + 3.5, 0.125 * 30 + 6.5, 0 * 40 + 8]
    assert fuse(context, detail, attention)[0, 0, 0].tolist() == expected


def test_attention_is_per_class() -> None:
    context, detail = torch.full((1, 2, 2, 2), 3.0), torch.full((1, 2, 4, 4), 5.0)
    attention = torch.tensor([0.0, 1.0])[None, :, None, None].expand(1, 2, 2, 2)
    fused = fuse(context, detail, attention)
    assert (fused[:, 0] == 3).all()
    assert (fused[:, 1] == 5).all()


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        ((slice(16, 48), slice(0, 32)), range(2, 6), range(4)),
        # A cell is 8 pixels; 4 and 36 lie in the middle of one, which is not wholly inside.
        ((slice(4, 36), slice(8, 40)), range(1, 4), range(1, 5)),
    ],
)
def test_mask_marks_the_cells_wholly_inside(region: tuple[slice, slice], rows: range, columns: range) -> None:
    mask = make_region_mask(region, (64, 48), torch.zeros(3, 5, 8, 6))
    assert mask.shape == (1, 1, 8, 6)
    expected = [[float(row in rows and column in columns) for column in range(6)] for row in range(8)]
    assert mask[0, 0].tolist() == expected
