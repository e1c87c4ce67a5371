"""The pictures of curves and labels: sizes, and colours where one can say what they must be."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from adapt.correction.curve import Curve
from adapt.correction.detection import Verdict
from adapt.correction.figures import (
    BOTTOM,
    CHANGED,
    COLUMNS,
    HEADER,
    LEFT,
    MENDED,
    MISSED,
    PANEL_HEIGHT,
    PANEL_WIDTH,
    RIGHT,
    SPOILED,
    TOP,
    draw_curves,
    draw_panels,
    mark_changes,
)

CLASSES = ("road", "sky", "a $class_", "car", "tree")
PALETTE = ((128, 64, 128), (70, 130, 180), (0, 200, 0), (200, 0, 0), (0, 0, 200))
EPOCHS = np.linspace(0, 10, 21)


def make_verdict(
    index: int, curve: Curve | None = None, update: int | None = None, at: int | None = None, reason: str | None = None
) -> Verdict:
    return Verdict(index, curve, update, at is not None, at, reason)


def draw(iou: NDArray[np.float64], verdict: Verdict) -> NDArray[np.uint8]:
    """The picture of one class."""
    return draw_curves(EPOCHS, iou[:, None], [verdict], CLASSES[:1], PALETTE)


def find_pixel(epoch: float, iou: float, last: float = 10.0, index: int = 0) -> tuple[int, int]:
    """Row and column of a point in the axes of a panel."""
    row, column = HEADER + index // COLUMNS * PANEL_HEIGHT, index % COLUMNS * PANEL_WIDTH
    across, down = epoch / last * (PANEL_WIDTH - LEFT - RIGHT), (1 - iou) * (PANEL_HEIGHT - TOP - BOTTOM)
    return int(row + TOP + down), int(column + LEFT + across)


def is_marked(picture: NDArray[np.uint8], epoch: float) -> bool:
    """Whether a red dashed line stands at an epoch."""
    top, column = find_pixel(epoch, 0.97)
    bottom, _ = find_pixel(epoch, 0.6)
    strip = picture[top:bottom, column - 1 : column + 2].astype(int)
    return bool((strip[..., 0] - strip[..., 1:].max(axis=-1) > 60).any())


@pytest.mark.parametrize(("count", "columns", "rows"), [(1, 1, 1), (3, 3, 1), (4, 4, 1), (5, 4, 2)])
def test_the_size_depends_on_the_classes_alone(count: int, columns: int, rows: int) -> None:
    picture = draw_curves(
        EPOCHS, np.zeros((21, count)), [make_verdict(i) for i in range(count)], CLASSES[:count], PALETTE
    )
    assert picture.shape == (HEADER + rows * PANEL_HEIGHT, columns * PANEL_WIDTH, 3)
    assert picture.dtype == np.uint8


def test_points_have_the_colour_of_their_class_and_their_place() -> None:
    iou = np.full((21, 5), np.nan)
    iou[10] = 0.5, 0.25, 0.75, 0.1, 0.9
    picture = draw_curves(EPOCHS, iou, [make_verdict(index) for index in range(5)], CLASSES, PALETTE)
    for index in range(5):
        assert tuple(picture[find_pixel(5, iou[10, index], index=index)]) == PALETTE[index]
        assert tuple(picture[find_pixel(5, iou[10, index] - 0.07, index=index)]) == (255, 255, 255)


def test_points_at_the_edge_are_whole() -> None:
    iou = np.full(21, np.nan)
    iou[10] = 1.0
    row, column = find_pixel(5, 1.0)
    assert tuple(draw(iou, make_verdict(0))[row - 2, column]) == PALETTE[0]


def test_the_fitted_curve_is_drawn() -> None:
    curve = Curve(0.8, 1.0, 2.0)
    nothing = np.full(21, np.nan)
    picture, without = draw(nothing, make_verdict(0, curve)), draw(nothing, make_verdict(0))
    for epoch in (1.0, 3.0, 7.0):
        row, column = find_pixel(epoch, float(curve(epoch)))
        assert picture[row - 1 : row + 2, column].min() < 100
        assert without[row - 1 : row + 2, column].min() == 255
        assert picture[row + 8, column].min() == 255


def test_a_line_stands_at_the_update_epoch() -> None:
    iou = np.full(21, np.nan)
    curve = Curve(0.4, 1.0, 2.0)
    marked = draw(iou, make_verdict(0, curve, 6, 6))
    assert [epoch for epoch in range(1, 11) if is_marked(marked, epoch)] == [6]
    assert [epoch for epoch in range(1, 11) if is_marked(draw(iou, make_verdict(0)), epoch)] == []
    # At the very end it is whole; beyond the end it waits.
    assert is_marked(draw(iou, make_verdict(0, curve, 10, None, "epoch 9 is before epoch 10")), 10)
    pair = [
        draw_curves(
            EPOCHS, np.full((21, 2), np.nan), [make_verdict(0, curve, update), make_verdict(1)], CLASSES, PALETTE
        )
        for update in (None, 11)  # 11: beyond the axes, between the two panels
    ]
    assert np.array_equal(*pair)
    # A class that has triggered makes room for its line.
    assert is_marked(draw(iou, make_verdict(0, curve, 16, 16)), 10)  # the right end


def test_what_became_of_a_class_stands_above_its_panel() -> None:
    iou = np.full(21, np.nan)
    texts = [
        draw(iou, make_verdict(0, reason=reason))[HEADER : HEADER + TOP - 8]
        for reason in (None, "one reason", "another reason", "a long reason " * 40)
    ]
    for index, text in enumerate(texts):
        assert all(not np.array_equal(text, other) for other in texts[:index])
    # Epoch 6, counted from 0, ends when seven have passed.
    said, triggered = draw(iou, make_verdict(0, reason="triggered after 7 epochs")), draw(iou, make_verdict(0, at=6))
    assert np.array_equal(said, triggered)
    # The longest reason stays on its panel.
    wide = draw_curves(
        EPOCHS,
        np.full((21, 2), np.nan),
        [make_verdict(0, reason="a long reason " * 40), make_verdict(1)],
        CLASSES[:2],
        PALETTE,
    )
    gap = wide[HEADER : HEADER + TOP - 8, PANEL_WIDTH - 6 : PANEL_WIDTH + LEFT - 16]
    assert (gap == 255).all()


def test_no_points_and_what_is_not_finite_are_drawn_empty() -> None:
    empty = draw_curves(np.empty(0), np.empty((0, 1)), [make_verdict(0, reason="none yet")], CLASSES[:1], PALETTE)
    nothing = [draw(np.full(21, value), make_verdict(0, reason="none yet")) for value in (np.nan, np.inf, -np.inf)]
    for picture in (empty, *nothing):
        assert not (picture == PALETTE[0]).all(axis=-1).any()
        top, left = find_pixel(0.3, 0.97)
        bottom, right = find_pixel(9.7, 0.03)
        assert (picture[top:bottom, left:right] == 255).all()


def test_changes_by_hand() -> None:
    image = np.full((2, 4, 3), 90, np.uint8)
    noisy = np.array([[0, 1, 2, 3], [0, 1, 2, 255]], np.uint8)
    corrected = np.array([[0, 2, 3, 3], [0, 1, 3, 0]], np.uint8)
    clean = np.array([[0, 2, 1, 3], [1, 255, 255, 0]], np.uint8)
    dark = (30, 30, 30)
    picture, text = mark_changes(image, noisy, corrected, clean)
    wanted = [[dark, MENDED, SPOILED, dark], [MISSED, dark, CHANGED, MENDED]]
    assert [[tuple(pixel) for pixel in row] for row in picture.tolist()] == wanted
    assert text == "4 pixels changed (50.0 %); blue: right now 2, red: wrong now 1, yellow: wrong and left alone 1"

    picture, text = mark_changes(image, noisy, corrected, None)
    wanted = [[dark, CHANGED, CHANGED, dark], [dark, dark, CHANGED, CHANGED]]
    assert [[tuple(pixel) for pixel in row] for row in picture.tolist()] == wanted
    assert text == "4 pixels changed (50.0 %), white"


@pytest.mark.parametrize(
    ("with_clean", "with_prediction"), [(False, False), (True, False), (False, True), (True, True)]
)
def test_panels_stand_side_by_side(with_clean: bool, with_prediction: bool) -> None:
    image = np.full((100, 320, 3), 90, np.uint8)
    noisy, corrected, clean, prediction = (np.full((100, 320), index, np.uint8) for index in (0, 1, 2, 3))
    picture = draw_panels(
        image,
        noisy,
        corrected,
        clean if with_clean else None,
        prediction if with_prediction else None,
        CLASSES,
        PALETTE,
    )
    wanted = [(90, 90, 90), PALETTE[0], PALETTE[1], SPOILED if with_clean else CHANGED]
    wanted += [PALETTE[2]] * with_clean + [PALETTE[3]] * with_prediction
    assert picture.dtype == np.uint8
    left, width = 0, (picture.shape[1] - 6 * (len(wanted) - 1)) // len(wanted)
    for color in wanted:
        assert tuple(picture[60, left + width // 2].tolist()) == color
        left += width + 6


def test_inputs_are_left_alone() -> None:
    arrays = [np.full((20, 30, 3), 90, np.uint8), *(np.full((20, 30), index, np.uint8) for index in range(4))]
    copies = [array.copy() for array in arrays]
    draw_panels(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4], CLASSES, PALETTE)
    assert all(np.array_equal(a, b) for a, b in zip(arrays, copies, strict=True))
