"""The preview: each cell is the corrupted image, shrunk."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from corruptions import CORRUPTIONS, WEATHER, CorruptionError, corrupt, derive_seed
from corruptions.preview import ALL_CELLS, CAPTION, GAP, HEADER, LINE, TILE, draw_preview


def test_cells_hold_what_the_copies_hold() -> None:
    image = np.random.default_rng(0).integers(0, 256, (TILE // 4, TILE // 2, 3), dtype=np.uint8)
    told = []
    cells = (("fog", 3), ("contrast", 1), ("contrast", 3))
    page = draw_preview(image, "a/b.png", cells, seed=4, on_progress=lambda *counts: told.append(counts))
    height = TILE // 2
    assert page.shape == (HEADER + 2 * (height + GAP), CAPTION + 3 * (TILE + GAP), 3)
    assert told == [(1, 3), (2, 3), (3, 3)]

    def tile(row: int, column: int) -> np.ndarray:
        top, left = HEADER + row * (height + GAP), CAPTION + column * (TILE + GAP)
        return page[top : top + height, left : left + TILE]

    for row in (0, 1):
        np.testing.assert_array_equal(tile(row, 0), image.repeat(2, axis=0).repeat(2, axis=1))
    fog = corrupt(image, "fog", 3, derive_seed(4, "a/b.png", "fog", 3), backend="fast")
    np.testing.assert_array_equal(tile(0, 2), fog.repeat(2, axis=0).repeat(2, axis=1))
    assert (tile(0, 1) == 255).all()  # fog at 1 was not asked for
    assert (page[HEADER:, :CAPTION] < 128).any(axis=(1, 2)).sum() > 20  # captions


def test_a_tile_of_the_image_s_size_shows_every_pixel() -> None:
    image = np.random.default_rng(0).integers(0, 256, (64, 100, 3), dtype=np.uint8)
    page = draw_preview(image, "x", [("glass_blur", 2)], tile=100)
    expected = corrupt(image, "glass_blur", 2, derive_seed(0, "x", "glass_blur", 2))
    np.testing.assert_array_equal(page[HEADER : HEADER + 64, CAPTION : CAPTION + 100], image)
    np.testing.assert_array_equal(page[HEADER : HEADER + 64, CAPTION + 104 : CAPTION + 204], expected)


@pytest.mark.parametrize("name", [max((*CORRUPTIONS, *WEATHER), key=len), "elastic_transform"])
def test_captions_stay_beside_the_pictures(name: str) -> None:
    page = draw_preview(np.full((32, 400, 3), 90, np.uint8), "x", [(name, 1), ("fog", 1)])
    ink = (page[HEADER:, :CAPTION] < 200).any(axis=(1, 2))
    assert (page[:, CAPTION - GAP : CAPTION] == 255).all()
    assert not ink[3 * LINE : 3 * LINE + GAP].any()  # between the rows
    assert ink[: 3 * LINE].sum() > 20


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
