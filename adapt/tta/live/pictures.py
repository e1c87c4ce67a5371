"""What a viewer sees: classes as colours over the picture, and labelled panels side by side above a legend."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.data.catalog import Color

Pixels = NDArray[np.uint8]

OPACITY = 0.55  # ours: colours are told apart, and edges of the picture still show through

# Ours: text of this size is read on a screen at 480x360, and three panels of a large video fit into 1920 columns.
MIN_PANEL_WIDTH, MAX_SHEET_WIDTH = 320, 1920
_FONT, _TEXT_SCALE, _LINE = cv2.FONT_HERSHEY_SIMPLEX, 0.45, 20
_BAR, _GAP, _PADDING = 26, 6, 8
_INK, _FAINT, _GROUND = (240, 240, 240), (170, 170, 170), (28, 28, 28)


def colour_classes(prediction: Pixels, palette: Sequence[Color]) -> Pixels:
    """Paint every pixel in the colour of its class.

    Args:
        prediction: (H, W) train ids.
        palette: RGB of each class; ids beyond it are black.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    table = np.zeros((256, 3), np.uint8)
    table[: len(palette)] = palette
    return table[prediction]


def overlay_classes(image: Pixels, prediction: Pixels, palette: Sequence[Color]) -> Pixels:
    """Blend a picture with the colours of its classes.

    Args:
        image: (H, W, 3) RGB.
        prediction: (H, W) train ids.
        palette: RGB of each class.

    Returns:
        (H, W, 3) uint8 RGB: OPACITY of the colour, the rest of the picture.
    """
    return np.asarray(cv2.addWeighted(colour_classes(prediction, palette), OPACITY, image, 1 - OPACITY, 0), np.uint8)


class Sheet:
    """Lays panels of one size side by side: a title over each, a line on the frame below, then a legend of the classes.

    Args:
        titles: of the panels, from left to right.
        size: (width, height) of the frames; panels are larger where frames are too small to write on, and smaller where
            the sheet would be wider than a screen.
        classes: names, for the legend.
        palette: RGB of each class.
    """

    def __init__(
        self, titles: Sequence[str], size: tuple[int, int], classes: Sequence[str], palette: Sequence[Color]
    ) -> None:
        width, height = size
        panel_width = min(max(width, MIN_PANEL_WIDTH), (MAX_SHEET_WIDTH - _GAP * (len(titles) - 1)) // len(titles))
        self._panel = (panel_width, max(1, round(height * panel_width / width)))
        sheet_width = panel_width * len(titles) + _GAP * (len(titles) - 1)
        self._legend = _draw_legend(classes, palette, sheet_width)
        self._titles = titles
        # Video codecs want even sides.
        self._width = sheet_width + sheet_width % 2
        sheet_height = _BAR + self._panel[1] + _BAR + len(self._legend)
        self._height = sheet_height + sheet_height % 2

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the sheet; both are even."""
        return self._width, self._height

    def draw(self, panels: Sequence[Pixels], text: str) -> Pixels:
        """Draw one frame.

        Args:
            panels: (H, W, 3) uint8 RGB, as many as there are titles.
            text: the line below them, cut where it is too long.

        Returns:
            (height, width, 3) uint8 RGB.
        """
        sheet = np.full((self._height, self._width, 3), _GROUND, np.uint8)
        panel_width, panel_height = self._panel
        for place, (title, panel) in enumerate(zip(self._titles, panels, strict=True)):
            left = place * (panel_width + _GAP)
            _write(sheet, title, left + _PADDING, _BAR - 8, panel_width - _PADDING, _INK)
            is_smaller = panel_width < panel.shape[1]
            scaled = cv2.resize(panel, self._panel, interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR)
            sheet[_BAR : _BAR + panel_height, left : left + panel_width] = scaled
        below = _BAR + panel_height
        _write(sheet, text, _PADDING, below + _BAR - 8, self._width - 2 * _PADDING, _FAINT)
        sheet[below + _BAR : below + _BAR + len(self._legend), : self._legend.shape[1]] = self._legend
        return sheet


def _draw_legend(classes: Sequence[str], palette: Sequence[Color], width: int) -> Pixels:
    """Draw names beside their colours, in as many lines as they need."""
    places: list[tuple[int, int]] = []
    left, line = _PADDING, 0
    for name in classes:
        needed = 14 + 6 + _measure(name) + 14
        if left + needed > width and left > _PADDING:
            left, line = _PADDING, line + 1
        places.append((left, line))
        left += needed
    legend = np.full((_LINE * (line + 1) + _PADDING, width, 3), _GROUND, np.uint8)
    for name, color, (left, line) in zip(classes, palette, places, strict=True):
        top = line * _LINE + 3
        cv2.rectangle(legend, (left, top), (left + 13, top + 13), color, cv2.FILLED)
        _write(legend, name, left + 20, top + 11, width - left - 20, _INK)
    return legend


def _write(sheet: Pixels, text: str, left: int, baseline: int, width: int, color: Color) -> None:
    """Write a line, cut to a width in pixels; OpenCV's font has ASCII alone."""
    text = text.encode("ascii", "replace").decode()
    if _measure(text) > width:
        while text and _measure(text + "...") > width:
            text = text[:-1]
        text += "..."
    cv2.putText(sheet, text, (left, baseline), _FONT, _TEXT_SCALE, color, 1, cv2.LINE_AA)


def _measure(text: str) -> int:
    return int(cv2.getTextSize(text, _FONT, _TEXT_SCALE, 1)[0][0])
