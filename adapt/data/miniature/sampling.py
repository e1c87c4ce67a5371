"""Sampling scenes from a town: the street first, then what lines it, then who uses it."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from adapt.data.miniature.scene import Scene, Street, Thing, Tone, Verge, View
from adapt.data.miniature.town import Span, Town

REACH: Final = 110.0
"""Depth in metres to which streets are furnished; ours."""


def sample_scene(town: Town, rng: np.random.Generator, index: int = 0, speed: float = 0.0, frames: int = 0) -> Scene:
    """Sample a scene.

    Args:
        town: The statistics of the domain.
        rng: Source of all randomness.
        index: Number of the frame in its split; decides which rare kind is placed for certain.
        speed: Metres that the camera will move each frame; 0 for a still.
        frames: Frames for which it will move; the street is furnished that much further.

    Returns:
        The scene at its first frame.
    """
    return _Sampler(town, rng, speed, frames).build(index)


class _Sampler:
    """Holds the half-built scene: the street, the things so far and which stretches of each lane are taken."""

    def __init__(self, town: Town, rng: np.random.Generator, speed: float, frames: int) -> None:
        self.town = town
        self.rng = rng
        self.speed = speed
        self.travel = speed * frames
        self.reach = REACH + self.travel
        self.things: list[Thing] = []
        self.taken: list[tuple[float, float, float, float]] = []
        self.street = self._sample_street()

    @property
    def moves(self) -> bool:
        """Whether this is the first frame of a clip."""
        return self.speed > 0

    def build(self, index: int) -> Scene:
        """Furnish the street and return the scene."""
        town, rng, street = self.town, self.rng, self.street
        ego_lane = int(rng.integers(street.lanes))
        ego_x = (ego_lane + 0.5) * street.lane_width + rng.uniform(-0.4, 0.4)
        slot = index % town.period
        if slot < len(town.forced):
            self._place_kind(town.forced[slot], ego_x, (8.0, 15.0), is_forced=True)
        for sign, verge in ((-1, street.left), (1, street.right)):
            self._line_side(sign, verge)
        for kind, mean in town.counts.items():
            for _ in range(rng.poisson(mean * self.reach / REACH)):
                self._place_kind(kind, ego_x, (6.0, self.reach - 15.0))
        view = View(
            x=ego_x,
            z=0.0,
            height=self._uniform(town.camera_height),
            horizon=self._uniform(town.horizon),
            centre=rng.uniform(0.44, 0.56),
            focal=self._uniform(town.focal),
            bend=0.0
            if self.moves
            else float(rng.normal(0, town.bend / 2))
            if town.bend and rng.random() < 0.5
            else 0.0,
        )
        clouds = tuple(
            (float(rng.random()), float(rng.uniform(0.02, 0.7 * view.horizon)), float(rng.uniform(0.04, 0.12)))
            for _ in range(rng.integers(town.clouds + 1))
        )
        light = int(rng.choice((-1, 1))) if town.sun and rng.random() < 0.75 else 0
        return Scene(
            view, street, tuple(self.things), clouds, self._tone(), bool(rng.random() < town.bonnet), light, self.speed
        )

    def _uniform(self, span: Span) -> float:
        return float(self.rng.uniform(*span))

    def _tone(self) -> Tone:
        first, second, third = self.rng.random(3)
        return (float(first), float(second), float(third))

    def _sample_street(self) -> Street:
        town, rng = self.town, self.rng
        verges = []
        for _ in range(2):
            is_open = rng.random() < town.open_side
            grass = (
                float(rng.uniform(1.0, 3.5))
                if "terrain" not in town.absent and (is_open or rng.random() < town.grass)
                else 0.0
            )
            verges.append(Verge(self._uniform(town.sidewalk), grass, is_open and "terrain" not in town.absent))
        has_crossing = rng.random() < town.crossing
        crossing = float(rng.uniform(16.0, 38.0)) if has_crossing else None
        zebra = (
            crossing - 4.5 if crossing is not None else float(rng.uniform(8.0, 25.0)) if rng.random() < 0.15 else None
        )
        return Street(
            lanes=int(rng.choice(town.lanes)),
            lane_width=self._uniform(town.lane_width),
            parking=2.2 if rng.random() < town.parking else 0.0,
            left=verges[0],
            right=verges[1],
            crossing=crossing,
            zebra=zebra,
            rails=town.counts.get("train", 0.0) > 0 and rng.random() < 0.12,
            marks=rng.random() < 0.85,
            tone=self._tone(),
            skyline=tuple(float(level) for level in rng.random(24)),
            green_end=rng.random() < 0.4,
        )

    # What lines the street.

    def _line_side(self, sign: int, verge: Verge) -> None:
        town, rng = self.town, self.rng
        line = self.street.half_width + verge.sidewalk + verge.grass
        if verge.is_open:
            self._line_open(sign, line)
        else:
            self._line_buildings(sign, line + self._uniform(town.setback))
        if rng.random() < town.trees or verge.is_open:
            spacing = self._uniform(town.tree_spacing)
            x = line - 0.6 if verge.grass == 0 else line - verge.grass / 2
            if verge.is_open and rng.random() < 0.5:
                x = line + rng.uniform(1.0, 5.0)
            z = rng.uniform(4.0, 4.0 + spacing)
            while z < self.reach:
                if not self._in_crossing(z, 1.0) and rng.random() < 0.85:
                    self._place_tree(sign * (x + rng.uniform(-0.3, 0.3)), z)
                z += spacing * rng.uniform(0.8, 1.3)

    def _in_crossing(self, z: float, margin: float) -> bool:
        crossing = self.street.crossing
        return crossing is not None and crossing - margin < z < crossing + 9.0 + margin

    def _stretches(self) -> list[tuple[float, float]]:
        crossing = self.street.crossing
        if crossing is None:
            return [(-4.0, self.reach)]
        return [(-4.0, crossing - 2.0), (crossing + 11.0, self.reach)]

    def _line_buildings(self, sign: int, line: float) -> None:
        town, rng = self.town, self.rng
        typical = self._uniform(town.building_height)
        for start, end in self._stretches():
            z = start
            while z < end - 4.0:
                length = min(float(rng.uniform(8.0, 22.0)), end - z)
                height = float(np.clip(typical * rng.uniform(0.7, 1.35), 5.5, 40.0))
                depth = 14.0
                x = sign * (line + depth / 2)
                self._add("building", x, z, depth, height, length)
                z += length
                if rng.random() < town.building_gap and z < end - 8.0:
                    gap = float(rng.uniform(4.0, 12.0))
                    kind = str(rng.choice(("wall", "fence", "hedge", "open")))
                    if kind != "open":
                        self._line_kind(kind, sign * (line + 0.3), z, min(gap, end - z))
                    if rng.random() < 0.7:
                        self._place_tree(sign * (line + 3.5), z + gap / 2)
                    z += gap

    def _line_open(self, sign: int, line: float) -> None:
        rng = self.rng
        for start, end in self._stretches():
            z = start
            while z < end - 3.0:
                length = min(float(rng.uniform(14.0, 40.0)), end - z)
                kind = str(rng.choice(("wall", "fence", "hedge", "open"), p=(0.3, 0.34, 0.16, 0.2)))
                if kind != "open":
                    self._line_kind(kind, sign * (line + 0.4), z, length)
                z += length
        back = line + float(rng.uniform(9.0, 22.0))
        for _ in range(rng.integers(3, 9)):
            x = sign * (back + rng.uniform(0.0, 14.0))
            z = float(rng.uniform(18.0, self.reach))
            if rng.random() < 0.35:
                self._add("building", x + sign * 8.0, z, 12.0, float(rng.uniform(5.5, 14.0)), 10.0)
            else:
                self._place_tree(x, z)

    def _line_kind(self, kind: str, x: float, z: float, length: float) -> None:
        height = {"wall": (1.2, 2.8), "fence": (1.1, 2.0), "hedge": (1.0, 2.2)}[kind]
        width = {"wall": 0.35, "fence": 0.1, "hedge": 1.0}[kind]
        self._add(kind, x, z, width, self._uniform(height), length)

    def _place_tree(self, x: float, z: float) -> None:
        height = float(self.rng.uniform(4.5, 9.5))
        self._add("tree", x, z, 0.55 * height, height, 0.5)

    def _add(
        self,
        kind: str,
        x: float,
        z: float,
        width: float,
        height: float,
        length: float,
        facing: int = 1,
        speed: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        seed = int(self.rng.integers(1 << 20))
        self.things.append(
            Thing(kind, float(x), float(z), width, height, length, self._tone(), self._tone(), facing, seed, speed)
        )

    # Who uses the street.

    def _place_kind(self, kind: str, ego_x: float, z: Span, is_forced: bool = False) -> None:
        """Place one thing of `kind`, near the camera if forced; a thing that finds no room is left out."""
        rng = self.rng
        for _ in range(8):
            distance = z[0] + (z[1] - z[0]) * float(rng.random()) ** 2.2
            if self._try_kind(kind, ego_x, distance, is_forced):
                return

    def _try_kind(self, kind: str, ego_x: float, z: float, is_forced: bool) -> bool:
        rng, street = self.rng, self.street
        if kind in ("car", "truck", "bus", "train"):
            return self._try_vehicle(kind, ego_x, z)
        if kind == "car_parked":
            if street.parking == 0 or self._in_crossing(z, 4.0):
                return False
            sign = int(rng.choice((-1, 1)))
            return self._try_box("car", sign * (street.half_width - 1.1), z, (1.8, 1.5, 4.3), sign)
        if kind == "car_across":
            if street.crossing is None:
                return False
            x = float(rng.uniform(-16.0, 16.0))
            drive = float(rng.choice((-0.3, 0.3)))
            return self._try_box("car", x, street.crossing + rng.uniform(2.0, 6.0), (4.3, 1.5, 0.3), 0, (drive, 0.0))
        if kind in ("cyclist", "motorcyclist"):
            return self._try_rider(kind, ego_x, z, is_forced)
        if kind in ("bicycle", "motorcycle"):
            sign = 1 if is_forced and ego_x > 0 else int(rng.choice((-1, 1)))
            facing = 0 if rng.random() < 0.65 else sign
            width = 1.8 if facing == 0 else 0.6
            inward = -0.2 if kind == "motorcycle" else 0.9
            z = float(rng.uniform(7.0, 12.0)) if is_forced else min(z, 40.0)
            return self._try_box(kind, sign * (street.half_width + inward), z, (width, 1.1, 0.4), facing)
        if kind == "person":
            return self._try_person(z)
        return self._try_furniture(kind, z)

    def _try_vehicle(self, kind: str, ego_x: float, z: float) -> bool:
        rng, street = self.rng, self.street
        lane = int(rng.integers(-street.lanes, street.lanes))
        if kind == "train":
            lane = -1
        x = (lane + 0.5) * street.lane_width + float(rng.uniform(-0.2, 0.2))
        facing = 1 if lane >= 0 else -1
        size = {
            "car": (1.8, float(rng.uniform(1.4, 1.75)), float(rng.uniform(3.8, 4.7))),
            "truck": (2.4, float(rng.uniform(2.9, 3.7)), float(rng.uniform(6.0, 9.0))),
            "bus": (2.5, 3.1, float(rng.uniform(10.0, 12.0))),
            "train": (2.4, 3.5, float(rng.uniform(18.0, 28.0))),
        }[kind]
        if abs(x - ego_x) < 2.2:
            z = max(z, 11.0 if kind == "car" else 15.0)
        pace = self.speed * float(rng.uniform(0.97, 1.15)) if facing > 0 else -0.45
        if not self._try_box(kind, x, z, size, facing, (0.0, pace)):
            return False
        if kind == "train":
            self.street = replace(self.street, rails=True)
        return True

    def _try_rider(self, kind: str, ego_x: float, z: float, is_forced: bool) -> bool:
        rng, street = self.rng, self.street
        z = float(rng.uniform(7.5, 13.0)) if is_forced else min(z, 55.0)
        if rng.random() < 0.35:
            x = float(rng.uniform(-0.8, 0.8)) * street.half_width
            return self._try_box(
                kind, x, max(z, 9.0 + self.travel), (1.9, 1.8, 0.5), 0, (float(rng.choice((-0.15, 0.15))), 0.0)
            )
        sign = 1 if rng.random() < 0.7 else -1
        x = sign * (street.half_width - street.parking - 0.8)
        if abs(x - ego_x) < 1.2:
            z = max(z, 8.0)
        return self._try_box(kind, x, z, (0.7, 1.8, 0.5), sign, (0.0, 0.2 * sign))

    def _try_person(self, z: float) -> bool:
        rng, street = self.rng, self.street
        height = float(rng.uniform(1.5, 1.9))
        if rng.random() < 0.15:
            x = float(rng.uniform(-1.0, 1.0)) * street.half_width
            return self._try_box(
                "person", x, max(z, 9.0 + self.travel), (0.6, height, 0.3), 0, (float(rng.choice((-0.05, 0.05))), 0.0)
            )
        sign = int(rng.choice((-1, 1)))
        verge = street.left if sign < 0 else street.right
        x = sign * (street.half_width + float(rng.uniform(0.5, max(verge.sidewalk - 0.3, 0.6))))
        return self._try_box("person", x, min(z, 60.0), (0.6, height, 0.3), 1, (0.0, float(rng.choice((-0.04, 0.04)))))

    def _try_furniture(self, kind: str, z: float) -> bool:
        rng, street = self.rng, self.street
        sign = int(rng.choice((-1, 1), p=(0.4, 0.6)))
        verge = street.left if sign < 0 else street.right
        kerb = street.half_width + 0.45
        if kind == "bush":
            x = street.half_width + verge.sidewalk + max(verge.grass - 0.8, 0.0)
            return self._try_box(
                kind, sign * x, z, (float(rng.uniform(1.2, 2.4)), float(rng.uniform(0.9, 1.6)), 0.4), 1
            )
        if kind == "light":
            if street.crossing is not None and rng.random() < 0.7:
                z = street.crossing - 1.0 if rng.random() < 0.6 else street.crossing + 10.0
            z = min(z, 35.0)
            return self._try_box(kind, sign * kerb, z, (0.5, float(rng.uniform(2.6, 3.6)), 0.2), 1)
        if kind == "sign":
            return self._try_box(
                kind, sign * kerb, min(z, 45.0), (float(rng.uniform(0.75, 1.1)), float(rng.uniform(2.2, 2.9)), 0.2), 1
            )
        if kind == "lamp":
            return self._try_box(kind, sign * kerb, min(z, 60.0), (0.3, float(rng.uniform(6.0, 8.0)), 0.2), 1)
        return self._try_box(
            "pole", sign * kerb, min(z, 50.0), (float(rng.uniform(0.14, 0.28)), float(rng.uniform(1.0, 6.5)), 0.2), 1
        )

    def _try_box(
        self,
        kind: str,
        x: float,
        z: float,
        size: tuple[float, float, float],
        facing: int,
        speed: tuple[float, float] = (0.0, 0.0),
    ) -> bool:
        width, height, length = size
        box = (x - width / 2 - 0.1, x + width / 2 + 0.1, z - 0.5, z + length + 0.5)
        if any(box[0] < b[1] and b[0] < box[1] and box[2] < b[3] and b[2] < box[3] for b in self.taken):
            return False
        self.taken.append(box)
        self._add(kind, x, z, width, height, length, facing, speed if self.moves else (0.0, 0.0))
        return True
