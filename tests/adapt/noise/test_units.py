"""Masks, objects, and which of them are hit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from adapt.noise.units import Unit, choose_units, find_masks, find_objects, list_classes, list_replaceable, widen

Read = Callable[[str], np.ndarray]


def paint(units: list[Unit], shape: tuple[int, ...]) -> np.ndarray:
    """Number the pixels of units from 1 on; 0 elsewhere."""
    numbers = np.zeros(shape, int)
    for number, unit in enumerate(units, start=1):
        assert unit.mask.any(axis=0).all() or unit.mask.any(axis=1).all()
        assert not numbers[unit.window][unit.mask].any()
        numbers[unit.window][unit.mask] = number
    return numbers


def test_classes_of_a_label(read: Read) -> None:
    label = read("0.3 3.0")
    assert list_classes(label) == [0, 3]
    assert list_replaceable(label, None) == [0, 3]
    assert list_replaceable(label, 3) == [0]
    assert list_replaceable(label, 1) == [0, 3]
    assert list_replaceable(read("3. ..."[:2]), None) == []  # one class: nothing else to become
    assert list_replaceable(read("3."), 0) == [3]


def test_corners_connect_and_ignored_pixels_part(read: Read) -> None:
    label = read("""
        2000
        0200
        00.2
        2.02
    """)
    objects = find_objects(label, [0, 2])
    np.testing.assert_array_equal(
        paint(objects, label.shape),
        read("""
            2111
            1211
            1103
            4013
        """),
    )
    assert [unit.class_id for unit in objects] == [0, 2, 2, 2]
    assert [unit.window for unit in objects[1:]] == [
        (slice(0, 2), slice(0, 2)),
        (slice(2, 4), slice(3, 4)),
        (slice(3, 4), slice(0, 1)),
    ]
    np.testing.assert_array_equal(paint(find_masks(label, [2]), label.shape), label == 2)


def test_objects_are_those_of_scipy(make_street: Callable[[int], np.ndarray]) -> None:
    for number in range(20):
        label = make_street(number)
        objects = find_objects(label, list_classes(label))
        expected = 0
        for class_id in list_classes(label):
            regions, count = ndimage.label(label == class_id, np.ones((3, 3)))
            for region in range(1, count + 1):  # scipy numbers in reading order
                unit = objects[expected]
                expected += 1
                np.testing.assert_array_equal(paint([unit], label.shape) > 0, regions == region)
                assert unit.class_id == class_id
        assert len(objects) == expected


def test_a_window_is_widened_as_far_as_the_label_reaches() -> None:
    unit = Unit(3, (slice(1, 2), slice(4, 6)), np.array([[True, False]]))
    wide = widen(unit, 2, (9, 7))
    assert wide.window == (slice(0, 4), slice(2, 7))
    np.testing.assert_array_equal(np.argwhere(wide.mask), [[1, 2]])


@given(count=st.integers(0, 60), rate=st.floats(0, 1), seed=st.integers(0, 2**32))
def test_each_image_hits_floor_or_ceil_of_its_share(count: int, rate: float, seed: int) -> None:
    hit = choose_units(count, rate, np.random.default_rng(seed))
    assert len(set(hit.tolist())) == len(hit)
    assert set(hit.tolist()) <= set(range(count))
    assert abs(len(hit) - rate * count) < 1 + 1e-9
    assert rate < 1 or len(hit) == count


def test_every_unit_is_hit_as_often() -> None:
    draws = [choose_units(7, 0.3, np.random.default_rng(seed)) for seed in range(4000)]
    shares = np.bincount(np.concatenate(draws), minlength=7) / len(draws)
    np.testing.assert_allclose(shares, 0.3, atol=0.03)  # 4 standard deviations of 4000 independent draws
    pairs = sum({0, 1} <= set(hit.tolist()) for hit in draws) / len(draws)
    assert 0.02 < pairs < 0.09  # 2 of 7 or 3 of 7: neighbours are hit together as seldom as any two
    assert {len(hit) for hit in draws} == {2, 3}


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_none_and_all(rate: float) -> None:
    for seed in range(50):
        assert len(choose_units(13, rate, np.random.default_rng(seed))) == 13 * rate
