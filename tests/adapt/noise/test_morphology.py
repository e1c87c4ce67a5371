"""Masks that are too small or too large: against loops over pixels, and on hand-made labels."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from adapt.noise.morphology import change_mask, change_masks
from adapt.noise.settings import MorphologySettings
from adapt.noise.units import Unit, find_objects, list_classes

CLASSES = ("road", "car", "person", "sky")


def change_naively(mask: np.ndarray, iterations: int, grows: bool) -> np.ndarray:
    """Look at the 3x3 neighbours of each pixel; pixels beyond the border change nothing."""
    height, width = mask.shape
    for _ in range(iterations):
        changed = np.zeros_like(mask)
        for row, column in np.ndindex(mask.shape):
            near = mask[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
            changed[row, column] = near.any() if grows else near.all()
        mask = changed
    assert mask.shape == (height, width)
    return mask


def draw_blob(seed: int, shape: tuple[int, int]) -> np.ndarray:
    generator = np.random.default_rng(seed)
    smooth = cv2.GaussianBlur(generator.random(shape).astype(np.float32), (0, 0), 2.5)
    return smooth > np.quantile(smooth, 0.6)


@pytest.mark.parametrize("grows", [True, False])
@pytest.mark.parametrize(("iterations", "scale"), [(1, 1.0), (2, 1.0), (3, 1.7), (4, 0.6)])
def test_naive_loops_at_the_resized_mask(grows: bool, iterations: int, scale: float) -> None:
    mask = draw_blob(iterations, (34, 45))
    resized = cv2.resize(mask.astype(np.uint8), (round(45 * scale), round(34 * scale)), interpolation=cv2.INTER_CUBIC)
    changed = change_naively(resized > 0, iterations, grows).astype(np.uint8)
    expected = cv2.resize(changed, (45, 34), interpolation=cv2.INTER_CUBIC) > 0
    np.testing.assert_array_equal(change_mask(mask, scale, iterations, grows), expected)


def test_at_its_own_size_a_square_loses_one_pixel_a_side_and_iteration() -> None:
    mask = np.zeros((60, 60), bool)
    mask[10:42, 12:44] = True
    smaller, larger = np.zeros_like(mask), np.zeros_like(mask)
    smaller[13:39, 15:41] = True
    larger[7:45, 9:47] = True
    np.testing.assert_array_equal(change_mask(mask, 1.0, 3, grows=False), smaller)
    np.testing.assert_array_equal(change_mask(mask, 1.0, 3, grows=True), larger)


def test_what_the_image_cuts_off_is_not_eroded_there() -> None:
    mask = np.zeros((30, 30), bool)
    mask[:, :15] = True
    changed = change_mask(mask, 1.0, 2, grows=False)
    assert changed[:, :13].all()
    assert not changed[:, 13:].any()


def noise(label: np.ndarray, seed: int = 0, **settings: object) -> np.ndarray:
    return change_masks(label, MorphologySettings(**settings), CLASSES, np.random.default_rng(seed)).label


def find_seed(grows: bool) -> int:
    """Find a generator that draws this direction for a single mask, by its effect on a disc."""
    y, x = np.mgrid[:80, :80]
    label = ((y - 40) ** 2 + (x - 40) ** 2 <= 318).astype(np.uint8)
    areas = [int((noise(label, seed, rate=1.0, background="road") == 1).sum()) for seed in range(20)]
    return next(seed for seed, area in enumerate(areas) if (area > label.sum()) == grows)


@pytest.mark.parametrize("side", [4, 32, 100])
@pytest.mark.parametrize("grows", [True, False])
def test_large_and_small_masks_change_by_the_same_share(side: int, grows: bool) -> None:
    label = np.zeros((300, 300), np.uint8)
    label[90 : 90 + side, 80 : 80 + side] = 1
    noisy = noise(label, find_seed(grows), rate=1.0, iterations=(3,), background="road")
    # At 1000 pixels a square is 31.6 wide and loses or gains 3 a side; the pixel grid rounds.
    wide = side * (31.6 + (6 if grows else -6)) / 31.6
    assert abs(np.sqrt((noisy == 1).sum()) - wide) <= max(1.6, 0.05 * side)


def test_about_half_of_the_masks_grow_and_iterations_are_drawn() -> None:
    label = np.zeros((80, 80), np.uint8)
    label[24:56, 24:56] = 1
    areas = [int((noise(label, seed, rate=1.0, background="road") == 1).sum()) for seed in range(300)]
    assert 110 < sum(area > 32 * 32 for area in areas) < 190  # 4.6 standard deviations
    sides = {round(np.sqrt(area)) for area in areas}
    assert sides == {32 - 8, 32 - 6, 32 - 4, 32 + 4, 32 + 6, 32 + 8}


def test_resizing_neither_adds_to_what_shrinks_nor_takes_from_what_grows() -> None:
    label = np.zeros((120, 160), np.uint8)
    label[20:100, 20:100] = 1
    label[60, 100:150] = 1  # a line that half the size does not hold
    directions = set()
    for seed in range(10):
        before, after = label == 1, noise(label, seed, rate=1.0, background="road") == 1
        assert (after <= before).all() or (before <= after).all()
        directions.add(bool((after <= before).all()))
    assert directions == {True, False}


def test_a_grown_mask_paints_over_the_background_alone() -> None:
    label = np.zeros((80, 80), np.uint8)
    label[24:56, 24:56] = 1
    label[24:56, 56:] = 2
    for seed in range(10):
        noisy = noise(label, seed, rate=1.0, background="road")
        assert not (noisy[label == 2] == 1).any()
        assert not (noisy[label == 1] == 2).any()
        assert (noisy != label).any()


def test_in_a_street_it_paints_over_its_neighbours_and_loses_to_them() -> None:
    label = np.full((80, 80), 3, np.uint8)
    label[40:] = 0
    label[24:56, 24:56] = 1
    shrunk = grown = 0
    for seed in range(20):
        # One mask of three is hit: where it is the car's, the others only take or give.
        noisy = noise(label, seed, rate=0.3)
        lost, won = (label == 1) & (noisy != 1), (label != 1) & (noisy == 1)
        if lost.any() and not won.any() and (noisy[label != 1] == label[label != 1]).all():
            shrunk += 1
            assert set(noisy[:40][lost[:40]].tolist()) == {3}  # what is beside it, above and below
            assert set(noisy[42:][lost[42:]].tolist()) == {0}
        if won.any() and not lost.any() and (noisy[label == 3] != 0).all() and (noisy[label == 0] != 3).all():
            grown += 1
            assert set(label[won].tolist()) == {0, 3}
    assert shrunk
    assert grown


def test_units_are_the_masks_but_for_the_background(make_street: Callable[[int], np.ndarray]) -> None:
    names = ("road", "building", "car", "person", "sky")
    label = make_street(3)
    generator = np.random.default_rng(0)
    present = len(list_classes(label))
    assert change_masks(label, MorphologySettings(rate=0.5), names, generator).units == present
    with_background = MorphologySettings(rate=1.0, background="road")
    assert change_masks(label, with_background, names, generator).units == present - 1


def draw_squares(number: int) -> np.ndarray:
    """Draw ten squares of a class, far enough apart not to meet, and a pixel of it in each corner."""
    label = np.zeros((300, 400), np.uint8)
    label[0, 0] = label[0, -1] = label[-1, 0] = label[-1, -1] = 1
    places = np.random.default_rng(number).permutation(48)[:10]
    for place, side in zip(places.tolist(), (1, 1, 2, 3, 4, 5, 5, 5, 10, 6), strict=True):
        top, left = 10 + 48 * (place // 8), 10 + 48 * (place % 8)
        label[top : top + side, left : left + side] = 1
    return label


@pytest.mark.parametrize("background", ["road", None])
def test_object_by_object_is_what_the_whole_mask_gives(background: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    labels = [draw_squares(number) for number in range(6)]

    def run() -> list[np.ndarray]:
        # Twice the size, exactly: the grid of the resized pixels lies alike in every window.
        area = 4.0 * int((labels[0] == 1).sum())
        return [noise(label, seed, rate=1.0, background=background, area=area) for seed, label in enumerate(labels)]

    def find(label: np.ndarray, classes: list[int]) -> list[Unit]:
        found.append(find_objects(label, classes))
        return found[-1]

    found: list[list[Unit]] = []
    monkeypatch.setattr("adapt.noise.morphology.find_objects", find)
    wholes = run()
    assert found == []
    monkeypatch.setattr("adapt.noise.morphology._MOST_PIXELS", 1)
    parts = run()
    assert [len(objects) for objects in found] == [14] * 6  # the road's window is enlarged by less, or not at all
    for label, whole, part in zip(labels, wholes, parts, strict=True):
        np.testing.assert_array_equal(part, whole)
        assert (part != label).any()


@pytest.mark.parametrize("count", [2, 30, 400, 900])
@pytest.mark.parametrize("grows", [True, False])
def test_scattered_pixels_cost_no_more_than_a_large_mask(
    count: int, grows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    label = np.zeros((1024, 2048), np.uint8)
    label.flat[np.random.default_rng(count).choice(label.size, count, replace=False)] = 1
    label[0, 0] = label[-1, -1] = 1
    sizes: list[int] = []
    resize = cv2.resize

    def note(pixels: np.ndarray, size: tuple[int, int], **options: int) -> np.ndarray:
        sizes.append(size[0] * size[1])
        assert sum(sizes) <= 4 * label.size
        return resize(pixels, size, **options)

    monkeypatch.setattr("adapt.noise.morphology.cv2.resize", note)
    generator = np.random.default_rng(find_seed(grows))
    noisy = change_masks(label, MorphologySettings(rate=1.0, background="road"), CLASSES, generator)
    assert (noisy.units, noisy.hit) == (1, 1)
    assert sizes
