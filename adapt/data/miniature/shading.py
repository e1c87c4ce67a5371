"""Shading: a canvas and a look give an RGB picture and its label map."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.data.miniature.canvas import SIDE, TOP, Canvas
from adapt.data.miniature.look import Look
from adapt.data.miniature.part import GLOWING_PARTS, GROUND_PARTS, PARTS
from adapt.data.miniature.scene import Scene
from adapt.data.miniature.weather import ADD_WEATHER, Air

Map = NDArray[np.float32]

SUPERSAMPLING: Final = 2
"""Canvas pixels per picture pixel and axis."""

SKY_DEPTH: Final = 400.0
"""Depth in metres that the sky counts as."""

_TEXTURE_SIZE: Final = 256
_TEXELS_PER_M: Final = 14.0
_GROUND: Final = np.array([part in GROUND_PARTS for part in PARTS])
_GLOWING: Final = np.array([part in GLOWING_PARTS for part in PARTS])
_WINDOW: Final = PARTS.index("window")
_SKY: Final = PARTS.index("sky")


def shade_scene(
    canvas: Canvas, scene: Scene, look: Look, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Shade a drawn scene.

    Args:
        canvas: The drawing, `SUPERSAMPLING` times as large as the picture.
        scene: The scene it shows.
        look: Colours, light and camera.
        rng: Source of exposure, noise and weather.

    Returns:
        The picture (H, W, 3) uint8 RGB and the label map (H, W) uint8 of trainIds, 255 for void.
    """
    parts = np.asarray(canvas.parts)
    height, width = canvas.height // SUPERSAMPLING, canvas.width // SUPERSAMPLING
    corner = SUPERSAMPLING // 2
    index = canvas.index[corner::SUPERSAMPLING, corner::SUPERSAMPLING]
    label = np.asarray(canvas.classes, np.uint8)[index]

    colours = _surface_colours(canvas, look)
    image = cv2.resize(colours.take(canvas.index, axis=0), (width, height), interpolation=cv2.INTER_AREA)
    depth, x, y = _positions(canvas, index)
    image *= _texture(canvas, index, look, (x, y, depth))[..., None]
    ground = _GROUND[parts][index]
    if look.sun < 1 and scene.light:
        image *= _sunlight(scene, look, ground, depth + scene.view.z, x)[..., None]
    image = _brighten_sky(image, (parts == _SKY)[index], canvas.horizon / SUPERSAMPLING)
    if look.haze > 0:
        clear = np.exp(-look.haze * np.minimum(depth, 160.0))[..., None]
        haze = np.array(look.haze_colour, np.float32) / 255
        image = image * clear + haze * (1 - clear)
    if look.weather != "clear":
        glow = _glow(canvas, colours, (width, height)) if look.weather == "night" else np.zeros_like(image)
        air = Air(image, depth, ground.astype(np.float32), glow, canvas.horizon / SUPERSAMPLING)
        image = ADD_WEATHER[look.weather](air, rng)
    return _expose(image, look, rng), label


def _surface_colours(canvas: Canvas, look: Look) -> NDArray[np.float32]:
    """Return the (S, 3) colour of each surface in [0, 1]."""
    offsets, table = _palette_table(look)
    parts = np.asarray(canvas.parts)
    tones = np.asarray(canvas.tones, np.float32)
    counts = offsets[parts + 1] - offsets[parts]
    colours = table[offsets[parts] + np.minimum((tones[:, 0] * counts).astype(np.int64), counts - 1)]
    bright = 1 + look.jitter * (2 * tones[:, 1] - 1)
    bright *= np.asarray(look.faces, np.float32)[np.asarray(canvas.faces)]
    tint = look.tint * (2 * tones[:, 2:] - 1) * np.array([[1.0, 0.0, -1.0]], np.float32)
    return np.asarray(colours * bright[:, None] * (1 + tint), np.float32)


def _palette_table(look: Look) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return the palette as one (C, 3) table with the offset of each part."""
    rows = [look.palette[part] for part in PARTS]
    offsets = np.cumsum([0, *(len(row) for row in rows)], dtype=np.int64)
    return offsets, np.array([colour for row in rows for colour in row], np.float32) / np.float32(255)


def _positions(canvas: Canvas, index: NDArray[np.uint16]) -> tuple[Map, Map, Map]:
    """Return depth, world x and world height of each pixel of the picture, in metres."""
    planes = np.asarray(canvas.planes, np.float32)
    corner = SUPERSAMPLING // 2
    columns = np.arange(corner, canvas.width, SUPERSAMPLING, dtype=np.float32)[None]
    rows = np.arange(corner, canvas.height, SUPERSAMPLING, dtype=np.float32)[:, None]
    inverse = planes[:, 0][index] * columns + planes[:, 1][index] * rows + planes[:, 2][index]
    depth = 1.0 / np.clip(inverse, 1.0 / SKY_DEPTH, 1.0)
    scale = depth / np.float32(canvas.focal)
    x = (columns - np.float32(canvas.centre)) * scale + np.float32(canvas.view.x)
    y = np.float32(canvas.view.height) - (rows - np.float32(canvas.horizon)) * scale
    return depth, x, y


@lru_cache(maxsize=1)
def _texture_table() -> NDArray[np.float32]:
    """Return a tileable (256, 256) noise of zero mean and unit spread, fine and coarse octaves together."""
    rng = np.random.default_rng(1729)
    total = np.zeros((_TEXTURE_SIZE, _TEXTURE_SIZE), np.float32)
    for cells, weight in ((256, 0.5), (64, 0.6), (16, 0.6)):
        octave = rng.standard_normal((cells, cells)).astype(np.float32)
        total += weight * cv2.resize(octave, (_TEXTURE_SIZE, _TEXTURE_SIZE), interpolation=cv2.INTER_LINEAR)
    return (total - total.mean()) / total.std()


def _texture(canvas: Canvas, index: NDArray[np.uint16], look: Look, position: tuple[Map, Map, Map]) -> Map:
    """Return the (H, W) factor of a texture that is fixed to the world, fading with distance."""
    x, y, depth = position
    plain = look.texture.get("", 0.0)
    amplitude = np.array(
        [0.1 * plain if part == "sky" else look.texture.get(part, plain) for part in PARTS], np.float32
    )
    strength = amplitude[np.asarray(canvas.parts)][index] / (1 + depth / 60)
    z = depth + np.float32(canvas.view.z)
    face = np.asarray(canvas.faces)[index]
    u = (np.where(face == SIDE, z, x) * _TEXELS_PER_M).astype(np.int32) & (_TEXTURE_SIZE - 1)
    v = (np.where(face == TOP, z, y) * _TEXELS_PER_M).astype(np.int32) & (_TEXTURE_SIZE - 1)
    return 1 + strength * _texture_table()[v, u]


def _sunlight(scene: Scene, look: Look, ground: NDArray[np.bool_], z: Map, x: Map) -> Map:
    """Return the (H, W) brightness under the shadows that one side's buildings throw across the street."""
    segment = np.floor(z / 7.0)
    reach = scene.street.half_width * (0.15 + 0.7 * np.abs(np.sin(segment * 12.9898 + scene.sky[0] * 9)))
    in_shadow = ground & (x * scene.light > reach)
    return np.where(in_shadow, np.float32(look.sun), np.float32(1.0))


def _brighten_sky(image: Map, is_sky: NDArray[np.bool_], horizon: float) -> Map:
    """Whiten the sky towards the horizon."""
    rows = np.clip(np.arange(image.shape[0], dtype=np.float32) / max(horizon, 1.0), 0, 1) ** 2
    blend = np.where(is_sky, np.float32(0.36) * rows[:, None], np.float32(0))[..., None]
    return image + (1 - image) * blend


def _glow(canvas: Canvas, colours: Map, size: tuple[int, int]) -> Map:
    """Return the (H, W, 3) light of the lamps and of the windows that are lit at night."""
    parts, tones = np.asarray(canvas.parts), np.asarray(canvas.tones, np.float32)
    level = np.where(_GLOWING[parts], 1.0, 0.0) + np.where((parts == _WINDOW) & (tones[:, 0] > 0.9), 0.35, 0.0)
    warm = np.clip(colours, 0.1, 1) * np.array([1.0, 0.85, 0.6]) * level[:, None]
    return cv2.resize(warm.astype(np.float32).take(canvas.index, axis=0), size, interpolation=cv2.INTER_AREA)


def _expose(image: NDArray[np.float32], look: Look, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Apply lens, sensor and tone curve; return uint8 RGB."""
    height, width = image.shape[:2]
    exposure = 1 + look.gain * float(rng.uniform(-1, 1))
    balance = np.array(look.cast, np.float32) * (1 + 0.25 * look.gain * rng.uniform(-1, 1, 3).astype(np.float32))
    image = image * (exposure * balance).astype(np.float32)
    if look.blur > 0:
        image = cv2.GaussianBlur(image, (0, 0), look.blur * width / 192)
    if look.vignette > 0:
        rows = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
        columns = np.linspace(-1, 1, width, dtype=np.float32)[None]
        image = image * (1 - look.vignette * 0.5 * (rows**2 + columns**2))[..., None]
    grey = image.mean(axis=2, keepdims=True)
    image = grey + (image - grey) * np.float32(look.saturation)
    image = np.clip((image - 0.5) * np.float32(look.contrast) + 0.5, 0, 1).astype(np.float32, copy=False)
    if look.gamma != 1:
        image = cv2.pow(image, look.gamma)
    if look.noise > 0:
        noise = rng.standard_normal(image.shape, dtype=np.float32)
        noise *= look.noise * (0.6 + 0.8 * np.sqrt(image))  # the photons' share grows with the light
        image = image + noise
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
