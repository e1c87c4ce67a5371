"""Objects that are moved, or drawn with few corners."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from adapt.noise.boundary import redraw_outlines, shift_mask, simplify_mask
from adapt.noise.settings import BoundarySettings
from adapt.noise.units import find_objects, list_classes

CLASSES = ("road", "building", "car", "person", "sky")


def redraw(label: np.ndarray, seed: int = 0, **settings: object) -> np.ndarray:
    return redraw_outlines(label, BoundarySettings(**settings), CLASSES, np.random.default_rng(seed)).label


@pytest.mark.parametrize("offset", [(0, 0), (2, -1), (-3, 4), (9, 9)])
def test_a_shift_against_a_loop(offset: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((7, 8)) < 0.5
    expected = np.zeros_like(mask)
    for row, column in np.ndindex(mask.shape):
        source = row - offset[0], column - offset[1]
        if 0 <= source[0] < 7 and 0 <= source[1] < 8:
            expected[row, column] = mask[source]
    np.testing.assert_array_equal(shift_mask(mask, offset), expected)


def test_an_object_moves_by_the_distance_in_any_direction() -> None:
    label = np.zeros((50, 50), np.uint8)
    label[20:30, 22:28] = 2
    angles = []
    for seed in range(40):
        noisy = redraw(label, seed, rate=1.0, style="shift", distance=6, background="road")
        rows, columns = np.nonzero(noisy == 2)
        assert len(rows) == 60
        down, right = rows.mean() - 24.5, columns.mean() - 24.5
        assert abs(math.hypot(down, right) - 6) < 0.75  # whole pixels
        angles.append(math.atan2(down, right))
    assert len({round(2 * angle / math.pi) % 4 for angle in angles}) == 4


def test_what_a_shift_uncovers_takes_the_nearest_other_class() -> None:
    label = np.full((40, 40), 4, np.uint8)
    label[20:] = 0
    label[12:28, 12:28] = 2
    seen = set()
    for seed in range(40):
        noisy = redraw(label, seed, rate=0.3, style="shift", distance=5)
        if (noisy != label)[:5].any() or (noisy != label)[-5:].any() or (noisy == 2).sum() != 256:
            continue  # the sky or the road was hit
        uncovered = (label == 2) & (noisy != 2)
        for row, column in np.argwhere(uncovered):
            if abs(row - 19.5) > 5:
                assert noisy[row, column] == (4 if row < 20 else 0)
                seen.add(int(noisy[row, column]))
    assert seen == {0, 4}


def test_no_distance_leaves_objects_as_they_are(make_street: Callable[[int], np.ndarray]) -> None:
    for number in range(10):
        label = make_street(number)
        for unit in find_objects(label, list_classes(label)):
            np.testing.assert_array_equal(simplify_mask(unit.mask, 0.0), unit.mask)


def test_a_disc_becomes_a_polygon_within_the_distance() -> None:
    y, x = np.mgrid[:61, :61]
    disc = (y - 30) ** 2 + (x - 30) ** 2 <= 28**2
    simple = simplify_mask(disc, 4.0)
    changed = simple != disc
    assert changed.sum() > 100
    outline = disc & ~ndimage.binary_erosion(disc)
    assert ndimage.distance_transform_edt(~outline)[changed].max() <= 4.0 + 1
    assert simplify_mask(disc, 8.0).sum() < simple.sum() < simplify_mask(disc, 1.5).sum() < disc.sum()


def test_a_notch_is_closed_and_a_hole_stays() -> None:
    mask = np.ones((30, 40), bool)
    mask[:3, 18:21] = False  # a notch in the outline: 3 deep
    mask[12:18, 10:16] = False  # a car in front of the road
    expected = mask.copy()
    expected[:3, 18:21] = True
    np.testing.assert_array_equal(simplify_mask(mask, 5.0), expected)


def test_thin_and_tiny_objects() -> None:
    for mask in (np.ones((1, 1), bool), np.ones((1, 9), bool), np.ones((12, 2), bool), np.eye(6, dtype=bool)):
        simple = simplify_mask(mask, 8.0)
        assert simple.shape == mask.shape
        assert simple.any()


def test_a_polygon_paints_over_the_background_alone() -> None:
    label = np.zeros((40, 40), np.uint8)
    y, x = np.mgrid[:40, :40]
    label[(y - 20) ** 2 + (x - 20) ** 2 <= 200] = 2
    label[:20, 20:][label[:20, 20:] == 0] = 4
    noisy = redraw(label, rate=1.0, distance=5, background="road")
    assert (noisy != label).any()
    assert not ((noisy == 2) & (label == 4)).any()
    assert set(noisy[(noisy != label) & (label == 2)].tolist()) <= {0, 4}
