"""The six operations of weather, from albumentations' transforms (Buslaev et al., Information 2020, arXiv:1809.06839).

What has a shape (drops, flakes, fog, flare) albumentations draws on a small black canvas, and the layer is enlarged and
screened over the image: its own transforms count in pixels, so that the same settings are another weather at another
resolution, and its fog would copy a 1024x2048 image a thousand times. A new transform with a generator of its own serves
each call: nothing is shared between threads.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import albumentations
import cv2
import numpy as np
from numpy.typing import NDArray

# image, the constants of one severity, seed -> a new image
Operation = Callable[[NDArray[np.uint8], tuple[float, ...], int], NDArray[np.uint8]]

CANVAS_HEIGHT = 512  # pixels of the canvas of drops and flakes, for an image twice as wide as high
FLARE_HEIGHT = 256  # albumentations blurs a flare with a sigma of 15 pixels, whatever its size
FOG_CANVAS = (128, 256)  # always of this shape: in images more than 3 times as wide as high it would draw no fog
FOG_SIGMA = 4  # pixels of that canvas; hides the rims of the disks of which the fog is made
MINIMUM_SIDE = 32  # pixels of a canvas
DENSITIES = ("drizzle", "default", "heavy", "torrential")  # 1/4, 1/3, 1 and 2 drops for each row of the canvas


def weather_rain(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Draw slanting drops (`RandomRain`) and darken.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Index of the density, length of a drop as share of the height, brightness that stays.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    density, length, brightness = constants
    height, width = _fit_canvas(image, CANVAS_HEIGHT)
    rain = albumentations.RandomRain(
        slant_range=(-10, 10),
        drop_length=max(1, int(height * length)),
        blur_value=3,
        brightness_coefficient=1.0,
        rain_type=DENSITIES[int(density)],
        p=1.0,
    )
    rainy = _screen(image, _apply(rain, np.zeros((height, width, 3), np.uint8), seed))
    return cv2.LUT(rainy, np.rint(np.arange(256) * brightness).astype(np.uint8))


def weather_fog(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Lay an even haze and patches of fog (`RandomFog`, densest in the middle) over the image.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Opacity of the haze, opacity of one disk of fog.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    haze, opacity = constants
    fog = albumentations.RandomFog(alpha_coef=opacity, fog_coef_range=(1.0, 1.0), p=1.0)
    canvas = np.full((*FOG_CANVAS, 3), round(255 * haze), np.uint8)
    return _screen(image, cv2.GaussianBlur(_apply(fog, canvas, seed), (0, 0), FOG_SIGMA))


def weather_snow(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Whiten what is dark, as lying snow does (`RandomSnow`, bleach), and draw flakes (`RandomRain` with short, thick drops).

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Lightness up to which pixels whiten (0: 85, 1: 212), their factor, index of the flakes' density, their
            width in pixels of the canvas.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    point, factor, density, flake = constants
    height, width = _fit_canvas(image, CANVAS_HEIGHT)
    lying = albumentations.RandomSnow(brightness_coeff=factor, snow_point_range=(point, point), method="bleach", p=1.0)
    falling = albumentations.RandomRain(
        slant_range=(-2, 2),
        drop_length=int(flake) + 1,
        drop_width=int(flake),
        drop_color=(255, 255, 255),
        blur_value=2,
        brightness_coefficient=1.0,
        rain_type=DENSITIES[int(density)],
        p=1.0,
    )
    flakes = _apply(falling, np.zeros((height, width, 3), np.uint8), seed)
    return _screen(_apply(lying, image, seed), flakes)


def weather_sun_flare(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Put the sun into the upper half, with its streaks and ghosts (`RandomSunFlare`, physics based).

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Radius of the sun as share of the height, level of its white in [0, 1], veiling glare in [0, 1].
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    radius, level, glare = constants
    height, width = _fit_canvas(image, FLARE_HEIGHT)
    white = round(255 * level)
    flare = albumentations.RandomSunFlare(
        flare_roi=(0.0, 0.0, 1.0, 0.5),
        src_radius=max(2, round(height * radius)),
        src_color=(white, white, white),
        method="physics_based",
        p=1.0,
    )
    return _screen(image, _apply(flare, np.full((height, width, 3), round(255 * glare), np.uint8), seed))


def weather_shadow(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Cast shadows with hard edges on the lower two thirds (`RandomShadow`); where two meet they multiply.

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: Number of shadows, share of the light that each takes.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    count, intensity = constants
    shadow = albumentations.RandomShadow(
        shadow_roi=(0.0, 1 / 3, 1.0, 1.0),
        num_shadows_limit=(int(count), int(count)),
        shadow_intensity_range=(intensity, intensity),
        p=1.0,
    )
    return _apply(shadow, image, seed)


def weather_night(image: NDArray[np.uint8], constants: tuple[float, ...], seed: int) -> NDArray[np.uint8]:
    """Darken by a gamma curve (`RandomGamma`), then add the noise of few photons (`ShotNoise`, in linear light).

    Args:
        image: (H, W, 3) uint8 RGB, contiguous.
        constants: gamma, above 1 is darker; white in units of one photon is 1 / the second.
        seed: In [0, 2**32).

    Returns:
        (H, W, 3) uint8 RGB.
    """
    gamma, grain = constants
    dark = albumentations.RandomGamma(gamma_limit=(100 * gamma, 100 * gamma), p=1.0)
    noise = albumentations.ShotNoise(scale_range=(grain, grain), p=1.0)
    return _apply(noise, _apply(dark, image, seed), seed)


def _apply(transform: Any, image: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    transform.set_random_seed(seed)
    return np.asarray(transform(image=image)["image"])


def _fit_canvas(image: NDArray[np.uint8], height: int) -> tuple[int, int]:
    """Return the sides of a canvas of the image's aspect ratio and always the same area: that of `height` by its double."""
    factor = height * math.sqrt(2 / (image.shape[0] * image.shape[1]))
    return max(MINIMUM_SIDE, round(image.shape[0] * factor)), max(MINIMUM_SIDE, round(image.shape[1] * factor))


def _screen(image: NDArray[np.uint8], layer: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Enlarge a layer of light to the image and add it, so that white stays white: 255 - (255 - image)(255 - layer) / 255."""
    height, width = image.shape[:2]
    way = cv2.INTER_LINEAR if width > layer.shape[1] else cv2.INTER_AREA
    enlarged = cv2.resize(layer, (width, height), interpolation=way)
    return np.asarray(255 - cv2.multiply(255 - image, 255 - enlarged, scale=1 / 255))


OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {
        "weather_rain": weather_rain,
        "weather_fog": weather_fog,
        "weather_snow": weather_snow,
        "weather_sun_flare": weather_sun_flare,
        "weather_shadow": weather_shadow,
        "weather_night": weather_night,
    }
)
