"""The 19 common corruptions and our 6 of weather: family, constants per severity and source, in explicit tables.

The backend `fast` implements every row of the 19 itself, from these constants; it leaves none to the reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from types import MappingProxyType
from typing import Any, Literal

from corruptions.errors import CorruptionError, unknown_name

Family = Literal["noise", "blur", "weather", "digital"]
Parameters = Mapping[str, tuple[float, ...]]
"""What each constant is -> its values at the severities 1 to 5."""

SEVERITIES = (1, 2, 3, 4, 5)

COMMON = (
    "Hendrycks & Dietterich, ICLR 2019 (arXiv:1903.12261), the 15 common; constants as in bethgelab/imagecorruptions"
)
EXTRA = "Hendrycks & Dietterich, ICLR 2019 (arXiv:1903.12261), the 4 extra; constants as in bethgelab/imagecorruptions"
OURS = "ours: transforms of albumentations 2.0, severities chosen by the PSNR against the clean image: corruptions/catalog.py"


@dataclass(frozen=True)
class Corruption:
    """One operation and what defines its five severities.

    Attributes:
        name: The field's name for it, as published tables write it.
        family: The group in which tables fold it.
        moves_pixels: Whether content moves while labels stay, so that even a perfect prediction loses score at edges.
        parameters: What the constants are, one after the other.
        constants: One tuple for each of the severities 1 to 5: a number for each parameter.
        source: Where the operation and its constants come from.
        backend: The only backend that has the operation, or None for the 19, which a protocol's backend implements.
    """

    name: str
    family: Family
    moves_pixels: bool
    parameters: tuple[str, ...]
    constants: tuple[tuple[float, ...], ...]
    source: str
    backend: Literal["albumentations"] | None = None


def _common(name: str, family: Family, parameters: Parameters, moves_pixels: bool = False) -> Corruption:
    return _make(name, family, parameters, COMMON, moves_pixels)


def _extra(name: str, family: Family, parameters: Parameters) -> Corruption:
    return _make(name, family, parameters, EXTRA)


def _weather(name: str, parameters: Parameters) -> Corruption:
    return replace(_make(name, "weather", parameters, OURS), backend="albumentations")


def _make(name: str, family: Family, parameters: Parameters, source: str, moves_pixels: bool = False) -> Corruption:
    constants = tuple(zip(*parameters.values(), strict=True))
    return Corruption(name, family, moves_pixels, tuple(parameters), constants, source)


_ROWS = (
    _common("gaussian_noise", "noise", {"sigma of the added noise, image in [0, 1]": (0.08, 0.12, 0.18, 0.26, 0.38)}),
    _common("shot_noise", "noise", {"photons at full white": (60, 25, 12, 5, 3)}),
    _common("impulse_noise", "noise", {"share of samples set to black or white": (0.03, 0.06, 0.09, 0.17, 0.27)}),
    _common(
        "defocus_blur",
        "blur",
        {
            "radius of the disk in pixels": (3, 4, 6, 8, 10),
            "sigma of its antialiasing": (0.1, 0.5, 0.5, 0.5, 0.5),
        },
    ),
    _common(
        "glass_blur",
        "blur",
        {
            "sigma of the blur": (0.7, 0.9, 1, 1.1, 1.5),
            "largest displacement in pixels": (1, 2, 2, 3, 4),
            "rounds of displacement": (2, 1, 3, 2, 2),
        },
        moves_pixels=True,
    ),
    # the angle is uniform in -45..45 degrees
    _common(
        "motion_blur",
        "blur",
        {
            "radius in pixels": (10, 15, 15, 15, 20),
            "sigma of the weights": (3, 5, 8, 12, 15),
        },
    ),
    # numpy.arange(1, stop, step)
    _common(
        "zoom_blur",
        "blur",
        {
            "zoom factors from 1 to below": (1.11, 1.16, 1.21, 1.26, 1.31),
            "their step": (0.01, 0.01, 0.02, 0.02, 0.03),
        },
        moves_pixels=True,
    ),
    _common(
        "snow",
        "weather",
        {
            "mean of the flakes": (0.1, 0.2, 0.55, 0.55, 0.55),
            "sigma of the flakes": (0.3, 0.3, 0.3, 0.3, 0.3),
            "their zoom": (3, 2, 4, 4.5, 2.5),
            "threshold": (0.5, 0.5, 0.9, 0.85, 0.85),
            "radius of their motion": (10, 12, 12, 12, 12),
            "sigma of their motion": (4, 4, 8, 8, 12),
            "share of the image that stays": (0.8, 0.7, 0.7, 0.65, 0.55),
        },
    ),
    # the photograph is 1 of 6; bethgelab's original never draws the sixth
    _common(
        "frost",
        "weather",
        {
            "weight of the image": (1, 0.8, 0.7, 0.65, 0.6),
            "weight of the photograph of frost": (0.4, 0.6, 0.7, 0.7, 0.75),
        },
    ),
    _common(
        "fog",
        "weather",
        {
            "strength": (1.5, 2, 2.5, 2.5, 3),
            "decay of the plasma's wobble per octave": (2, 2, 1.7, 1.5, 1.4),
        },
    ),
    _common("brightness", "digital", {"added to HSV value in [0, 1]": (0.1, 0.2, 0.3, 0.4, 0.5)}),
    _common("contrast", "digital", {"factor on the distance to the channel's mean": (0.4, 0.3, 0.2, 0.1, 0.05)}),
    # the displacement is smoothed with sigma = 0.01 of each side
    _common(
        "elastic_transform",
        "digital",
        {"alpha, the factor on the displacement": (250 * 0.05, 250 * 0.065, 250 * 0.085, 250 * 0.1, 250 * 0.12)},
        moves_pixels=True,
    ),
    _common("pixelate", "digital", {"factor on both sides before enlarging": (0.6, 0.5, 0.4, 0.3, 0.25)}),
    _common("jpeg_compression", "digital", {"quality": (25, 18, 15, 10, 7)}),
    _extra("speckle_noise", "noise", {"sigma of the noise that multiplies": (0.15, 0.2, 0.35, 0.45, 0.6)}),
    _extra("gaussian_blur", "blur", {"sigma in pixels": (1, 2, 3, 4, 6)}),
    _extra(
        "spatter",
        "weather",
        {
            "mean of the liquid": (0.65, 0.65, 0.65, 0.65, 0.67),
            "sigma of the liquid": (0.3, 0.3, 0.3, 0.3, 0.4),
            "sigma of its blur": (4, 3, 2, 1, 1),
            "threshold": (0.69, 0.68, 0.68, 0.65, 0.65),
            "strength of water, or blur of mud": (0.6, 0.6, 0.5, 1.5, 1.5),
            "0 water, 1 mud": (0, 0, 0, 1, 1),
        },
    ),
    _extra(
        "saturate",
        "digital",
        {
            "factor on HSV saturation in [0, 1]": (0.3, 0.1, 2, 5, 20),
            "added to it": (0, 0, 0, 0.1, 0.2),
        },
    ),
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
    _weather(
        "weather_rain",
        {
            "density: 1 light, 2 heavy, 3 torrential": (1, 2, 2, 3, 3),
            "length of a drop as share of the height": (0.06, 0.08, 0.12, 0.14, 0.2),
            "share of the light that stays": (0.92, 0.86, 0.78, 0.7, 0.6),
        },
    ),
    _weather(
        "weather_fog",
        {
            "opacity of the haze": (0.1, 0.2, 0.3, 0.4, 0.5),
            "opacity of one disk of fog": (0.1, 0.15, 0.2, 0.25, 0.3),
        },
    ),
    _weather(
        "weather_snow",
        {
            "lightness up to which pixels whiten": (0.05, 0.15, 0.25, 0.4, 0.6),
            "their factor": (1.25, 1.4, 1.55, 1.7, 2),
            "density of the flakes, as of rain": (1, 2, 2, 3, 3),
            "width of the flakes": (2, 2, 3, 3, 4),
        },
    ),
    _weather(
        "weather_sun_flare",
        {
            "radius of the sun as share of the height": (0.08, 0.12, 0.16, 0.22, 0.3),
            "level of its white": (0.6, 0.7, 0.8, 0.9, 1),
            "veiling glare": (0.02, 0.05, 0.1, 0.15, 0.22),
        },
    ),
    _weather(
        "weather_shadow",
        {
            "number of shadows": (2, 2, 3, 3, 4),
            "share of the light that each takes": (0.3, 0.45, 0.5, 0.65, 0.75),
        },
    ),
    _weather(
        "weather_night",
        {
            "gamma": (1.3, 1.6, 2, 2.5, 3),
            "grain of the noise": (0.002, 0.005, 0.01, 0.02, 0.04),
        },
    ),
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
    row = (CORRUPTIONS.get(name) or WEATHER.get(name)) if isinstance(name, str) else None
    if row is None:
        raise unknown_name("corruption", str(name), (*CORRUPTIONS, *WEATHER))
    return row


def is_whole(value: Any) -> bool:
    """Tell whether a value is a whole number, of Python or numpy; True and 1.0 are none: they make other seeds than 1.

    Example:
        >>> is_whole(1), is_whole(True), is_whole(1.0)
        (True, False, False)
    """
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_severity(severity: Any, name: str) -> int:
    """Return a severity as a plain integer.

    Args:
        severity: What was given as one.
        name: The corruption that it is of, for the error.

    Returns:
        1 to 5.

    Raises:
        CorruptionError: If it is no whole number from 1 to 5.

    Example:
        >>> check_severity(3, "fog")
        3
    """
    if not is_whole(severity) or severity not in SEVERITIES:
        raise CorruptionError(f"severity {severity!r} of {name} is none of {SEVERITIES}")
    return int(severity)
