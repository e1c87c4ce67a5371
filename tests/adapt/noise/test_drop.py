"""Objects that nobody labelled."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adapt.noise.drop import drop_objects
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.settings import DropSettings

Read = Callable[[str], np.ndarray]
CLASSES = ("road", "building", "car", "person", "sky")

STREET = """
    444444444444
    444444444444
    444422244444
    000022200000
    000000000330
    000000000330
"""


def drop(label: np.ndarray, seed: int = 0, **settings: object) -> NoisyLabel:
    return drop_objects(label, DropSettings(**settings), CLASSES, np.random.default_rng(seed))


def test_all_small_objects_go(read: Read) -> None:
    noisy = drop(read(STREET), rate=1.0, max_share=0.1)
    assert (noisy.units, noisy.hit) == (2, 2)
    expected = read(STREET)
    expected[2, 4:7] = 4
    expected[3, 4:7] = 0
    expected[4:, 9:11] = 0
    np.testing.assert_array_equal(noisy.label, expected)


def test_the_share_is_of_the_image(read: Read) -> None:
    assert drop(read(STREET), rate=1.0, max_share=5 / 72).units == 1  # the person's 4 pixels
    assert drop(read(STREET), rate=1.0, max_share=6 / 72).units == 2
    assert drop(read(STREET), rate=1.0, max_share=1.0).units == 4


def test_the_background_takes_them(read: Read) -> None:
    noisy = drop(read(STREET), rate=1.0, max_share=0.1, background="building")
    assert noisy.units == 2
    expected = read(STREET)
    expected[expected == 2] = 1
    expected[expected == 3] = 1
    np.testing.assert_array_equal(noisy.label, expected)


def test_objects_of_a_class_are_dropped_one_by_one(read: Read) -> None:
    label = read("0022000220002200 0000000000000000")
    hits = set()
    for seed in range(20):
        noisy = drop(label, seed, rate=1 / 3, max_share=0.2)
        assert (noisy.units, noisy.hit) == (3, 1)  # the road is larger
        assert (noisy.label == 2).sum() == 4  # no neighbour of its own class fills it
        hits.add(int(np.flatnonzero(noisy.label != label)[0]))
    assert hits == {2, 7, 12}


def test_where_nothing_else_is_left_the_label_stays(read: Read) -> None:
    label = read("0022")
    noisy = drop(label, rate=1.0, max_share=1.0)
    assert noisy.hit == 2
    np.testing.assert_array_equal(noisy.label, label)
