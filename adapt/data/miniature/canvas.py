"""A canvas of surfaces: painting writes a surface's number into each pixel; class, colour and depth are tables.

Deferring colour keeps image and label exactly aligned, and lets one drawing take any look. Every surface is a plane, so
its inverse depth is linear in the pixel coordinates: 1/z = a * column + b * row + c.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.data.miniature.part import PART_CLASS, PART_INDEX
from adapt.data.miniature.scene import Tone, View

NEAR: Final = 1.5
"""Depth in metres at which everything is cut off; ours, chosen so that no coordinate leaves OpenCV's range."""

LIMIT: Final = 16000.0
"""Largest coordinate in pixels that is handed to OpenCV, whose arithmetic is 16 bit before the point."""

FRONT, SIDE, TOP = 0, 1, 2
"""How a surface faces: towards the camera, across the street, upwards."""

Plane = tuple[float, float, float]


class Canvas:
    """An (H, W) buffer of surface numbers with its tables; all positions are in metres.

    Args:
        view: The camera.
        width: Columns of the buffer.
        height: Rows of the buffer.
        min_width: Least width in buffer pixels of a thin structure, so that it survives subsampling.
    """

    def __init__(self, view: View, width: int, height: int, min_width: int = 2) -> None:
        self.view = view
        self.width = width
        self.height = height
        self.min_width = min_width
        # float(): NumPy's scalars are several times slower than Python's in the scalar arithmetic below.
        self.focal = float(view.focal * width)
        self.centre = float(view.centre * width)
        self.horizon = float(view.horizon * height)
        self.index: NDArray[np.uint16] = np.zeros((height, width), np.uint16)
        self.parts: list[int] = []
        self.classes: list[int] = []
        self.tones: list[Tone] = []
        self.planes: list[Plane] = []
        self.faces: list[int] = []

    def depth(self, z: float) -> float:
        """Return the distance ahead of the camera of world position `z`."""
        return z - self.view.z

    def column(self, x: float, depth: float) -> float:
        """Return the column of world position `x` at `depth`."""
        return self.centre + self.focal * (x - self.view.x + self.view.bend * depth * depth) / depth

    def row(self, y: float, depth: float) -> float:
        """Return the row of height `y` at `depth`."""
        return self.horizon + self.focal * (self.view.height - y) / depth

    def surface(self, part: str, tone: Tone, plane: Plane, face: int = FRONT, owner: int | None = None) -> int:
        """Register a surface and return its number; `owner` overrides the class of a shared part."""
        self.parts.append(PART_INDEX[part])
        self.classes.append(PART_CLASS[part] if owner is None else owner)
        self.tones.append(tone)
        self.planes.append(plane)
        self.faces.append(face)
        return len(self.parts) - 1

    def fill(self, polygons: NDArray[np.float64], surface: int) -> None:
        """Fill polygons given in buffer pixels, an (N, K, 2) array of (column, row)."""
        points = np.rint(np.minimum(np.maximum(polygons, -LIMIT), LIMIT)).astype(np.int32, order="C")
        cv2.fillPoly(self.index, list(points), surface)

    def outline(self, points: Sequence[tuple[float, float]], surface: int) -> None:
        """Fill one polygon of (column, row) points."""
        limit = int(LIMIT)
        corners = [(min(max(round(x), -limit), limit), min(max(round(y), -limit), limit)) for x, y in points]
        cv2.fillPoly(self.index, [np.array(corners, np.int32)], surface)

    def front(
        self, x: tuple[float, float], y: tuple[float, float], z: float, part: str, tone: Tone, owner: int | None = None
    ) -> None:
        """Paint an upright rectangle that faces the camera."""
        depth = self.depth(z)
        if depth < NEAR:
            return
        left, right = round(self.column(x[0], depth)), round(self.column(x[1], depth))
        bottom, top = round(self.row(y[0], depth)), round(self.row(y[1], depth))
        if right < 0 or left >= self.width or bottom < 0 or top >= self.height:
            return
        surface = self.surface(part, tone, (0.0, 0.0, 1.0 / depth), FRONT, owner)
        self.index[max(top, 0) : max(bottom, top + 1), max(left, 0) : max(right, left + 1)] = surface

    def fronts(self, rectangles: NDArray[np.float64], z: float, part: str, tone: Tone) -> None:
        """Paint upright rectangles (N, 4) of (x0, x1, y0, y1) that face the camera, all one surface."""
        depth = self.depth(z)
        if depth < NEAR or not len(rectangles):
            return
        scale = self.focal / depth
        shift = self.centre + scale * (self.view.bend * depth * depth - self.view.x)
        columns = rectangles[:, :2] * scale + shift
        if columns.max() < 0 or columns.min() > self.width:
            return
        rows = self.horizon + scale * (self.view.height - rectangles[:, 2:])
        corners = np.stack([columns[:, [0, 1, 1, 0]], rows[:, [0, 0, 1, 1]]], axis=2)
        self.fill(corners, self.surface(part, tone, (0.0, 0.0, 1.0 / depth)))

    def side(
        self, x: float, y: tuple[float, float], z: tuple[float, float], part: str, tone: Tone, owner: int | None = None
    ) -> None:
        """Paint an upright rectangle that runs along the street at `x`."""
        near, far = max(self.depth(z[0]), NEAR), self.depth(z[1])
        if far <= near + 1e-3:
            return
        near_column, far_column = self.column(x, near), self.column(x, far)
        if max(near_column, far_column) < 0 or min(near_column, far_column) > self.width:
            return
        corners = [
            (near_column, self.row(y[0], near)),
            (near_column, self.row(y[1], near)),
            (far_column, self.row(y[1], far)),
            (far_column, self.row(y[0], far)),
        ]
        plane = _upright_plane((near_column, 1.0 / near), (far_column, 1.0 / far))
        self.outline(corners, self.surface(part, tone, plane, SIDE, owner))

    def sides(self, x: float, rectangles: NDArray[np.float64], part: str, tone: Tone, owner: int | None = None) -> None:
        """Paint rectangles (N, 4) of (y0, y1, z0, z1) in the plane at `x`, all one surface."""
        near = np.maximum(rectangles[:, 2] - self.view.z, NEAR)
        far = rectangles[:, 3] - self.view.z
        low, high = rectangles[:, 0], rectangles[:, 1]
        keep = far > near
        if not keep.any():
            return
        if not keep.all():
            near, far, low, high = near[keep], far[keep], low[keep], high[keep]
        offset, bend, eye = self.focal * (x - self.view.x), self.focal * self.view.bend, self.view.height
        near_scale, far_scale = self.focal / near, self.focal / far
        near_column = self.centre + offset / near
        far_column = self.centre + offset / far
        if bend:
            near_column += bend * near
            far_column += bend * far
        if max(near_column.max(), far_column.max()) < 0 or min(near_column.min(), far_column.min()) > self.width:
            return
        corners = np.empty((near.size, 4, 2))
        corners[:, 0, 0] = corners[:, 1, 0] = near_column
        corners[:, 2, 0] = corners[:, 3, 0] = far_column
        corners[:, 0, 1] = self.horizon + near_scale * (eye - low)
        corners[:, 1, 1] = self.horizon + near_scale * (eye - high)
        corners[:, 2, 1] = self.horizon + far_scale * (eye - high)
        corners[:, 3, 1] = self.horizon + far_scale * (eye - low)
        first, last = int(near.argmin()), int(far.argmax())
        plane = _upright_plane(
            (float(near_column[first]), 1.0 / float(near[first])), (float(far_column[last]), 1.0 / float(far[last]))
        )
        self.fill(corners, self.surface(part, tone, plane, SIDE, owner))

    def flat(
        self,
        x: tuple[float, float],
        z: tuple[float, float],
        part: str,
        tone: Tone,
        y: float = 0.0,
        owner: int | None = None,
    ) -> None:
        """Paint a horizontal rectangle at height `y`; nothing if the camera is not above it."""
        near, far = max(self.depth(z[0]), NEAR), self.depth(z[1])
        drop = self.view.height - y
        if far <= near or drop <= 0.02:
            return
        count = 1 if self.view.bend == 0.0 or far - near < 8 else 9
        step = (1.0 / far - 1.0 / near) / count
        depths = [1.0 / (1.0 / near + i * step) for i in range(count + 1)]
        left = [(self.column(x[0], depth), self.row(y, depth)) for depth in depths]
        right = [(self.column(x[1], depth), self.row(y, depth)) for depth in reversed(depths)]
        self.outline(left + right, self.surface(part, tone, self._level_plane(drop), TOP, owner))

    def flats(self, rectangles: NDArray[np.float64], part: str, tone: Tone) -> None:
        """Paint short rectangles (N, 4) of (x0, x1, z0, z1) on the ground, all one surface."""
        near = np.maximum(rectangles[:, 2] - self.view.z, NEAR)
        far = rectangles[:, 3] - self.view.z
        keep = far > near
        if not keep.any():
            return
        near, far, low, high = near[keep], far[keep], rectangles[keep, 0], rectangles[keep, 1]
        corners = np.empty((near.size, 4, 2))
        for number, (x, depth) in enumerate(((low, near), (high, near), (high, far), (low, far))):
            shift = self.view.bend * depth * depth - self.view.x
            corners[:, number, 0] = self.centre + self.focal * (x + shift) / depth
            corners[:, number, 1] = self.horizon + self.focal * self.view.height / depth
        self.fill(corners, self.surface(part, tone, self._level_plane(self.view.height), TOP))

    def _level_plane(self, drop: float) -> Plane:
        scale = 1.0 / (self.focal * drop)
        return (0.0, scale, -self.horizon * scale)

    def cuboid(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        z: tuple[float, float],
        part: str,
        tone: Tone,
        owner: int | None = None,
    ) -> None:
        """Paint the visible faces of a box: its flank, its top and its near end."""
        flank = self.flank(x, z)
        if flank is not None:
            self.side(flank, y, z, part, tone, owner)
        self.flat(x, z, part, tone, y[1], owner)
        self.front(x, y, z[0], part, tone, owner)

    def flank(self, x: tuple[float, float], z: tuple[float, float]) -> float | None:
        """Return the x of the flank that the camera sees, or None if it looks at the box head on."""
        depth = max(self.depth(z[0]), NEAR)
        shift = self.view.bend * depth * depth - self.view.x
        if x[0] + shift > 0:
            return x[0]
        if x[1] + shift < 0:
            return x[1]
        return None

    def shape(
        self, points: Sequence[tuple[float, float]], z: float, part: str, tone: Tone, owner: int | None = None
    ) -> None:
        """Paint a polygon of (x, y) points that faces the camera."""
        depth = self.depth(z)
        if depth < NEAR:
            return
        outline = [(self.column(x, depth), self.row(y, depth)) for x, y in points]
        self.outline(outline, self.surface(part, tone, (0.0, 0.0, 1.0 / depth), FRONT, owner))

    def disc(
        self,
        x: float,
        y: float,
        radius: tuple[float, float],
        z: float,
        part: str,
        tone: Tone,
        owner: int | None = None,
        rim: float = 0.0,
    ) -> None:
        """Paint an ellipse that faces the camera, filled, or only its rim of `rim` metres."""
        depth = self.depth(z)
        if depth < NEAR:
            return
        scale = self.focal / depth
        centre = (round(self.column(x, depth)), round(self.row(y, depth)))
        axes = (min(round(radius[0] * scale), 4000), min(round(radius[1] * scale), 4000))
        if abs(centre[0]) > 16000 or abs(centre[1]) > 16000:
            return
        thickness = max(round(rim * scale), 1) if rim else -1
        surface = self.surface(part, tone, (0.0, 0.0, 1.0 / depth), FRONT, owner)
        cv2.ellipse(self.index, centre, axes, 0.0, 0.0, 360.0, surface, min(thickness, 200))

    def stroke(
        self,
        start: tuple[float, float],
        end: tuple[float, float],
        width: float,
        z: float,
        part: str,
        tone: Tone,
        owner: int | None = None,
    ) -> None:
        """Paint a straight bar between two (x, y) points that faces the camera, never thinner than `min_width`."""
        depth = self.depth(z)
        if depth < NEAR:
            return
        scale = self.focal / depth
        begin = (self.column(start[0], depth), self.row(start[1], depth))
        stop = (self.column(end[0], depth), self.row(end[1], depth))
        across = (stop[1] - begin[1], begin[0] - stop[0])
        norm = max(math.hypot(*across), 1e-6)
        half = max(width * scale, self.min_width - 1) / 2 / norm
        shift = (across[0] * half, across[1] * half)
        outline = [
            (begin[0] - shift[0], begin[1] - shift[1]),
            (begin[0] + shift[0], begin[1] + shift[1]),
            (stop[0] + shift[0], stop[1] + shift[1]),
            (stop[0] - shift[0], stop[1] - shift[1]),
        ]
        self.outline(outline, self.surface(part, tone, (0.0, 0.0, 1.0 / depth), FRONT, owner))


def _upright_plane(near: tuple[float, float], far: tuple[float, float]) -> Plane:
    """Return the plane of an upright surface from (column, inverse depth) of its two ends."""
    span = far[0] - near[0]
    if abs(span) < 1.0:
        return (0.0, 0.0, (near[1] + far[1]) / 2)
    slope = (far[1] - near[1]) / span
    return (slope, 0.0, near[1] - slope * near[0])
