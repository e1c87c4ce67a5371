"""What weather and night add to a picture; labels never change."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Air:
    """What a weather works on, all at the picture's size.

    Attributes:
        image: (H, W, 3) float32 RGB in [0, 1].
        depth: (H, W) float32 metres.
        ground: (H, W) float32 share of ground surface in [0, 1].
        glow: (H, W, 3) float32 RGB light of the glowing parts, black elsewhere.
        horizon: Row of the horizon.
    """

    image: Image
    depth: Image
    ground: Image
    glow: Image
    horizon: float


NIGHT_LEVEL: Final = 0.24
"""Brightness that night leaves of the day; ours."""


def add_night(air: Air, rng: np.random.Generator) -> Image:
    """Darken to a bluish night, light the road ahead and let lamps glow."""
    width = air.depth.shape[1]
    tint = np.array([0.85, 0.92, 1.25], np.float32)
    dark = np.power(air.image, 1.15) * tint * np.float32(NIGHT_LEVEL * rng.uniform(0.8, 1.3))
    columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
    beam = np.exp(-((columns / 0.55) ** 2)) * np.exp(-((air.depth - 7.0) ** 2) / 160.0)
    street = 0.28 * np.exp(-air.depth / 45.0) * (0.4 + 0.6 * air.ground)
    lit = dark + air.image * (0.42 * beam + street)[..., None] * np.array([1.0, 0.88, 0.66], np.float32)
    scale = width / 192
    halo = cv2.GaussianBlur(air.glow, (0, 0), 1.6 * scale) * 1.1 + cv2.GaussianBlur(air.glow, (0, 0), 6.0 * scale) * 1.4
    return lit + air.glow * 0.9 + halo


def add_rain(air: Air, rng: np.random.Generator) -> Image:
    """Mirror the scene in wet ground, flatten the contrast, and draw streaks and drops on the lens."""
    height, width = air.depth.shape
    row = int(np.clip(round(air.horizon), 1, height - 1))
    mirror = air.image.copy()
    count = min(row, height - row)
    mirror[row : row + count] = air.image[row - count : row][::-1]
    scale = width / 192
    mirror = cv2.GaussianBlur(mirror, (0, 0), sigmaX=0.6 * scale, sigmaY=2.5 * scale)
    wet = (0.42 * air.ground * np.clip(air.depth / 14.0, 0.35, 1.0))[..., None]
    image = air.image * (1 - 0.22 * air.ground[..., None]) * (1 - wet) + mirror * wet
    image = (image - 0.5) * 0.85 + 0.46
    streaks = np.zeros((height, width), np.float32)
    slant = rng.uniform(-0.25, 0.25)
    for x, y, length in rng.random((int(90 * scale), 3)):
        extent = (0.04 + 0.09 * length) * height
        start = (int(x * width), int(y * height))
        end = (int(start[0] + slant * extent), int(start[1] + extent))
        cv2.line(streaks, start, end, 0.25 + 0.5 * length, 1, cv2.LINE_AA)
    streaks = cv2.GaussianBlur(streaks, (0, 0), 0.5)
    image = image + (0.8 - image) * 0.55 * streaks[..., None]
    blurred = cv2.GaussianBlur(image, (0, 0), 2.5 * scale)
    lens = np.zeros((height, width), np.float32)
    for x, y, size in rng.random((7, 3)):
        cv2.circle(lens, (int(x * width), int(y * height)), max(int((1.5 + 4 * size) * scale), 1), 1.0, -1, cv2.LINE_AA)
    return image + (blurred * 1.05 - image) * (0.8 * lens)[..., None]


def add_snow(air: Air, rng: np.random.Generator) -> Image:
    """Let flakes fall, near ones large and soft; the snow that lies is in the look's palette."""
    height, width = air.depth.shape
    scale = width / 192
    far, near = np.zeros((height, width), np.float32), np.zeros((height, width), np.float32)
    for x, y, level in rng.random((int(170 * scale), 3)):
        far[int(y * height), int(x * width)] = 0.4 + 0.6 * level
    for x, y, size in rng.random((int(16 + 10 * scale), 3)):
        radius = max(round((0.6 + 1.2 * size) * scale), 1)
        cv2.circle(near, (int(x * width), int(y * height)), radius, 0.8, -1, cv2.LINE_AA)
    if scale > 1.5:
        far = cv2.GaussianBlur(far, (0, 0), 0.35 * scale) * 2.5
    flakes = np.clip(far + cv2.GaussianBlur(near, (0, 0), 0.6 * scale), 0, 1) * 0.75
    return air.image + (np.float32(0.96) - air.image) * flakes[..., None]


def add_fog(air: Air, rng: np.random.Generator) -> Image:
    """Let banks of denser fog drift through the haze that the look already has."""
    height, width = air.depth.shape
    banks = cv2.resize(rng.random((4, 6), dtype=np.float32), (width, height), interpolation=cv2.INTER_CUBIC)
    veil = np.clip(banks, 0, 1) * 0.22 * np.clip(air.depth / 40.0, 0, 1)
    return air.image + (np.float32(0.8) - air.image) * veil[..., None]


ADD_WEATHER: Final[dict[str, Callable[[Air, np.random.Generator], Image]]] = {
    "fog": add_fog,
    "night": add_night,
    "rain": add_rain,
    "snow": add_snow,
}
