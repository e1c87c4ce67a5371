"""One picture of what corruptions do to an image: a row for each corruption, a column for each severity."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from corruptions.apply import corrupt
from corruptions.catalog import CORRUPTIONS, SEVERITIES, WEATHER
from corruptions.protocol import Cell
from corruptions.seeding import derive_seed

ALL_CELLS: tuple[Cell, ...] = tuple((name, severity) for name in (*CORRUPTIONS, *WEATHER) for severity in SEVERITIES)

# pixels; ours, chosen so that 25 x 5 cells of a 2:1 image fit a screen twice as high as wide
TILE = 240  # the longer side of a cell's picture
CAPTION = 200
HEADER = 32
GAP = 4
FONT, FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.5


def draw_preview(
    image: NDArray[np.uint8],
    image_id: str,
    cells: Sequence[Cell] = ALL_CELLS,
    seed: int = 0,
    backend: str = "fast",
    on_progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.uint8]:
    """Draw an image under many corruptions: at its own size, as its copies on disk are, then shrunk to fit a grid.

    Args:
        image: (H, W, 3) uint8 RGB, both sides at least 32 pixels.
        image_id: Its path relative to the folder of images, from which the seeds are derived.
        cells: The (corruption, severity) to draw.
        seed: The experiment's seed.
        backend: One of `corruptions.apply.BACKENDS`.
        on_progress: Called with (cells done, cells in all).

    Returns:
        (H', W', 3) uint8 RGB: a header, a row with the image itself, and a row for each corruption, each with its caption.

    Raises:
        CorruptionError: If an argument is not one of those allowed.
    """
    names = list(dict.fromkeys(name for name, _ in cells))
    severities = sorted({severity for _, severity in cells})
    scale = TILE / max(image.shape[:2])
    height, width = (max(1, round(side * scale)) for side in image.shape[:2])
    row_height = max(height, HEADER) + GAP
    page = np.full(
        (HEADER + row_height * (len(names) + 1), CAPTION + (width + GAP) * len(severities), 3), 255, np.uint8
    )

    def place(tile: NDArray[np.uint8], row: int, column: int) -> None:
        top, left = HEADER + row * row_height, CAPTION + column * (width + GAP)
        page[top : top + height, left : left + width] = _fit(tile, width, height)

    for column, severity in enumerate(severities):
        _write(page, f"severity {severity}", CAPTION + column * (width + GAP), HEADER // 2)
    for row, caption in enumerate(["no corruption", *names]):
        _write(page, caption, GAP, HEADER + row * row_height + height // 2)
    place(image, 0, 0)
    for done, (name, severity) in enumerate(cells, start=1):
        tile = corrupt(image, name, severity, derive_seed(seed, image_id, name, severity), backend=backend)
        place(tile, 1 + names.index(name), severities.index(severity))
        if on_progress is not None:
            on_progress(done, len(cells))
    return page


def _fit(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    shrinks = width <= image.shape[1]
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)
    )


def _write(page: NDArray[np.uint8], text: str, left: int, middle: int) -> None:
    cv2.putText(page, text, (left, middle + 5), FONT, FONT_SCALE, (0, 0, 0), 1, cv2.LINE_AA)
