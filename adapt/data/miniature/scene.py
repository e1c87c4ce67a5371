"""The description of a scene: a camera, a street and the things on it, all frozen and in metres."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

Tone = tuple[float, float, float]
"""Three numbers in [0, 1): which colour of the palette, how bright, how tinted. The look turns them into RGB."""

LINE_KINDS: Final[frozenset[str]] = frozenset({"building", "wall", "fence", "hedge"})
"""Kinds that run along the street behind everything that stands on it."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One object: world x is to the right, z ahead; it spans x +- width/2 and z .. z + length.

    Attributes:
        kind: Key of `objects.DRAW`.
        x: Centre, metres to the right of the road's centre line.
        z: Near end, metres ahead of the first frame's camera.
        width: Extent in x, metres.
        height: Extent above the ground, metres.
        length: Extent in z, metres.
        tone: Main colour.
        accent: Colour of the second part (trousers, shop, stripe).
        facing: +1 seen from behind, -1 seen from the front, 0 seen from its side.
        seed: Seed of small details (windows, leaves).
        speed: Metres per frame in (x, z).
    """

    kind: str
    x: float
    z: float
    width: float
    height: float
    length: float
    tone: Tone
    accent: Tone
    facing: int = 1
    seed: int = 0
    speed: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Verge:
    """One side of the street: widths in metres from the kerb outwards."""

    sidewalk: float
    grass: float
    is_open: bool


@dataclass(frozen=True, slots=True)
class Street:
    """The ground: a road along z with its verges, and perhaps a crossing.

    Attributes:
        lanes: Lanes per direction.
        lane_width: Metres.
        parking: Width of the parking strip on both sides, metres; 0 for none.
        left: The verge at negative x.
        right: The verge at positive x.
        crossing: z of the near edge of a crossing street, or None.
        zebra: z of a zebra crossing, or None.
        rails: Whether tram rails lie in the left lane.
        marks: Whether lanes are marked.
        tone: Shade of the asphalt.
        skyline: Heights in [0, 1] of what stands at the end of the street, one a segment.
        green_end: Whether the end of the street is wooded rather than built up.
    """

    lanes: int
    lane_width: float
    parking: float
    left: Verge
    right: Verge
    crossing: float | None
    zebra: float | None
    rails: bool
    marks: bool
    tone: Tone
    skyline: tuple[float, ...]
    green_end: bool

    @property
    def half_width(self) -> float:
        """Half the width of the road, parking strips included, in metres."""
        return self.lanes * self.lane_width + self.parking


@dataclass(frozen=True, slots=True)
class View:
    """Where the camera stands and looks, free of the image's size.

    Attributes:
        x: Metres to the right of the centre line.
        z: Metres travelled.
        height: Metres above the road.
        horizon: Row of the horizon as a share of the image's height.
        centre: Column of the vanishing point as a share of the image's width.
        focal: Focal length as a share of the image's width.
        bend: Curvature: a point at depth d is shifted by bend * d^2 metres.
    """

    x: float
    z: float
    height: float
    horizon: float
    centre: float
    focal: float
    bend: float


@dataclass(frozen=True, slots=True)
class Scene:
    """All that is drawn, before any look is given to it.

    Attributes:
        view: The camera.
        street: The ground.
        things: The objects, in no particular order.
        clouds: (column, row, width) of each cloud as shares of the image.
        sky: Shade of the sky.
        has_bonnet: Whether the ego car's bonnet (void) is in the picture.
        light: Side from which the sun throws building shadows: -1, 0 (none) or 1.
        speed: Metres that the camera moves each frame.
    """

    view: View
    street: Street
    things: tuple[Thing, ...]
    clouds: tuple[tuple[float, float, float], ...]
    sky: Tone
    has_bonnet: bool
    light: int
    speed: float = 0.0


def advance_scene(scene: Scene, frame: int) -> Scene:
    """Return the scene as it stands `frame` frames after its first.

    Args:
        scene: The scene at frame 0.
        frame: Frames since, at least 0.

    Returns:
        The same scene with the camera and every moving thing displaced.
    """
    things = tuple(
        replace(thing, x=thing.x + frame * thing.speed[0], z=thing.z + frame * thing.speed[1])
        if thing.speed != (0.0, 0.0)
        else thing
        for thing in scene.things
    )
    view = replace(scene.view, z=scene.view.z + frame * scene.speed)
    return replace(scene, view=view, things=things)
