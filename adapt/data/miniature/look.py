"""Looks: the palette, light and camera of each domain, which turn one drawing into different pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

from adapt.data.miniature.palette import (
    SNOW_PALETTE,
    SOURCE_PALETTE,
    SYNTHIA_PALETTE,
    TARGET_PALETTE,
    Palette,
    Rgb,
)

Weather = Literal["clear", "fog", "night", "rain", "snow"]


@dataclass(frozen=True, slots=True)
class Look:
    """How a domain's pictures look. All numbers are ours, chosen by eye and by the gap that a small network meets.

    Attributes:
        palette: Colours of each part, sRGB; a surface takes one of them by its tone.
        jitter: Relative spread of a surface's brightness.
        tint: Relative spread of a surface's hue.
        faces: Brightness of surfaces that face the camera, the street, the sky.
        texture: Amplitude of the texture in brightness, by part; `texture[""]` for all others.
        haze: Extinction per metre.
        haze_colour: Colour that distance fades to.
        sun: Brightness inside the buildings' shadows; 1 for none.
        saturation: Factor on the distance from grey.
        contrast: Factor on the distance from mid-grey.
        gamma: Exponent of the tone curve, > 1 darkens.
        gain: Spread of a frame's exposure.
        cast: Factors of the white balance (R, G, B).
        blur: Sigma of the lens blur in pixels at a width of 192.
        noise: Standard deviation of the sensor noise in [0, 1] units.
        vignette: Darkening of the corners.
        weather: What the air and the light add.
    """

    palette: Palette
    jitter: float
    tint: float
    faces: tuple[float, float, float]
    texture: dict[str, float] = field(default_factory=dict)
    haze: float = 0.0
    haze_colour: Rgb = (200, 205, 210)
    sun: float = 1.0
    saturation: float = 1.0
    contrast: float = 1.0
    gamma: float = 1.0
    gain: float = 0.05
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    blur: float = 0.0
    noise: float = 0.0
    vignette: float = 0.0
    weather: Weather = "clear"


SOURCE_LOOK: Final = Look(
    SOURCE_PALETTE, jitter=0.08, tint=0.03, faces=(1.0, 0.82, 1.1),
    texture={"": 0.02, "crown": 0.10, "crown_dark": 0.10, "terrain": 0.06, "road": 0.04, "hill": 0.06},
    haze=0.0012, haze_colour=(190, 215, 240), sun=0.62, saturation=1.05, contrast=1.05, gain=0.16, noise=0.004,
)  # fmt: skip
"""GTA: saturated, clean, sunny, flat textures."""

TARGET_LOOK: Final = Look(
    TARGET_PALETTE, jitter=0.14, tint=0.05, faces=(1.0, 0.9, 1.02),
    texture={
        "": 0.05, "crown": 0.24, "crown_dark": 0.24, "terrain": 0.16, "road": 0.07,
        "sidewalk": 0.09, "facade": 0.09, "hill": 0.15,
    },
    haze=0.0045, haze_colour=(198, 204, 208), saturation=0.92, contrast=0.95, gamma=1.04, gain=0.14,
    cast=(0.96, 1.02, 0.98), blur=0.4, noise=0.016, vignette=0.16,
)  # fmt: skip
"""Cityscapes: overcast, dull, hazy, through a real lens and sensor."""

SYNTHIA_LOOK: Final = Look(
    SYNTHIA_PALETTE, jitter=0.1, tint=0.04, faces=(1.0, 0.75, 1.05),
    texture={"": 0.05, "crown": 0.2, "crown_dark": 0.2, "road": 0.06, "facade": 0.08, "sidewalk": 0.08},
    haze=0.002, haze_colour=(200, 210, 226), sun=0.7, saturation=0.95, gamma=1.05, gain=0.08, noise=0.004,
)  # fmt: skip
"""SYNTHIA: game engine of another year: browner, harder textures."""

FOG_LOOK: Final = replace(TARGET_LOOK, haze=0.026, haze_colour=(204, 208, 208), contrast=0.9, weather="fog")
NIGHT_LOOK: Final = replace(TARGET_LOOK, haze=0.0, noise=0.024, gamma=0.95, weather="night")
RAIN_LOOK: Final = replace(
    TARGET_LOOK, haze=0.011, haze_colour=(168, 174, 178), saturation=0.75, contrast=0.85, weather="rain"
)
SNOW_LOOK: Final = replace(
    TARGET_LOOK, palette=SNOW_PALETTE, haze=0.013, haze_colour=(222, 226, 230), contrast=0.88, weather="snow"
)
