"""What becomes of units that are painted anew, and of the pixels that they leave."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from adapt.noise.repaint import Redrawn, repaint, take_nearest
from adapt.noise.units import Unit, find_masks

Read = Callable[[str], np.ndarray]


def redraw(label: np.ndarray, class_id: int, after: np.ndarray) -> Redrawn:
    """Give a class's mask another shape, in the window of the whole label."""
    window = (slice(0, label.shape[0]), slice(0, label.shape[1]))
    return Redrawn(Unit(class_id, window, label == class_id), after.astype(bool))


def test_lost_pixels_fall_to_the_nearest_other_class(read: Read) -> None:
    label = read("0222224 0222224 .222224")
    result = repaint(label, [redraw(label, 2, np.zeros((3, 7)))], None)
    np.testing.assert_array_equal(result[:2, [1, 2, 4, 5]], [[0, 0, 4, 4]] * 2)
    np.testing.assert_array_equal(result[:, [0, 6]], label[:, [0, 6]])


def test_lost_pixels_fall_to_the_background(read: Read) -> None:
    label = read("0222224")
    result = repaint(label, [redraw(label, 2, read("0011000"))], background=1)
    np.testing.assert_array_equal(result, read("0122114"))


def test_what_loses_its_class_gives_none_on(read: Read) -> None:
    label = read("0233333")  # 2 is nearest to the lost 3, but is lost itself
    nothing = np.zeros(label.shape)
    result = repaint(label, [redraw(label, 2, nothing), redraw(label, 3, nothing)], None)
    np.testing.assert_array_equal(result, read("0000000"))


def test_a_pixel_keeps_its_class_where_no_other_is_left(read: Read) -> None:
    label = read("22.33")
    nothing = np.zeros(label.shape)
    np.testing.assert_array_equal(repaint(label, [redraw(label, 2, nothing), redraw(label, 3, nothing)], None), label)


def test_the_later_unit_lies_on_top(read: Read) -> None:
    label = read("0022.3300")
    wide_2, wide_3 = read("011111100"), read("000111110")
    over = [redraw(label, 2, wide_2), redraw(label, 3, wide_3)]
    np.testing.assert_array_equal(repaint(label, over, None), read("0223.3330"))
    np.testing.assert_array_equal(repaint(label, over[::-1], None), read("0222.2230"))


def test_only_the_background_is_painted_over(read: Read) -> None:
    label = read("00224.300")
    result = repaint(label, [redraw(label, 2, read("111111111"))], background=0)
    np.testing.assert_array_equal(result, read("22224.322"))


def test_the_label_is_left_alone(read: Read) -> None:
    label = read("0022")
    label.flags.writeable = False
    result = repaint(label, [], None)
    assert result is not label
    np.testing.assert_array_equal(result, label)


@pytest.mark.parametrize("seed", range(5))
def test_nearest_is_nearest(seed: int) -> None:
    generator = np.random.default_rng(seed)
    label = generator.integers(0, 5, (23, 31)).astype(np.uint8)
    sources = generator.random(label.shape) < 0.03
    sources[generator.integers(23), generator.integers(31)] = True
    places = np.argwhere(sources)
    found = take_nearest(label, sources)
    for row, column in np.ndindex(label.shape):
        distances = np.hypot(*(places - (row, column)).T)
        # OpenCV's distances are within a few percent: any source that is about as near will do.
        near = places[distances <= 1.05 * distances.min()]
        assert found[row, column] in label[tuple(near.T)]


def test_a_single_source_reaches_everywhere() -> None:
    label = np.full((40, 300), 7, np.uint8)
    label[39, 299] = 3
    assert (take_nearest(label, label == 3) == 3).all()
    assert find_masks(label, [3])[0].mask.shape == (1, 1)
