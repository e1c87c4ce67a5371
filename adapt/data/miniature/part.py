"""The parts that scenes are drawn from, and the Cityscapes trainId of each."""

from __future__ import annotations

from typing import Final

ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, VEGETATION, TERRAIN = range(10)
SKY, PERSON, RIDER, CAR, TRUCK, BUS, TRAIN, MOTORCYCLE, BICYCLE = range(10, 19)
VOID: Final = 255
"""The ignore label: the ego car's bonnet."""

PART_CLASS: Final[dict[str, int]] = {
    "road": ROAD, "patch": ROAD, "lane": ROAD, "rail": ROAD, "road_shadow": ROAD,
    "sidewalk": SIDEWALK, "kerb": SIDEWALK, "joint": SIDEWALK, "sidewalk_shadow": SIDEWALK,
    "facade": BUILDING, "window": BUILDING, "shop": BUILDING, "awning": BUILDING, "door": BUILDING, "roof": BUILDING,
    "skyline": BUILDING,
    "wall": WALL, "wall_cap": WALL, "wall_joint": WALL,
    "fence": FENCE, "fence_bar": FENCE,
    "pole": POLE, "street_lamp": POLE,
    "light_box": LIGHT, "red": LIGHT, "amber": LIGHT, "green": LIGHT, "unlit": LIGHT,
    "sign_red": SIGN, "sign_blue": SIGN, "sign_yellow": SIGN, "sign_white": SIGN, "sign_back": SIGN,
    "crown": VEGETATION, "crown_dark": VEGETATION, "trunk": VEGETATION, "hill": VEGETATION,
    "terrain": TERRAIN, "tuft": TERRAIN,
    "sky": SKY, "cloud": SKY,
    "skin": PERSON, "hair": PERSON, "shirt": PERSON, "trousers": PERSON, "helmet": RIDER,
    "car": CAR, "glass": CAR, "tyre": CAR, "head_lamp": CAR, "tail_lamp": CAR, "plate": CAR, "trim": CAR,
    "truck_cab": TRUCK, "truck_box": TRUCK,
    "bus": BUS, "board": BUS,
    "train": TRAIN, "train_stripe": TRAIN,
    "motorcycle": MOTORCYCLE, "bicycle": BICYCLE,
    "bonnet": VOID,
}  # fmt: skip
"""Class of each part; a part that several classes share (a tyre, a windscreen) is drawn with its owner's class."""

PARTS: Final[tuple[str, ...]] = tuple(PART_CLASS)
PART_INDEX: Final[dict[str, int]] = {part: index for index, part in enumerate(PARTS)}

GROUND_PARTS: Final[frozenset[str]] = frozenset(
    {"road", "patch", "lane", "rail", "road_shadow", "sidewalk", "kerb", "joint", "sidewalk_shadow", "terrain", "tuft"}
)
"""Parts that lie on the ground: they take shadows, reflections and snow."""

GLOWING_PARTS: Final[frozenset[str]] = frozenset(
    {"red", "amber", "green", "street_lamp", "head_lamp", "tail_lamp", "board"}
)
"""Parts that give light at night."""
