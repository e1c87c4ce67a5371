"""Masked images, against a loop over pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from adapt.uda.masking import draw_block_mask, mask_blocks


@pytest.mark.parametrize(("size", "block"), [((8, 12), 4), ((10, 7), 4), ((3, 5), 8), ((4, 4), 1)])
def test_masked_images_equal_a_loop_over_pixels(size: tuple[int, int], block: int) -> None:
    height, width = size
    # One number for each block, images first, then rows, then columns.
    generator = np.random.default_rng(5)
    rows, columns = (height + block - 1) // block, (width + block - 1) // block
    numbers = [[[generator.random() for _ in range(columns)] for _ in range(rows)] for _ in range(2)]
    images = torch.rand(2, 3, height, width) + 1.0
    before = images.clone()

    keep = draw_block_mask(np.random.default_rng(5), 2, size, block, 0.4)
    masked = mask_blocks(images, torch.from_numpy(keep), block)

    assert keep.shape == (2, 1, rows, columns)
    assert keep.dtype == np.bool_
    assert masked.dtype == torch.float32
    assert torch.equal(images, before)
    for n in range(2):
        for y in range(height):
            for x in range(width):
                stays = numbers[n][y // block][x // block] > 0.4
                assert torch.equal(masked[n, :, y, x], images[n, :, y, x] if stays else torch.zeros(3))


def test_ratio_is_the_share_of_hidden_blocks() -> None:
    keep = draw_block_mask(np.random.default_rng(0), 4, (64, 64), 1, 0.7)

    assert keep.mean() == pytest.approx(0.3, abs=0.015)


def test_joint_draw_gives_each_worker_its_own_blocks_and_repeats() -> None:
    joint = draw_block_mask(np.random.default_rng(2), 4, (8, 8), 2, 0.5)
    images = torch.rand(4, 3, 8, 8)

    whole = mask_blocks(images, torch.from_numpy(joint), 2)

    assert np.array_equal(joint, draw_block_mask(np.random.default_rng(2), 4, (8, 8), 2, 0.5))
    assert not np.array_equal(joint[0], joint[2])
    assert torch.equal(whole[2:], mask_blocks(images[2:], torch.from_numpy(joint[2:]), 2))
