"""What is an image, and what the error says of what is none."""

from __future__ import annotations

import doctest
import re
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import corruptions.image
from corruptions import CorruptionError, corrupt
from corruptions.image import to_rgb

COLOURED = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
OPAQUE = np.dstack([COLOURED, np.full((40, 50), 255, np.uint8)])


def test_rgb_is_itself() -> None:
    assert np.shares_memory(to_rgb(COLOURED), COLOURED)
    np.testing.assert_array_equal(to_rgb(COLOURED), COLOURED)


@pytest.mark.parametrize("grey", [COLOURED[..., 0], COLOURED[..., :1]], ids=["plain", "with a channel"])
@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_grey_is_repeated(grey: NDArray[np.uint8], backend: str) -> None:
    repeated = np.dstack([COLOURED[..., 0]] * 3)
    np.testing.assert_array_equal(to_rgb(grey), repeated)
    np.testing.assert_array_equal(
        corrupt(grey, "snow", 2, 0, backend=backend), corrupt(repeated, "snow", 2, 0, backend=backend)
    )


@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_an_opaque_alpha_is_left_out(backend: str) -> None:
    np.testing.assert_array_equal(to_rgb(OPAQUE), COLOURED)
    result = corrupt(OPAQUE, "frost", 2, 0, backend=backend)
    np.testing.assert_array_equal(result, corrupt(COLOURED, "frost", 2, 0, backend=backend))
    assert result.shape == (40, 50, 3)


def with_alpha(value: int) -> NDArray[np.uint8]:
    image = OPAQUE.copy()
    image[3, 4, 3] = value
    return image


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (with_alpha(254), r"a\.png is RGBA and not opaque \(alpha from 254 to 255\): lay it on a background"),
        (COLOURED[..., :2], r"a\.png has shape \(40, 50, 2\) and dtype uint8"),
        (COLOURED[np.newaxis], r"a\.png has shape \(1, 40, 50, 3\)"),
        (np.zeros(40, np.uint8), r"a\.png has shape \(40,\)"),
        (
            COLOURED / 255,
            r"dtype float64 with values from 0\.0 to 1\.0, .*: convert it to 8 bits, so that 1 becomes 255$",
        ),
        (
            COLOURED.astype(np.float32),
            r"dtype float32 with values from 0\.0 to 255\.0, .* with the values that it has$",
        ),
        (COLOURED / 128 - 1, r"dtype float64 with values from -1\.0 to .* undo its normalisation"),
        (np.where(COLOURED > 0, COLOURED / 255, np.nan), "values from nan to nan, .* not finite"),
        (
            COLOURED.astype(np.uint16) * 257,
            r"dtype uint16 with values from 0 to 65535, .* white \(65535, .* becomes 255$",
        ),
        (COLOURED.astype(np.int64), "dtype int64 with values from 0 to 255, .* with the values that it has$"),
        (COLOURED > 100, "dtype bool .* so that true becomes 255$"),
        (COLOURED * 1e6, "dtype float64 .* so that its white becomes 255$"),
        (COLOURED.tolist(), r"^a\.png is a list, but corruptions take a numpy array$"),
        (None, r"^a\.png is a NoneType"),
        (COLOURED.astype(object), r"a\.png has dtype object, but corruptions take uint8"),
        (COLOURED.astype(str), r"a\.png has dtype <U\d+, but"),
        (COLOURED.astype(complex), r"a\.png has dtype complex128, but"),
        (np.zeros((31, 400, 3), np.uint8), r"a\.png is 400x31 pixels, but corruptions need 32 on each side"),
        (np.zeros((400, 31), np.float32), r"a\.png is 31x400 pixels"),
        (np.zeros((0, 0, 3), np.float32), r"a\.png is 0x0 pixels"),
    ],
)
def test_other_images_are_refused_with_a_remedy(image: NDArray[Any], message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        corrupt(image, "fog", 1, seed=0, origin="a.png")


@pytest.mark.parametrize(
    ("image", "code"),
    [
        (with_alpha(0), "image[..., :3]"),
        (COLOURED / 255, "(image * 255).round().astype(numpy.uint8)"),
        (COLOURED.astype(np.float32), "image.round().astype(numpy.uint8)"),
        (COLOURED.astype(np.uint16) * 257, "(image / 257).round().astype(numpy.uint8)"),
        (COLOURED > 100, "image.astype(numpy.uint8) * 255"),
    ],
)
def test_who_holds_an_array_is_told_the_line_of_python_that_helps(image: NDArray[Any], code: str) -> None:
    with pytest.raises(CorruptionError, match=f": {re.escape(code)}$"):
        corrupt(image, "fog", 1, seed=0)
    corrupt(eval(code, {"image": image, "numpy": np}), "fog", 1, seed=0)
    with pytest.raises(CorruptionError) as caught:
        corrupt(image, "fog", 1, seed=0, origin="'a.png'")
    assert "image" not in str(caught.value)
    assert "numpy" not in str(caught.value)


def test_doctests() -> None:
    results = doctest.testmod(corruptions.image)
    assert results.attempted
    assert not results.failed
