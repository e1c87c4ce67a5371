"""What streets are like in each domain: the statistics that scenes are sampled from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

Span = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Town:
    """Layout statistics of a domain; every span is sampled uniformly. All numbers are ours.

    Attributes:
        camera_height: Metres.
        horizon: Row of the horizon as a share of the height.
        focal: Focal length as a share of the width.
        lanes: Lanes per direction, one is drawn.
        lane_width: Metres.
        sidewalk: Metres.
        parking: Probability of parking strips.
        grass: Probability of a grass strip behind the sidewalk, per side.
        open_side: Probability that a side has no buildings but terrain with trees, walls or fences.
        building_height: Metres.
        building_gap: Probability of a gap after a building.
        setback: Metres between the sidewalk and the buildings.
        tree_spacing: Metres between street trees.
        trees: Probability of street trees, per side.
        crossing: Probability of a crossing street.
        bend: Largest curvature in 1/m.
        bonnet: Probability that the ego car's bonnet is seen.
        clouds: Largest number of clouds.
        sun: Whether buildings throw shadows.
        counts: Mean number of things of each kind in a scene.
        forced: Kinds that are placed in turn, one scene each, in every `period` consecutive scenes of a split.
        period: See `forced`; at least its length.
        absent: Kinds and parts that this domain does not have: {"terrain"} replaces grass by paving.
    """

    camera_height: Span
    horizon: Span
    focal: Span
    lanes: tuple[int, ...]
    lane_width: Span
    sidewalk: Span
    parking: float
    grass: float
    open_side: float
    building_height: Span
    building_gap: float
    setback: Span
    tree_spacing: Span
    trees: float
    crossing: float
    bend: float
    bonnet: float
    clouds: int
    sun: bool
    counts: dict[str, float] = field(default_factory=dict)
    forced: tuple[str, ...] = ()
    period: int = 1
    absent: frozenset[str] = frozenset()


RARE_KINDS: Final[tuple[str, ...]] = ("train", "motorcycle", "bus", "bicycle", "truck", "motorcyclist", "cyclist")
"""The kinds behind the rare classes; both domains place them in turn so that even a small split has them all."""

SOURCE_TOWN: Final = Town(
    camera_height=(1.3, 1.8), horizon=(0.42, 0.54), focal=(0.55, 0.75), lanes=(1, 2, 2), lane_width=(3.2, 3.8),
    sidewalk=(2.0, 4.5), parking=0.4, grass=0.35, open_side=0.35, building_height=(6.0, 26.0), building_gap=0.3,
    setback=(0.0, 2.0), tree_spacing=(9.0, 16.0), trees=0.5, crossing=0.35, bend=0.0012, bonnet=0.0, clouds=4, sun=True,
    counts={
        "car": 5.0, "car_parked": 3.0, "car_across": 0.3, "truck": 0.3, "bus": 0.22, "train": 0.1, "motorcycle": 0.25,
        "bicycle": 0.3, "cyclist": 0.22, "motorcyclist": 0.15, "person": 4.5, "sign": 2.2, "light": 1.3, "lamp": 3.0,
        "pole": 2.0, "bush": 2.0,
    },
    forced=RARE_KINDS, period=10,
)  # fmt: skip
"""Stands for GTA: wide sunny streets, much of everything."""

TARGET_TOWN: Final = Town(
    camera_height=(1.15, 1.45), horizon=(0.38, 0.47), focal=(0.68, 0.85), lanes=(1, 1, 2), lane_width=(2.9, 3.4),
    sidewalk=(1.5, 3.2), parking=0.65, grass=0.25, open_side=0.22, building_height=(9.0, 20.0), building_gap=0.12,
    setback=(0.0, 0.8), tree_spacing=(7.0, 12.0), trees=0.6, crossing=0.3, bend=0.0015, bonnet=0.8, clouds=1, sun=False,
    counts={
        "car": 3.5, "car_parked": 5.0, "car_across": 0.25, "truck": 0.1, "bus": 0.07, "train": 0.04, "motorcycle": 0.1,
        "bicycle": 0.3, "cyclist": 0.15, "motorcyclist": 0.05, "person": 5.5, "sign": 3.0, "light": 1.2, "lamp": 1.5,
        "pole": 3.5, "bush": 1.5,
    },
    forced=RARE_KINDS, period=20,
)  # fmt: skip
"""Stands for Cityscapes: narrower, denser European streets seen over a bonnet, with parked cars on both sides."""

SYNTHIA_TOWN: Final = Town(
    camera_height=(1.6, 5.5), horizon=(0.25, 0.42), focal=(0.5, 0.7), lanes=(2, 2, 3), lane_width=(3.3, 4.0),
    sidewalk=(3.0, 6.0), parking=0.3, grass=0.0, open_side=0.3, building_height=(8.0, 30.0), building_gap=0.25,
    setback=(0.0, 1.0), tree_spacing=(8.0, 14.0), trees=0.6, crossing=0.5, bend=0.0, bonnet=0.0, clouds=3, sun=True,
    counts={
        "car": 5.0, "car_parked": 2.0, "car_across": 0.5, "bus": 0.3, "motorcycle": 0.3, "bicycle": 0.4, "cyclist": 0.5,
        "motorcyclist": 0.2, "person": 9.0, "sign": 2.0, "light": 1.5, "lamp": 3.0, "pole": 2.0, "bush": 1.5,
    },
    forced=("bus", "motorcycle", "bicycle", "cyclist"), period=10, absent=frozenset({"terrain", "truck", "train"}),
)  # fmt: skip
"""Stands for SYNTHIA: broad avenues seen from higher up, full of people; no terrain, truck or train."""
