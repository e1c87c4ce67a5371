"""Masks known at cells only."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from adapt.noise.noisy_label import NoisyLabel
from adapt.noise.settings import WeakSettings
from adapt.noise.weak import coarsen_masks, find_owners

Read = Callable[[str], np.ndarray]
CLASSES = ("road", "building", "car", "person", "sky")


def coarsen(label: np.ndarray, seed: int = 0, **settings: object) -> NoisyLabel:
    return coarsen_masks(label, WeakSettings(**settings), CLASSES, np.random.default_rng(seed))


@pytest.mark.parametrize(("cell", "threshold"), [(8, 0.35), (7, 0.5), (200, 0.2), (3, 0.9)])
def test_owners_against_a_loop(cell: int, threshold: float, make_street: Callable[[int], np.ndarray]) -> None:
    for number in range(3):
        label = make_street(number)
        expected = np.full_like(label, 255)
        for top in range(0, 64, cell):
            for left in range(0, 96, cell):
                part = label[top : top + cell, left : left + cell]
                inside = part[part != 255]
                shares = [(inside == c).mean() if inside.size else 0.0 for c in range(5)]
                best = int(np.argmax(shares))
                if shares[best] > threshold:
                    expected[top : top + cell, left : left + cell] = best
        np.testing.assert_array_equal(find_owners(label, list(range(5)), cell, threshold), expected)


def test_masks_become_cells(read: Read) -> None:
    label = read("""
        00000222
        00002222
        00022222
        .0222222
    """)
    noisy = coarsen(label, rate=1.0, cell=4, threshold=0.35)
    np.testing.assert_array_equal(noisy.label, read("00002222 00002222 00002222 .0002222"))
    assert (noisy.units, noisy.hit) == (2, 2)


def test_a_tie_is_the_lower_ids_and_the_threshold_must_be_passed(read: Read) -> None:
    np.testing.assert_array_equal(find_owners(read("22 33"), [2, 3], 2, 0.4), read("22 22"))
    np.testing.assert_array_equal(find_owners(read("22 33"), [2, 3], 2, 0.5), read(".. .."))
    np.testing.assert_array_equal(find_owners(read("2. .."), [2, 3], 2, 0.5), read("22 22"))  # of what is labelled


def test_a_background_does_not_contend_and_takes_what_is_left(read: Read) -> None:
    label = read("0000 0022 0020 3000")
    noisy = coarsen(label, rate=1.0, cell=2, threshold=0.35, background="road")
    # Upper right: 2 of 4 pixels. Lower right: 1 of 4; lower left: the same for class 3.
    np.testing.assert_array_equal(noisy.label, read("0022 0022 0000 0000"))


def test_classes_that_are_not_hit_keep_what_no_cell_covers(read: Read) -> None:
    label = read("0002 0022 0444 4444")
    for seed in range(12):
        noisy = coarsen(label, seed, rate=1 / 3, cell=2)
        assert noisy.hit == 1
        changed = noisy.label != label
        assert set(label[changed].tolist()) <= {0, 2}  # the sky owns all of its cells but for one pixel of road
        np.testing.assert_array_equal(noisy.label[3], label[3])
