"""How a whole scene is drawn: sky and ground first, then every thing from far to near."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapt.data.miniature.canvas import NEAR, Canvas
from adapt.data.miniature.figure import DRAW_FIGURE
from adapt.data.miniature.furniture import DRAW_FURNITURE
from adapt.data.miniature.scene import LINE_KINDS, Scene, Street, Thing, Tone, Verge
from adapt.data.miniature.vehicle import DRAW_VEHICLE

FAR: Final = 150.0
"""Depth in metres at which the street ends; ours."""

WIDE: Final = 90.0
"""Half the width in metres of the drawn ground; ours."""

Line = NDArray[np.float64]

PLAIN: Final[Tone] = (0.5, 0.5, 0.5)

DRAW: Final[dict[str, Callable[[Canvas, Thing], None]]] = {**DRAW_FURNITURE, **DRAW_VEHICLE, **DRAW_FIGURE}


def draw_scene(scene: Scene, width: int, height: int) -> Canvas:
    """Draw a scene.

    Args:
        scene: The scene.
        width: Columns of the canvas.
        height: Rows of the canvas.

    Returns:
        The canvas: every pixel holds the number of the surface that is seen there.
    """
    canvas = Canvas(scene.view, width, height)
    _draw_sky(canvas, scene)
    _draw_ground(canvas, scene.street)
    seen = [t for t in scene.things if canvas.depth(t.z + t.length) > NEAR and canvas.depth(t.z) < FAR]
    lines = [thing for thing in seen if thing.kind in LINE_KINDS]
    others = [thing for thing in seen if thing.kind not in LINE_KINDS]
    for thing in sorted(lines, key=lambda line: (-line.z, -abs(line.x))):
        DRAW[thing.kind](canvas, thing)
    for thing in sort_things(others, scene.view.x):
        DRAW[thing.kind](canvas, thing)
    if scene.has_bonnet:
        _draw_bonnet(canvas)
    return canvas


def sort_things(things: Sequence[Thing], eye: float) -> list[Thing]:
    """Order things for painting, so that none is painted over what stands before it.

    Of two things at the same depth the one further to the side comes first (a long tram hides what is beside it only on
    its far side); all others go from far to near.

    Args:
        things: Things that stand on the street.
        eye: World x of the camera, metres.

    Returns:
        The same things in painting order.
    """
    if not things:
        return []
    near = np.array([thing.z for thing in things])
    far = near + np.array([thing.length for thing in things])
    aside = np.abs(np.array([thing.x for thing in things]) - eye)
    is_before = (
        (near[:, None] < far) & (near < far[:, None]) & (aside[:, None] > aside)
    )  # [i, j]: i is painted before j
    waits = is_before.sum(axis=0).tolist()
    ready = [(-thing.z, number) for number, thing in enumerate(things) if waits[number] == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        _, number = heapq.heappop(ready)
        order.append(things[number])
        for other in np.flatnonzero(is_before[number]).tolist():
            waits[other] -= 1
            if waits[other] == 0:
                heapq.heappush(ready, (-things[other].z, other))
    return order


def _draw_sky(canvas: Canvas, scene: Scene) -> None:
    street = scene.street
    canvas.index[:] = canvas.surface("sky", scene.sky, (0.0, 0.0, 0.0))
    width, height = canvas.width, canvas.height
    for column, row, extent in scene.clouds:
        surface = canvas.surface("cloud", scene.sky, (0.0, 0.0, 0.0))
        for shift, size in ((-0.5, 0.6), (0.0, 1.0), (0.6, 0.7)):
            angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
            x = (column + shift * extent) * width + np.cos(angles) * size * extent * 0.6 * width
            y = row * height + np.sin(angles) * size * extent * 0.18 * width
            canvas.fill(np.stack([x, y], 1)[None], surface)
    segment = 2 * WIDE / len(street.skyline)
    for number, level in enumerate(street.skyline):
        left = -WIDE + number * segment
        tone = (level, level, street.tone[0])
        part = "hill" if street.green_end or number % 3 == 0 else "skyline"
        tall = 4.0 + 9.0 * level if part == "hill" else 7.0 + 14.0 * level
        if part == "hill":
            middle = left + segment / 2
            canvas.disc(middle, 0.0, (0.9 * segment, tall), canvas.view.z + FAR, part, tone)
        else:
            canvas.front((left, left + segment), (0.0, tall), canvas.view.z + FAR, part, tone)


def _draw_ground(canvas: Canvas, street: Street) -> None:
    start = canvas.view.z
    end = start + FAR
    for sign, verge in ((-1, street.left), (1, street.right)):
        _draw_verge(canvas, street, verge, sign, (start, end))
    half = street.half_width
    canvas.flat((-half, half), (start, end), "road", street.tone)
    z = np.arange(np.floor(start / 17) * 17, start + 60, 17)
    offset = np.sin(z * 12.9898 + street.tone[1] * 50) * (half - 1.5)
    canvas.flats(np.stack([offset - 1.1, offset + 1.1, z + 3, z + 8], 1), "patch", street.tone)
    if street.crossing is not None:
        canvas.flat((-WIDE, WIDE), (street.crossing, street.crossing + 9.0), "road", street.tone)
    _draw_marks(canvas, street, (start, end))


def _draw_verge(canvas: Canvas, street: Street, verge: Verge, sign: int, z: tuple[float, float]) -> None:
    kerb = street.half_width
    walk, grass = kerb + verge.sidewalk, kerb + verge.sidewalk + verge.grass
    beyond = "terrain" if verge.is_open else "sidewalk"
    canvas.flat(_span(sign, grass, WIDE), z, beyond, street.tone)
    if verge.grass > 0:
        canvas.flat(_span(sign, walk, grass), z, "terrain", street.tone)
        near = np.arange(np.floor(z[0] / 5) * 5, z[0] + 45, 5.0)
        inner = walk + (0.3 + 0.24 * np.sin(near * 7.7)) * verge.grass
        canvas.flats(_strips(sign, inner, np.full_like(near, walk + 0.9 * verge.grass), near, 2.0), "tuft", street.tone)
    canvas.flat(_span(sign, kerb, walk), z, "sidewalk", street.tone)
    near = np.arange(np.floor(z[0] / 2) * 2, z[0] + 24, 2.0)
    canvas.flats(_strips(sign, np.full_like(near, kerb), np.full_like(near, walk), near, 0.1), "joint", street.tone)
    canvas.flat(_span(sign, kerb - 0.05, kerb + 0.25), z, "kerb", street.tone)


def _span(sign: int, inner: float, outer: float) -> tuple[float, float]:
    return (inner, outer) if sign > 0 else (-outer, -inner)


def _strips(sign: int, inner: Line, outer: Line, near: Line, length: float) -> Line:
    """Return ground rectangles (N, 4) of (x0, x1, z0, z1) on one side of the street."""
    low, high = (inner, outer) if sign > 0 else (-outer, -inner)
    return np.stack([low, high, near, near + length], 1)


def _draw_marks(canvas: Canvas, street: Street, z: tuple[float, float]) -> None:
    start, end = z
    if street.rails:
        for x in (-street.lane_width / 2 - 0.75, -street.lane_width / 2 + 0.6):
            canvas.flat((x, x + 0.15), (start, end), "rail", street.tone)
    if street.marks:
        edge = street.lanes * street.lane_width
        near = np.arange(np.floor(start / 8) * 8, start + 72, 8.0)
        for x in [lane * street.lane_width for lane in range(1 - street.lanes, street.lanes)]:
            canvas.flats(
                _strips(1, np.full_like(near, x - 0.09), np.full_like(near, x + 0.09), near, 4.0), "lane", street.tone
            )
        for x in (-edge + 0.1, edge - 0.25):
            canvas.flat((x, x + 0.15), (start, end), "lane", street.tone)
    if street.zebra is not None:
        left = np.arange(-street.half_width + 0.4, street.half_width - 0.5, 1.0)
        canvas.flats(_strips(1, left, left + 0.5, np.full_like(left, street.zebra), 3.0), "lane", street.tone)


def _draw_bonnet(canvas: Canvas) -> None:
    angles = np.linspace(np.pi, 2 * np.pi, 24)
    x = (0.5 + 0.62 * np.cos(angles)) * canvas.width
    y = (1.0 + 0.085 * np.sin(angles)) * canvas.height
    outline = np.concatenate(
        [np.stack([x, y], 1), [[1.2 * canvas.width, canvas.height + 4.0], [-0.2 * canvas.width, canvas.height + 4.0]]]
    )
    canvas.fill(outline[None], canvas.surface("bonnet", PLAIN, (0.0, 0.0, 0.5)))
