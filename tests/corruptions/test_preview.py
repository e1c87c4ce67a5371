"""The preview: each cell is the corrupted image, shrunk."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from corruptions import CorruptionError, corrupt, derive_seed
from corruptions.preview import ALL_CELLS, CAPTION, GAP, HEADER, TILE, draw_preview


def test_cells_hold_what_the_copies_hold() -> None:
    image = np.random.default_rng(0).integers(0, 256, (TILE // 4, TILE // 2, 3), dtype=np.uint8)
    told = []
    cells = (("fog", 3), ("contrast", 1), ("contrast", 3))
    page = draw_preview(image, "a/b.png", cells, seed=4, on_progress=lambda *counts: told.append(counts))
    height = TILE // 2
    assert page.shape == (HEADER + 3 * (height + GAP), CAPTION + 2 * (TILE + GAP), 3)
    assert told == [(1, 3), (2, 3), (3, 3)]

    def tile(row: int, column: int) -> np.ndarray:
        top, left = HEADER + row * (height + GAP), CAPTION + column * (TILE + GAP)
        return page[top : top + height, left : left + TILE]

    np.testing.assert_array_equal(tile(0, 0), image.repeat(2, axis=0).repeat(2, axis=1))
    fog = corrupt(image, "fog", 3, derive_seed(4, "a/b.png", "fog", 3), backend="fast")
    np.testing.assert_array_equal(tile(1, 1), fog.repeat(2, axis=0).repeat(2, axis=1))
    assert (tile(1, 0) == 255).all()  # fog at 1 was not asked for
    assert (page[HEADER:, :CAPTION] < 128).any(axis=(1, 2)).sum() > 20  # captions


@pytest.mark.parametrize("shape", [(600, 1200), (1200, 40), (32, 32)])
def test_any_size_fits(shape: tuple[int, int]) -> None:
    image = np.full((*shape, 3), 90, np.uint8)
    page = draw_preview(image, "x", [("brightness", 5)])
    scale = TILE / max(shape)
    small = np.asarray(cv2.resize(image, (round(shape[1] * scale), round(shape[0] * scale))))
    assert (page[HEADER : HEADER + small.shape[0], CAPTION : CAPTION + small.shape[1]] == 90).all()


def test_all_cells_are_all_severities_of_each() -> None:
    assert len(set(ALL_CELLS)) == len(ALL_CELLS) == 5 * (19 + 6)


def test_a_small_image_is_refused() -> None:
    with pytest.raises(CorruptionError, match="corruptions need 32"):
        draw_preview(np.zeros((16, 64, 3), np.uint8), "x", [("fog", 1)])
