"""Colours, blending, and the sheet of panels."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.tta.live.pictures import OPACITY, Sheet, colour_classes, overlay_classes

PALETTE = ((255, 0, 0), (0, 0, 255))


def test_colours_by_hand() -> None:
    prediction = np.array([[0, 1], [1, 255]], np.uint8)
    assert colour_classes(prediction, PALETTE).tolist() == [[[255, 0, 0], [0, 0, 255]], [[0, 0, 255], [0, 0, 0]]]


def test_an_overlay_is_a_blend() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (5, 7, 3), np.uint8)
    prediction = rng.integers(0, 2, (5, 7)).astype(np.uint8)
    blend = overlay_classes(image, prediction, PALETTE)
    for row in range(5):
        for column in range(7):
            for channel in range(3):
                wanted = (
                    OPACITY * PALETTE[prediction[row, column]][channel] + (1 - OPACITY) * image[row, column, channel]
                )
                assert abs(float(blend[row, column, channel]) - wanted) <= 0.51


@pytest.mark.parametrize(
    ("size", "panels", "panel_width"),
    [((480, 360), 2, 480), ((64, 48), 2, 320), ((1920, 1080), 2, 957), ((1920, 1080), 3, 636), ((333, 111), 3, 333)],
)
def test_the_size_of_a_sheet(size: tuple[int, int], panels: int, panel_width: int) -> None:
    sheet = Sheet(["panel"] * panels, size, ["road", "sky"], PALETTE)
    width, height = sheet.size
    assert (width % 2, height % 2) == (0, 0)
    assert 0 <= width - (panels * panel_width + 6 * (panels - 1)) <= 1
    assert width <= 1920
    drawn = sheet.draw([np.zeros((size[1], size[0], 3), np.uint8)] * panels, "text")
    assert drawn.shape == (height, width, 3)
    assert drawn.dtype == np.uint8


def test_panels_stand_in_their_order_unchanged() -> None:
    sheet = Sheet(["left", "right"], (400, 100), ["road", "sky"], PALETTE)
    left, right = np.full((100, 400, 3), 50, np.uint8), np.full((100, 400, 3), 200, np.uint8)
    drawn = sheet.draw([left, right], "frame 7")
    rows = np.flatnonzero((drawn[:, :400] == 50).all(axis=(1, 2)))
    assert len(rows) == 100
    assert (drawn[rows][:, :400] == 50).all()
    assert (drawn[rows][:, 406:806] == 200).all()
    without = sheet.draw([left, right], "")
    changed = np.flatnonzero((drawn != without).any(axis=(1, 2)))
    assert len(changed)
    assert changed.min() > rows.max(), "the text stands below the panels"


def test_titles_stand_above_and_the_legend_holds_every_colour() -> None:
    palette = tuple((index * 10, 255 - index * 10, 77) for index in range(19))
    sheet = Sheet(["a", "b"], (320, 240), [f"a class of length {index}" for index in range(19)], palette)
    drawn = sheet.draw([np.zeros((240, 320, 3), np.uint8)] * 2, "")
    for color in palette:
        assert ((drawn == color).all(axis=2)).sum() >= 13 * 13
    assert (drawn[:26].max(axis=(1, 2)) > 200).any()


def test_text_that_is_too_long_or_strange_is_cut(capfd) -> None:
    sheet = Sheet(["tïtle " * 99, "b"], (320, 240), ["ein sehr langer Name " * 20, "b"], PALETTE)
    drawn = sheet.draw([np.zeros((240, 320, 3), np.uint8)] * 2, "ä" * 999)
    top = drawn[:26]
    assert (top[:, 322:332] == (28, 28, 28)).all(), "the first title stays over its panel"
