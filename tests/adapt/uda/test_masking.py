"""Masked images, against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapt.uda.masking import draw_block_mask, mask_blocks


@pytest.mark.parametrize(("size", "block"), [((8, 12), 4), ((10, 7), 4), ((3, 5), 8), ((4, 4), 1)])
def test_mask_equals_a_loop_over_pixels(size: tuple[int, int], block: int) -> None:
    height, width = size
    # One number for each block, images first, then rows, then columns.
    generator = np.random.default_rng(5)
    rows, columns = (height + block - 1) // block, (width + block - 1) // block
    numbers = [[[generator.random() for _ in range(columns)] for _ in range(rows)] for _ in range(2)]

    keep = draw_block_mask(np.random.default_rng(5), 2, size, block, 0.4)

    assert keep.shape == (2, 1, height, width)
    assert keep.dtype == np.bool_
    for n in range(2):
        for y in range(height):
            for x in range(width):
                assert keep[n, 0, y, x] == (numbers[n][y // block][x // block] > 0.4)


def test_ratio_is_the_share_of_hidden_blocks() -> None:
    keep = draw_block_mask(np.random.default_rng(0), 4, (64, 64), 1, 0.7)

    assert keep.mean() == pytest.approx(0.3, abs=0.015)


def test_images_are_zero_where_hidden_and_else_untouched() -> None:
    images = torch.rand(2, 3, 10, 7) + 1.0
    before = images.clone()
    keep = torch.from_numpy(draw_block_mask(np.random.default_rng(1), 2, (10, 7), 3, 0.5))

    masked = mask_blocks(images, keep)

    assert masked.dtype == torch.float32
    assert torch.equal(images, before)
    assert 0 < keep.sum() < keep.numel()
    for n in range(2):
        for y in range(10):
            for x in range(7):
                wanted = images[n, :, y, x] if keep[n, 0, y, x] else torch.zeros(3)
                assert torch.equal(masked[n, :, y, x], wanted)


def test_joint_draw_gives_each_worker_its_own_blocks_and_repeats() -> None:
    joint = draw_block_mask(np.random.default_rng(2), 4, (8, 8), 2, 0.5)
    images = torch.rand(4, 3, 8, 8)

    whole = mask_blocks(images, torch.from_numpy(joint))

    assert np.array_equal(joint, draw_block_mask(np.random.default_rng(2), 4, (8, 8), 2, 0.5))
    assert not np.array_equal(joint[0], joint[2])
    assert torch.equal(whole[2:], mask_blocks(images[2:], torch.from_numpy(joint[2:])))
