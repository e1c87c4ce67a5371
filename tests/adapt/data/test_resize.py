"""One factor for both sides, by hand and against mmcv."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from adapt.data.resize import resize_image, resize_label


@pytest.mark.parametrize(
    ("own", "size", "expected"), [((191, 105), (128, 72), (128, 70)), ((20, 40), (20, 10), (5, 10))]
)
def test_sizes_by_hand(own: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert resize_image(np.zeros((own[1], own[0], 3), np.uint8), size).shape == (expected[1], expected[0], 3)
    assert resize_label(np.zeros((own[1], own[0]), np.uint8), size).shape == (expected[1], expected[0])


def test_pixels_by_hand() -> None:
    # Halved: bilinear takes the mean of the two middle pixels of four; nearest takes every second one.
    row = np.array([[0, 10, 20, 30], [0, 10, 20, 30]], np.uint8)
    image = np.stack([row, row + 100, row + 200], axis=-1)
    assert resize_image(image, (2, 5)).tolist() == [[[5, 105, 205], [25, 125, 225]]]
    assert resize_label(np.array([[0, 255, 3, 4], [0, 255, 3, 4]], np.uint8), (2, 5)).tolist() == [[0, 3]]


def test_equals_mmcvs_keep_ratio() -> None:
    mmcv = importlib.import_module("mmcv")
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (105, 191, 3), dtype=np.uint8)
    label = generator.integers(0, 256, (105, 191), dtype=np.uint8)
    for size in ((128, 72), (300, 200), (100, 40)):
        assert np.array_equal(resize_image(image, size), mmcv.imrescale(image, size))
        assert np.array_equal(resize_label(label, size), mmcv.imrescale(label, size, interpolation="nearest"))


def test_nothing_is_done_where_nothing_is_asked() -> None:
    image = np.zeros((4, 6, 3), np.uint8)
    assert resize_image(image, None) is image
    assert resize_image(image, (6, 5)) is image
