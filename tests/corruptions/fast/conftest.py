"""Images of streets, as far as numpy can draw them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def street(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A bright flat sky, a graded road, houses, poles and signs with sharp edges, and texture on some of it."""
    generator = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width]
    depth = np.clip(2 * y / height - 1, 0, 1)[..., np.newaxis]
    picture = 90 + depth * np.array([40, 30, 20]) + (x / width * 20)[..., np.newaxis]
    picture[: height // 3] = (255, 250, 240)
    for _ in range(6):
        left, top = generator.integers(0, width * 3 // 4), generator.integers(0, height // 2)
        house = slice(top, height // 2 + height // 8), slice(left, left + width // 5)
        picture[house] = generator.integers(0, 256, 3)
        picture[house] *= 0.8 + 0.2 * ((x[house] // 4 + y[house] // 3) % 2)[..., np.newaxis]  # windows
    for _ in range(3):
        left = generator.integers(0, width - 2)
        picture[height // 6 : -height // 6, left : left + max(1, width // 80)] = (10, 0, 20)
    sign = (y - height // 4) ** 2 + (x - width // 2) ** 2 < (height // 9) ** 2
    picture[sign] = (220, 10, 30)
    textured = generator.random((height, width, 1)) < 0.8 * (y > height // 3)[..., np.newaxis]
    picture += textured * generator.normal(0, 7, (height, width, 3))
    return np.clip(picture, 0, 255).astype(np.uint8)
