"""Labels to put noise on: hand-written ones, and street-like random ones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from adapt.noise.settings import (
    BoundarySettings,
    DropSettings,
    FlipSettings,
    MorphologySettings,
    NoiseSettings,
    WeakSettings,
)

CLASSES = ("road", "building", "car", "person", "sky")


@pytest.fixture(scope="session")
def classes() -> tuple[str, ...]:
    return CLASSES


@pytest.fixture(scope="session")
def read() -> Callable[[str], np.ndarray]:
    """Read a label from text: a digit a pixel, `.` for ignored."""

    def parse(text: str) -> np.ndarray:
        rows = text.split()
        return np.array([[255 if pixel == "." else int(pixel) for pixel in row] for row in rows], np.uint8)

    return parse


@pytest.fixture(scope="session")
def make_street() -> Callable[[int], np.ndarray]:
    """Draw a 64x96 label: sky, building and road with cars, persons and ignored specks, by a number."""

    def make(number: int) -> np.ndarray:
        generator = np.random.default_rng(number)
        label = np.zeros((64, 96), np.uint8)
        label[:40] = 1
        label[: generator.integers(8, 30), generator.integers(0, 60) :] = 4
        for class_id, count in ((2, 6), (3, 9), (255, 4)):
            for _ in range(generator.integers(1, count)):
                top, left = generator.integers(0, 56), generator.integers(0, 90)
                height, width = generator.integers(2, 12, size=2)
                label[top : top + height, left : left + width] = class_id
        return label

    return make


def list_settings(**shared: object) -> list[NoiseSettings]:
    """List every model in each of its forms."""
    return [
        MorphologySettings(**shared),
        FlipSettings(**shared),
        FlipSettings(unit="pixel", **shared),
        FlipSettings(
            target="pair", pairs={"car": "person", "person": "car", "sky": "building", "road": "sky"}, **shared
        ),
        BoundarySettings(distance=3, **shared),
        BoundarySettings(style="shift", distance=3, **shared),
        DropSettings(max_share=0.2, **shared),
        WeakSettings(cell=8, **shared),
    ]


@pytest.fixture(scope="session")
def every_model() -> Callable[..., list[NoiseSettings]]:
    return list_settings
