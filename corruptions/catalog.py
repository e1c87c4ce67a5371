"""The 19 common corruptions and our 6 of weather: family, constants per severity and source, in explicit tables.

The backend `fast` implements every row of the 19 itself, from these constants; it leaves none to the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from corruptions.errors import unknown_name

Family = Literal["noise", "blur", "weather", "digital"]

SEVERITIES = (1, 2, 3, 4, 5)

COMMON = (
    "Hendrycks & Dietterich, ICLR 2019 (arXiv:1903.12261), the 15 common; constants as in bethgelab/imagecorruptions"
)
EXTRA = "Hendrycks & Dietterich, ICLR 2019 (arXiv:1903.12261), the 4 extra; constants as in bethgelab/imagecorruptions"
OURS = "ours: transforms of albumentations 2.0, severities chosen by the PSNR against the clean image, see WEATHER"


@dataclass(frozen=True)
class Corruption:
    """One operation and what defines its five severities.

    Attributes:
        name: The field's name for it, as published tables write it.
        family: The group in which tables fold it.
        moves_pixels: Whether content moves while labels stay, so that even a perfect prediction loses score at edges.
        constants: One tuple for each of the severities 1 to 5; the comment beside each table row names its entries.
        source: Where the operation and its constants come from.
        backend: The only backend that has the operation, or None for the 19, which a protocol's backend implements.
    """

    name: str
    family: Family
    moves_pixels: bool
    constants: tuple[tuple[float, ...], ...]
    source: str
    backend: Literal["albumentations"] | None = None


def _common(name: str, family: Family, *constants: tuple[float, ...], moves_pixels: bool = False) -> Corruption:
    return Corruption(name, family, moves_pixels, constants, COMMON)


def _extra(name: str, family: Family, *constants: tuple[float, ...]) -> Corruption:
    return Corruption(name, family, False, constants, EXTRA)


def _weather(name: str, *constants: tuple[float, ...]) -> Corruption:
    return Corruption(name, "weather", False, constants, OURS, backend="albumentations")


_ROWS = (
    # sigma of the added normal noise, image in [0, 1]
    _common("gaussian_noise", "noise", (0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
    # photons at full white
    _common("shot_noise", "noise", (60,), (25,), (12,), (5,), (3,)),
    # share of samples set to black or white
    _common("impulse_noise", "noise", (0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
    # disk radius in pixels, sigma of its antialiasing
    _common("defocus_blur", "blur", (3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    # sigma, largest displacement in pixels, rounds of displacement
    _common("glass_blur", "blur", (0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2), moves_pixels=True),
    # radius in pixels, sigma; the angle is uniform in -45..45 degrees
    _common("motion_blur", "blur", (10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    # stop and step of the zoom factors numpy.arange(1, stop, step)
    _common(
        "zoom_blur", "blur", (1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03), moves_pixels=True
    ),
    # mean and sigma of the flakes, zoom, threshold, radius and sigma of their motion, share of the image that is kept
    _common(
        "snow",
        "weather",
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    # weight of the image, weight of the frost photograph (1 of 6; bethgelab's original never draws the sixth)
    _common("frost", "weather", (1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),
    # strength, decay of the plasma's wobble per octave
    _common("fog", "weather", (1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    # added to HSV value in [0, 1]
    _common("brightness", "digital", (0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),
    # factor on the distance to the mean of the channel
    _common("contrast", "digital", (0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
    # alpha, the factor on a displacement smoothed with sigma = 0.01 of each side
    _common(
        "elastic_transform",
        "digital",
        (250 * 0.05,),
        (250 * 0.065,),
        (250 * 0.085,),
        (250 * 0.1,),
        (250 * 0.12,),
        moves_pixels=True,
    ),
    # factor on both sides before enlarging again
    _common("pixelate", "digital", (0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
    # JPEG quality
    _common("jpeg_compression", "digital", (25,), (18,), (15,), (10,), (7,)),
    # sigma of the noise that multiplies the image
    _extra("speckle_noise", "noise", (0.15,), (0.2,), (0.35,), (0.45,), (0.6,)),
    # sigma in pixels
    _extra("gaussian_blur", "blur", (1,), (2,), (3,), (4,), (6,)),
    # mean and sigma of the liquid, its blur, threshold, strength (water) or blur (mud), 0 water or 1 mud
    _extra(
        "spatter",
        "weather",
        (0.65, 0.3, 4, 0.69, 0.6, 0),
        (0.65, 0.3, 3, 0.68, 0.6, 0),
        (0.65, 0.3, 2, 0.68, 0.5, 0),
        (0.65, 0.3, 1, 0.65, 1.5, 1),
        (0.67, 0.4, 1, 0.65, 1.5, 1),
    ),
    # factor on and addition to HSV saturation in [0, 1]
    _extra("saturate", "digital", (0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
)

CORRUPTIONS: Mapping[str, Corruption] = MappingProxyType({row.name: row for row in _ROWS})

# Severities are chosen so that the mean PSNR against the clean image falls at every step, over drawn streets and over real
# ones. Mean dB, first over 8 drawn streets of 256x512 (tests/corruptions/fast/conftest.py), then over 24 test images of CamVid
# (360x480), where it varies from image to image by 0.4 to 4 dB; albumentations 2.0.8, OpenCV 5.0.0, seed 0. Drops, flakes,
# fog and flare scale with the image: one street of 1024x2048 or 375x1242 is within 4 dB of the drawn mean.
#
# | severity          | 1           | 2           | 3           | 4           | 5           |
# |-------------------|-------------|-------------|-------------|-------------|-------------|
# | weather_rain      | 25.4   26.2 | 20.7   21.3 | 17.2   18.8 | 14.7   16.3 | 12.4   14.6 |
# | weather_fog       | 19.8   17.7 | 15.6   13.5 | 13.0   10.8 | 11.2    9.0 |  9.7    7.5 |
# | weather_snow      | 28.7   24.6 | 21.8   19.3 | 15.5   15.5 | 11.2   12.6 |  8.3   10.2 |
# | weather_sun_flare | 33.9   29.7 | 27.6   22.5 | 22.3   18.7 | 19.3   15.6 | 14.4   12.3 |
# | weather_shadow    | 24.4   28.8 | 21.1   25.6 | 18.7   23.2 | 16.1   21.3 | 14.9   19.0 |
# | weather_night     | 21.9   21.8 | 16.9   17.2 | 13.5   14.2 | 10.8   12.4 |  9.5   11.4 |
_WEATHER_ROWS = (
    # density (index of DENSITIES), length of a drop as share of the height, brightness that stays
    _weather("weather_rain", (1, 0.06, 0.92), (2, 0.08, 0.86), (2, 0.12, 0.78), (3, 0.14, 0.7), (3, 0.2, 0.6)),
    # opacity of the haze, of one disk of fog
    _weather("weather_fog", (0.1, 0.1), (0.2, 0.15), (0.3, 0.2), (0.4, 0.25), (0.5, 0.3)),
    # lightness up to which pixels whiten, their factor, density and width of the flakes
    _weather(
        "weather_snow", (0.05, 1.25, 1, 2), (0.15, 1.4, 2, 2), (0.25, 1.55, 2, 3), (0.4, 1.7, 3, 3), (0.6, 2, 3, 4)
    ),
    # radius of the sun as share of the height, level of its white, veiling glare
    _weather(
        "weather_sun_flare", (0.08, 0.6, 0.02), (0.12, 0.7, 0.05), (0.16, 0.8, 0.1), (0.22, 0.9, 0.15), (0.3, 1, 0.22)
    ),
    # number of shadows, share of the light that each takes
    _weather("weather_shadow", (2, 0.3), (2, 0.45), (3, 0.5), (3, 0.65), (4, 0.75)),
    # gamma, grain of the noise
    _weather("weather_night", (1.3, 0.002), (1.6, 0.005), (2, 0.01), (2.5, 0.02), (3, 0.04)),
)

WEATHER: Mapping[str, Corruption] = MappingProxyType({row.name: row for row in _WEATHER_ROWS})


def corruption(name: str) -> Corruption:
    """Look a corruption up by name.

    Args:
        name: One of the keys of `CORRUPTIONS` or of `WEATHER`.

    Returns:
        Its row of the table.

    Raises:
        CorruptionError: If no corruption has that name; the text suggests the closest.

    Example:
        >>> corruption("fog").family
        'weather'
    """
    row = CORRUPTIONS.get(name) or WEATHER.get(name)
    if row is None:
        raise unknown_name("corruption", name, (*CORRUPTIONS, *WEATHER))
    return row
