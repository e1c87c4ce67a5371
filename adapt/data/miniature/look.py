"""Looks: the palette, light and camera of each domain, which turn one drawing into different pictures."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final, Literal

Rgb = tuple[int, int, int]
Palette = dict[str, tuple[Rgb, ...]]
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


_SIGNS: Final[Palette] = {
    "sign_red": ((205, 30, 35),), "sign_blue": ((25, 80, 190),), "sign_yellow": ((240, 200, 30),),
    "sign_white": ((235, 235, 235),), "sign_back": ((130, 132, 135),),
    "red": ((255, 50, 40),), "amber": ((255, 180, 40),), "green": ((60, 240, 140),), "unlit": ((45, 42, 40),),
    "head_lamp": ((240, 240, 225),), "tail_lamp": ((190, 25, 25),), "street_lamp": ((205, 205, 195),),
    "board": ((235, 170, 40),), "light_box": ((32, 34, 36),),
}  # fmt: skip

_SOURCE_PALETTE: Final[Palette] = {
    **_SIGNS,
    "road": ((108, 108, 116), (98, 98, 108), (118, 116, 120)), "patch": ((94, 94, 104),),
    "lane": ((245, 245, 240), (240, 205, 70)), "rail": ((70, 66, 66),), "road_shadow": ((48, 48, 58),),
    "sidewalk": ((196, 182, 158), (186, 180, 170), (206, 190, 170)), "kerb": ((222, 216, 204),),
    "joint": ((160, 148, 130),), "sidewalk_shadow": ((110, 100, 92),),
    "facade": ((206, 128, 84), (228, 208, 150), (150, 170, 200), (214, 190, 176), (188, 88, 70), (238, 232, 214), (170, 150, 120)),
    "window": ((62, 92, 130), (84, 124, 160), (176, 208, 226)), "shop": ((70, 100, 120), (220, 210, 160)),
    "awning": ((196, 44, 44), (40, 110, 70), (40, 70, 160), (230, 180, 60)), "door": ((120, 66, 40), (60, 50, 50)),
    "roof": ((150, 70, 50), (96, 92, 98), (214, 202, 180)), "skyline": ((160, 170, 190), (178, 180, 190)),
    "wall": ((184, 164, 138), (170, 170, 170), (160, 96, 70)), "wall_cap": ((212, 204, 190),), "wall_joint": ((128, 116, 100),),
    "fence": ((150, 172, 150), (170, 170, 165)), "fence_bar": ((70, 90, 80), (118, 84, 50), (220, 220, 215)),
    "pole": ((150, 150, 152), (120, 122, 124)),
    "crown": ((92, 172, 58), (112, 184, 64), (72, 148, 58), (84, 132, 54)), "crown_dark": ((50, 116, 42), (58, 124, 50), (48, 88, 38)),
    "trunk": ((120, 84, 54),), "hill": ((74, 140, 70), (90, 150, 84)),
    "terrain": ((150, 182, 76), (176, 172, 96)), "tuft": ((122, 160, 60),),
    "sky": ((92, 158, 236), (110, 172, 240), (136, 188, 240), (186, 210, 236)), "cloud": ((250, 250, 252),),
    "skin": ((232, 186, 150), (160, 110, 80), (110, 74, 54)), "hair": ((60, 40, 26), (30, 26, 24), (190, 150, 80)),
    "shirt": ((220, 50, 50), (50, 90, 210), (245, 245, 245), (240, 190, 50), (60, 160, 90), (170, 60, 170)),
    "trousers": ((44, 60, 120), (60, 56, 54), (180, 160, 120)), "helmet": ((230, 230, 230), (210, 40, 40), (40, 60, 190)),
    "car": ((210, 36, 40), (40, 80, 200), (240, 240, 240), (236, 190, 40), (40, 44, 50), (170, 176, 182), (40, 140, 90), (230, 120, 40)),
    "glass": ((50, 66, 84), (70, 90, 110)), "tyre": ((28, 28, 30),), "plate": ((230, 225, 190),), "trim": ((52, 52, 56),),
    "truck_cab": ((220, 60, 40), (50, 90, 190), (240, 240, 235)), "truck_box": ((236, 234, 228), (220, 190, 120), (120, 160, 200)),
    "bus": ((230, 170, 40), (200, 50, 50), (60, 130, 200)), "train": ((226, 226, 224), (210, 214, 190)),
    "train_stripe": ((200, 40, 50), (40, 120, 90)),
    "motorcycle": ((200, 40, 40), (40, 44, 60), (60, 120, 200)), "bicycle": ((200, 50, 50), (50, 110, 200), (40, 44, 46)),
    "bonnet": ((30, 30, 34),),
}  # fmt: skip

_TARGET_PALETTE: Final[Palette] = {
    **_SIGNS,
    "road": ((92, 94, 94), (82, 85, 86), (104, 104, 102)), "patch": ((74, 77, 78), (108, 108, 106)),
    "lane": ((190, 190, 186), (172, 174, 172)), "rail": ((64, 62, 62),), "road_shadow": ((44, 46, 48),),
    "sidewalk": ((126, 116, 114), (112, 108, 108), (136, 126, 118)), "kerb": ((146, 142, 138),),
    "joint": ((94, 88, 86),), "sidewalk_shadow": ((66, 62, 62),),
    "facade": ((142, 128, 112), (168, 158, 142), (118, 104, 94), (132, 134, 134), (150, 116, 96), (180, 172, 160), (104, 100, 100)),
    "window": ((52, 56, 60), (66, 70, 74), (150, 158, 162)), "shop": ((58, 58, 60), (130, 122, 108)),
    "awning": ((116, 48, 46), (52, 62, 76), (70, 84, 72), (150, 138, 110)), "door": ((78, 58, 48), (56, 56, 56)),
    "roof": ((104, 70, 60), (82, 82, 84), (140, 132, 122)), "skyline": ((150, 152, 152), (134, 136, 136)),
    "wall": ((122, 114, 104), (112, 112, 110), (104, 84, 76)), "wall_cap": ((140, 136, 130),), "wall_joint": ((88, 82, 76),),
    "fence": ((96, 102, 94), (114, 114, 112)), "fence_bar": ((58, 64, 60), (84, 72, 58), (150, 150, 148)),
    "pole": ((104, 108, 108), (82, 86, 86)),
    "crown": ((84, 114, 56), (98, 118, 56), (68, 104, 54)), "crown_dark": ((46, 68, 38), (56, 70, 36)),
    "trunk": ((70, 62, 54),), "hill": ((92, 104, 84), (84, 96, 80)),
    "terrain": ((110, 124, 62), (124, 118, 72)), "tuft": ((90, 98, 56),),
    "sky": ((200, 212, 224), (176, 198, 222), (218, 224, 228)), "cloud": ((236, 238, 238),),
    "skin": ((190, 156, 136), (128, 96, 78), (92, 70, 58)), "hair": ((54, 44, 38), (34, 32, 32), (130, 110, 80)),
    "shirt": ((44, 48, 58), (60, 58, 56), (96, 42, 46), (140, 138, 134), (52, 66, 94), (34, 34, 36)),
    "trousers": ((44, 50, 66), (40, 40, 42), (88, 82, 72)), "helmet": ((170, 170, 170), (60, 60, 62), (140, 50, 46)),
    "car": ((34, 36, 40), (150, 154, 156), (196, 198, 198), (48, 60, 86), (110, 34, 36), (84, 88, 92), (26, 28, 30), (60, 72, 66)),
    "glass": ((46, 52, 56), (78, 86, 90)), "tyre": ((26, 26, 28),), "plate": ((200, 200, 196),), "trim": ((44, 44, 46),),
    "truck_cab": ((150, 150, 148), (60, 70, 100), (140, 52, 46)), "truck_box": ((176, 174, 168), (112, 116, 116), (92, 106, 120)),
    "bus": ((150, 120, 62), (128, 56, 52), (170, 172, 170)), "train": ((176, 170, 150), (150, 154, 154)),
    "train_stripe": ((120, 46, 46), (56, 84, 72)),
    "motorcycle": ((48, 48, 52), (110, 44, 42), (70, 78, 90)), "bicycle": ((44, 46, 48), (96, 46, 46), (70, 84, 96)),
    "bonnet": ((36, 38, 42),),
}  # fmt: skip

_SYNTHIA_PALETTE: Final[Palette] = {
    **_SOURCE_PALETTE,
    "road": ((84, 78, 78), (96, 90, 86)), "patch": ((76, 70, 72),), "lane": ((250, 250, 250),),
    "sidewalk": ((150, 128, 112), (166, 150, 140)), "kerb": ((176, 166, 158),), "joint": ((120, 104, 92),),
    "facade": ((186, 146, 108), (150, 110, 86), (200, 190, 180), (130, 120, 128), (214, 170, 110)),
    "window": ((50, 60, 76), (120, 150, 180)),
    "crown": ((70, 134, 40), (90, 144, 44)), "crown_dark": ((38, 84, 28), (46, 92, 34)),
    "sky": ((150, 190, 232), (170, 200, 228)), "cloud": ((240, 240, 244),),
    "shirt": ((200, 60, 60), (60, 80, 170), (230, 230, 225), (90, 90, 96), (80, 140, 90)),
    "car": ((180, 40, 40), (50, 80, 160), (226, 226, 226), (40, 40, 44), (150, 150, 154), (200, 170, 60)),
}  # fmt: skip

SOURCE_LOOK: Final = Look(
    _SOURCE_PALETTE, jitter=0.08, tint=0.03, faces=(1.0, 0.82, 1.1),
    texture={"": 0.02, "crown": 0.10, "crown_dark": 0.10, "terrain": 0.06, "road": 0.03, "hill": 0.06},
    haze=0.0012, haze_colour=(190, 215, 240), sun=0.62, saturation=1.05, contrast=1.05, gain=0.1,
)  # fmt: skip
"""GTA: saturated, clean, sunny, flat textures."""

TARGET_LOOK: Final = Look(
    _TARGET_PALETTE, jitter=0.14, tint=0.05, faces=(1.0, 0.9, 1.02),
    texture={"": 0.08, "crown": 0.32, "crown_dark": 0.32, "terrain": 0.22, "road": 0.12, "sidewalk": 0.14, "facade": 0.14, "hill": 0.2, "wall": 0.16},
    haze=0.006, haze_colour=(198, 204, 204), saturation=0.92, contrast=0.95, gamma=1.04, gain=0.14,
    cast=(0.96, 1.02, 0.98), blur=0.4, noise=0.016, vignette=0.2,
)  # fmt: skip
"""Cityscapes: overcast, dull, hazy, through a real lens and sensor."""

SYNTHIA_LOOK: Final = Look(
    _SYNTHIA_PALETTE, jitter=0.1, tint=0.04, faces=(1.0, 0.75, 1.05),
    texture={"": 0.05, "crown": 0.2, "crown_dark": 0.2, "road": 0.06, "facade": 0.08, "sidewalk": 0.08},
    haze=0.002, haze_colour=(200, 210, 226), sun=0.7, saturation=0.95, gamma=1.05, gain=0.08, noise=0.004,
)  # fmt: skip
"""SYNTHIA: game engine of another year: browner, harder textures."""

_SNOW_PALETTE: Final[Palette] = {
    **_TARGET_PALETTE,
    "road": ((150, 152, 156), (168, 170, 174), (120, 122, 126)), "patch": ((196, 198, 202),),
    "sidewalk": ((214, 216, 220), (204, 206, 210)), "kerb": ((196, 198, 202),), "joint": ((188, 190, 194),),
    "terrain": ((226, 228, 232),), "tuft": ((190, 190, 180),), "lane": ((182, 184, 186),), "roof": ((228, 230, 234),),
    "wall_cap": ((226, 228, 232),), "crown": ((158, 170, 156), (132, 148, 124)), "crown_dark": ((92, 104, 82), (80, 94, 72)),
    "hill": ((196, 200, 202),), "sky": ((216, 220, 224),), "bonnet": ((120, 122, 126),),
}  # fmt: skip

FOG_LOOK: Final = replace(TARGET_LOOK, haze=0.026, haze_colour=(204, 208, 208), contrast=0.9, weather="fog")
NIGHT_LOOK: Final = replace(TARGET_LOOK, haze=0.0, noise=0.024, gamma=0.95, weather="night")
RAIN_LOOK: Final = replace(TARGET_LOOK, haze=0.011, haze_colour=(168, 174, 178), saturation=0.75, contrast=0.85, weather="rain")
SNOW_LOOK: Final = replace(
    TARGET_LOOK, palette=_SNOW_PALETTE, haze=0.013, haze_colour=(222, 226, 230), contrast=0.88, weather="snow"
)
