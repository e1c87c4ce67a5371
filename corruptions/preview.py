"""One picture of what corruptions do to an image: a row for each corruption, a column for each severity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.apply import corrupt
from corruptions.catalog import CORRUPTIONS, SEVERITIES, WEATHER, corruption
from corruptions.protocol import DEFAULT_BACKEND, Cell, ChannelOrder
from corruptions.seeding import derive_seed

ALL_CELLS: tuple[Cell, ...] = tuple((name, severity) for name in (*CORRUPTIONS, *WEATHER) for severity in SEVERITIES)

# pixels; ours, chosen so that 25 x 6 cells of a 2:1 image fit a screen twice as high as wide
TILE = 240  # the longer side of a cell's picture
CAPTION = 216
HEADER = 40
LINE = 26
GAP = 4
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.7
BLACK, GREY = (0, 0, 0), (110, 110, 110)


def draw_preview(
    image: NDArray[np.uint8],
    image_id: str,
    cells: Sequence[Cell] = ALL_CELLS,
    seed: int = 0,
    backend: str = DEFAULT_BACKEND,
    channel_order: ChannelOrder = "RGB",
    on_progress: Callable[[int, int], None] | None = None,
    tile: int = TILE,
) -> NDArray[np.uint8]:
    """Draw an image under many corruptions: at its own size, as its copies on disk are, then resized to fit a grid.

    Args:
        image: (H, W, 3) uint8 RGB, both sides at least 32 pixels.
        image_id: Its id, from which the seeds are derived (`corruptions.image_id`).
        cells: The (corruption, severity) to draw.
        seed: The experiment's seed.
        backend: Implementation of the 19, one of `corruptions.protocol.CHOICES`.
        channel_order: As for `corruptions.corrupt`.
        on_progress: Called with (cells done, cells in all).
        tile: The longer side of a cell's picture, in pixels; that of the image shows every pixel.

    Returns:
        (H', W', 3) uint8 RGB: a header, and a row for each corruption: name, family and whether pixels move, the image
        itself, and a column for each severity.

    Raises:
        CorruptionError: If an argument is not one of those allowed.
    """
    names = list(dict.fromkeys(name for name, _ in cells))
    severities = sorted({severity for _, severity in cells})
    scale = tile / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    row_height = max(height, 3 * LINE) + GAP
    page = np.full(
        (HEADER + row_height * len(names), CAPTION + (width + GAP) * (1 + len(severities)), 3), 255, np.uint8
    )

    def place(picture: NDArray[np.uint8], row: int, column: int) -> None:
        top, left = HEADER + row * row_height, CAPTION + column * (width + GAP)
        page[top : top + height, left : left + width] = _fit(picture, width, height)

    for column, title in enumerate(["clean", *(f"severity {severity}" for severity in severities)]):
        _write(page, title, CAPTION + column * (width + GAP), HEADER // 2)
    for row, name in enumerate(names):
        known = corruption(name)
        middle = HEADER + row * row_height + (row_height - GAP) // 2
        for line, (text, colour) in enumerate(
            ((name, BLACK), (known.family, GREY), ("moves pixels" if known.moves_pixels else "", GREY))
        ):
            _write(page, text, GAP, middle + (line - 1) * LINE, colour)
        place(image, row, 0)
    for done, (name, severity) in enumerate(cells, start=1):
        own_seed = derive_seed(seed, image_id, name, severity)
        picture = corrupt(image, name, severity, own_seed, backend=backend, channel_order=channel_order)
        place(picture, names.index(name), 1 + severities.index(severity))
        if on_progress is not None:
            on_progress(done, len(cells))
    return page


def _fit(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    shrinks = width <= image.shape[1]
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
    )


def _write(page: NDArray[np.uint8], text: str, left: int, middle: int, colour: tuple[int, int, int] = BLACK) -> None:
    cv2.putText(page, text, (left, middle + 7), FONT, FONT_SCALE, colour, 1, cv2.LINE_AA)
