"""Crop and flip, against slices worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.training.augment import augment, draw_crop, draw_view
from adapt.training.settings import AugmentSettings


@pytest.fixture
def image() -> np.ndarray:
    return np.arange(20 * 30 * 3, dtype=np.uint32).reshape(20, 30, 3).astype(np.uint8)


def make_code(height: int, width: int) -> np.ndarray:
    """An image whose first two channels are row and column."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8)


def test_crop_and_flip_move_image_and_label_alike() -> None:
    image = make_code(20, 30)
    label = (image[..., 0] + image[..., 1]).astype(np.uint8)
    seen = set()
    for seed in range(200):
        crop, crop_label = augment(image, label, AugmentSettings(crop=(8, 6)), np.random.default_rng(seed))
        assert crop.shape == (6, 8, 3)
        assert crop_label is not None
        assert np.array_equal(crop_label, crop[..., 0] + crop[..., 1])
        columns = crop[0, :, 1].astype(int)
        flipped = columns[0] > columns[-1]
        assert np.array_equal(np.diff(columns), np.full(7, -1 if flipped else 1))
        seen.add((int(crop[0, 0, 0]), int(columns.min()), bool(flipped)))
    assert {top for top, _, _ in seen} == set(range(15))
    assert {left for _, left, _ in seen} == set(range(23))
    assert 70 < sum(
        augment(image, None, AugmentSettings(crop=None), np.random.default_rng(seed))[0][0, 0, 1] == 29
        for seed in range(200)
    ) < 130  # fmt: skip


def test_without_label_there_is_none() -> None:
    crop, label = augment(make_code(20, 30), None, AugmentSettings(crop=(8, 6), flip=0), np.random.default_rng(0))

    assert label is None
    assert crop.shape == (6, 8, 3)


def test_a_view_cuts_whatever_lies_on_the_image() -> None:
    image, label = make_code(20, 30), make_code(20, 30)[..., 1]
    settings = AugmentSettings(crop=(8, 6))
    for seed in range(20):
        view = draw_view(image, label, settings, np.random.default_rng(seed))
        crop, crop_label = augment(image, label, settings, np.random.default_rng(seed))
        assert crop_label is not None
        assert np.array_equal(view.cut(image), crop)
        assert np.array_equal(view.cut(label), crop_label)


def test_image_smaller_than_crop_is_left_for_padding() -> None:
    image = make_code(4, 30)

    crop, _ = augment(image, None, AugmentSettings(crop=(8, 6), flip=0), np.random.default_rng(0))

    assert crop.shape == (4, 8, 3)


def find_share(label: np.ndarray) -> float:
    """Largest share of one class among labelled pixels, by counting one by one; 1 where there is one class only."""
    counts: dict[int, int] = {}
    for value in label.ravel().tolist():
        if value != 255:
            counts[value] = counts.get(value, 0) + 1
    return 1.0 if len(counts) < 2 else max(counts.values()) / sum(counts.values())


def test_dominated_crops_are_redrawn() -> None:
    label = np.zeros((20, 30), np.uint8)
    label[:, 12:14] = 1  # most boxes hold class 0 alone
    label[:8] = 255
    image = make_code(20, 30)
    accepted = [
        find_share(label[draw_crop(image, label, (4, 4), 0.75, np.random.default_rng(seed))]) < 0.75
        for seed in range(100)
    ]
    free = [
        find_share(label[draw_crop(image, label, (4, 4), 1.0, np.random.default_rng(seed))]) < 0.75
        for seed in range(100)
    ]

    assert sum(free) < 20
    assert sum(accepted) > 45


def test_a_crop_that_cannot_be_mended_is_taken_after_ten_redraws() -> None:
    class Counting:
        draws = 0

        def integers(self, low: int, high: int) -> int:
            self.draws += 1
            return low

    generator = Counting()
    draw_crop(make_code(20, 30), np.zeros((20, 30), np.uint8), (4, 4), 0.75, generator)  # type: ignore[arg-type]

    assert generator.draws == 2 * 11  # two numbers a box: the first box and ten more
