"""Objects and pixels of another class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from adapt.noise.flip import flip_classes
from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.settings import FlipSettings
from adapt.noise.units import find_objects

Read = Callable[[str], np.ndarray]
CLASSES = ("road", "building", "car", "person", "sky")


def flip(label: np.ndarray, seed: int = 0, classes: tuple[str, ...] = CLASSES, **settings: object) -> NoisyLabel:
    return flip_classes(label, FlipSettings(**settings), classes, np.random.default_rng(seed))


def test_objects_change_as_a_whole(make_street: Callable[[int], np.ndarray]) -> None:
    label = make_street(1)
    noisy = flip(label, rate=0.5)
    objects = find_objects(label, range(5)) if set(range(5)) <= set(label.flat) else []
    assert objects
    changed = 0
    for unit in objects:
        (value,) = set(noisy.label[unit.window][unit.mask].tolist())
        changed += value != unit.class_id
    assert (noisy.units, noisy.hit) == (len(objects), changed)


def test_pairs_by_hand(read: Read) -> None:
    label = read("0022.44")
    noisy = flip(label, rate=1.0, target="pair", pairs={"car": "person", "sky": "building"})
    np.testing.assert_array_equal(noisy.label, read("0033.11"))
    assert (noisy.units, noisy.hit) == (2, 2)
    by_pixel = flip(label, rate=1.0, target="pair", pairs={"road": "sky"}, unit="pixel")
    np.testing.assert_array_equal(by_pixel.label, read("4422.44"))
    assert by_pixel.units == 2


def test_a_pair_of_a_class_that_is_not_there(read: Read) -> None:
    label = read("0044")
    for unit in ("object", "pixel"):
        noisy = flip(label, rate=1.0, target="pair", pairs={"car": "person"}, unit=unit)
        assert (noisy.units, noisy.hit) == (0, 0)
        np.testing.assert_array_equal(noisy.label, label)


def test_symmetric_targets_are_even_and_never_the_own_class() -> None:
    label = np.full((100, 100), 2, np.uint8)
    noisy = flip(label, rate=0.4, unit="pixel").label
    counts = np.bincount(noisy.ravel(), minlength=5)
    assert counts[2] == 6000
    np.testing.assert_allclose(counts[[0, 1, 3, 4]], 1000, atol=130)  # 4.7 standard deviations


def test_one_class_has_nothing_to_flip_to(read: Read) -> None:
    for unit in ("object", "pixel"):
        noisy = flip(read("00.0"), rate=1.0, unit=unit, classes=("road",))
        assert noisy.units == 0
        np.testing.assert_array_equal(noisy.label, read("00.0"))
