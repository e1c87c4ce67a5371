"""How what lines a street is drawn: buildings, walls, fences, hedges, trees, poles, signs and traffic lights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from adapt.data.miniature.canvas import NEAR, Canvas
from adapt.data.miniature.scene import Thing

Cells = NDArray[np.float64]

FLOOR_M: Final = 3.1
DETAIL_M: Final = 70.0
"""Depth in metres beyond which a building has no windows: they would be smaller than a pixel; ours."""

SIGN_PARTS: Final = ("sign_red", "sign_blue", "sign_yellow", "sign_white", "sign_back")


def draw_building(canvas: Canvas, thing: Thing) -> None:
    """Draw a block: facades, a grid of windows, a ground floor that may hold shops, and a cornice."""
    half, near, far, height = thing.width / 2, thing.z, thing.z + thing.length, thing.height
    x = (thing.x - half, thing.x + half)
    canvas.cuboid(x, (0.0, height), (near, far), "facade", thing.tone)
    if canvas.depth(near) > DETAIL_M:
        return
    floors = max(int(height / FLOOR_M), 1)
    rng = np.random.default_rng(thing.seed)
    is_shop = thing.accent[1] < 0.6
    flank = canvas.flank(x, (near, far))
    if flank is not None:
        canvas.side(flank, (height - 0.5, height), (near, far), "roof", thing.accent)
        columns = np.arange(near + 0.8, far - 1.4, 2.6)
        for part, tone, cells in _pick_windows(rng, floors, columns, thing):
            canvas.sides(flank, cells, part, tone)
        if is_shop:
            stations = np.arange(near + 0.5, far - 3.0, 4.2)
            canvas.sides(flank, _stack(0.4, 2.4, stations, 3.4), "shop", thing.accent)
            canvas.sides(flank, _stack(2.45, 3.0, stations, 3.6), "awning", thing.accent)
        else:
            doors = np.arange(near + 2.0, far - 1.5, 9.0)
            canvas.sides(flank, _stack(0.0, 2.3, doors, 1.1), "door", thing.accent)
    if canvas.depth(near) > NEAR:
        canvas.front(x, (height - 0.5, height), near, "roof", thing.accent)
        if floors > 1:
            left = np.tile(np.arange(x[0] + 0.8, x[1] - 1.2, 2.6), floors - 1)
            base = np.repeat(np.arange(1, floors) * FLOOR_M + 0.9, left.size // (floors - 1))
            canvas.fronts(np.stack([left, left + 1.2, base, base + 1.5], 1), near, "window", thing.tone)


def _stack(low: float, high: float, starts: Cells, length: float) -> Cells:
    cells = np.empty((starts.size, 4))
    cells[:, 0], cells[:, 1], cells[:, 2], cells[:, 3] = low, high, starts, starts + length
    return cells


def _pick_windows(
    rng: np.random.Generator, floors: int, columns: Cells, thing: Thing
) -> list[tuple[str, tuple[float, float, float], Cells]]:
    """Split the window grid at random into dark panes and panes that are bright or, at night, lit."""
    bases = np.repeat(np.arange(1, floors) * FLOOR_M + 0.9, columns.size)
    cells = _stack(0.0, 0.0, np.tile(columns, floors - 1), 1.25)
    cells[:, 0], cells[:, 1] = bases, bases + 1.55
    is_bright = rng.random(len(cells)) < 0.3
    tone = thing.tone
    dark, bright = (0.0, tone[1], tone[2]), (0.99, tone[1], tone[2])
    return [("window", dark, cells[~is_bright]), ("window", bright, cells[is_bright])]


def draw_wall(canvas: Canvas, thing: Thing) -> None:
    """Draw a free-standing wall with joints and a cap."""
    half, near, far = thing.width / 2, thing.z, thing.z + thing.length
    x = (thing.x - half, thing.x + half)
    canvas.cuboid(x, (0.0, thing.height), (near, far), "wall", thing.tone)
    flank = canvas.flank(x, (near, far))
    if flank is not None:
        joints = np.arange(near + 2.0, far, 3.0)
        canvas.sides(flank, _stack(0.0, thing.height, joints, 0.12), "wall_joint", thing.tone)
        canvas.side(flank, (thing.height - 0.18, thing.height), (near, far), "wall_cap", thing.accent)


def draw_fence(canvas: Canvas, thing: Thing) -> None:
    """Draw a fence along the street: a see-through panel behind upright bars and two rails."""
    near, far, height = thing.z, thing.z + thing.length, thing.height
    canvas.side(thing.x, (0.1, height), (near, far), "fence", thing.tone)
    spacing = 0.5 if thing.seed % 2 else 1.0
    canvas.sides(
        thing.x,
        _stack(0.0, height, np.arange(near, min(far, canvas.view.z + 40), spacing), 0.16),
        "fence_bar",
        thing.tone,
    )
    for level in (0.2, height - 0.12):
        canvas.side(thing.x, (level, level + 0.12), (near, far), "fence_bar", thing.tone)


def draw_hedge(canvas: Canvas, thing: Thing) -> None:
    """Draw a clipped hedge."""
    half = thing.width / 2
    x = (thing.x - half, thing.x + half)
    canvas.cuboid(x, (0.0, thing.height), (thing.z, thing.z + thing.length), "crown_dark", thing.tone)
    flank = canvas.flank(x, (thing.z, thing.z + thing.length))
    if flank is not None:
        canvas.side(flank, (0.45 * thing.height, thing.height), (thing.z, thing.z + thing.length), "crown", thing.tone)


def draw_tree(canvas: Canvas, thing: Thing) -> None:
    """Draw a tree: a trunk under a crown of dark and light leaf masses."""
    rng = np.random.default_rng(thing.seed)
    depth = canvas.depth(thing.z)
    if depth < NEAR:
        return
    crown, base = thing.width / 2, thing.height - 0.75 * thing.width
    canvas.stroke((thing.x, 0.0), (thing.x, base + 0.3), 0.035 * thing.height, thing.z, "trunk", thing.tone)
    middle = base + crown * 0.7
    count = 5 if depth < 20 else 3 if depth < 45 else 2
    draws = rng.random((count * 2, 3))
    for part, rows, lift in (("crown_dark", draws[:count].tolist(), -0.12), ("crown", draws[count:].tolist(), 0.15)):
        for u, v, w in rows:
            radius = crown * (0.42 + 0.22 * w)
            x = thing.x + (u - 0.5) * 1.25 * crown
            y = middle + (v - 0.5 + lift) * 1.15 * crown
            canvas.disc(x, y, (radius, 0.85 * radius), thing.z, part, thing.tone)


def draw_bush(canvas: Canvas, thing: Thing) -> None:
    """Draw a bush of three leaf masses on the ground."""
    half = thing.width / 2
    for part, x, y in (("crown_dark", -0.4, 0.45), ("crown_dark", 0.4, 0.4), ("crown", 0.0, 0.6)):
        canvas.disc(thing.x + x * half, y * thing.height, (0.6 * half, 0.42 * thing.height), thing.z, part, thing.tone)


def draw_pole(canvas: Canvas, thing: Thing) -> None:
    """Draw a plain pole."""
    canvas.stroke((thing.x, 0.0), (thing.x, thing.height), thing.width, thing.z, "pole", thing.tone)


def draw_lamp(canvas: Canvas, thing: Thing) -> None:
    """Draw a street lamp: a tall pole with an arm over the road."""
    reach = -1.6 if thing.x > 0 else 1.6
    canvas.stroke((thing.x, 0.0), (thing.x, thing.height), 0.16, thing.z, "pole", thing.tone)
    canvas.stroke((thing.x, thing.height), (thing.x + reach, thing.height + 0.25), 0.1, thing.z, "pole", thing.tone)
    canvas.stroke(
        (thing.x + 0.7 * reach, thing.height + 0.1),
        (thing.x + 1.2 * reach, thing.height + 0.1),
        0.22,
        thing.z,
        "street_lamp",
        thing.tone,
    )


def draw_sign(canvas: Canvas, thing: Thing) -> None:
    """Draw a traffic sign on its pole: a disc, a triangle or a board."""
    x, z, size = thing.x, thing.z, thing.width / 2
    y = thing.height
    canvas.stroke((x, 0.0), (x, y), 0.09, z, "pole", thing.accent)
    part = SIGN_PARTS[thing.seed % len(SIGN_PARTS)]
    form = thing.seed // 8 % 3
    if form == 0:
        canvas.disc(x, y, (size, size), z, part, thing.tone)
        if part == "sign_red":
            canvas.disc(x, y, (0.62 * size, 0.62 * size), z, "sign_white", thing.tone)
    elif form == 1:
        canvas.shape([(x - size, y - 0.8 * size), (x + size, y - 0.8 * size), (x, y + size)], z, part, thing.tone)
        inner = 0.5 * size
        if part == "sign_red":
            canvas.shape(
                [(x - inner, y - inner), (x + inner, y - inner), (x, y + 0.8 * inner)], z, "sign_white", thing.tone
            )
    else:
        canvas.front((x - size, x + size), (y - size, y + size), z, part, thing.tone)
        if part == "sign_blue":
            canvas.front(
                (x - 0.5 * size, x + 0.5 * size), (y - 0.5 * size, y + 0.6 * size), z, "sign_white", thing.tone
            )


def draw_light(canvas: Canvas, thing: Thing) -> None:
    """Draw a traffic light: a dark box of three lamps, one of them on, on a pole."""
    x, z, y = thing.x, thing.z, thing.height
    half = thing.width / 2
    canvas.stroke((x, 0.0), (x, y), 0.14, z, "pole", thing.accent)
    canvas.front((x - half, x + half), (y - 0.65, y + 0.65), z, "light_box", thing.tone)
    on = thing.seed % 3
    for position, colour in enumerate(("red", "amber", "green")):
        part = colour if position == on else "unlit"
        canvas.disc(x, y + 0.42 - 0.42 * position, (0.72 * half, 0.17), z, part, thing.tone)


DRAW_FURNITURE: Final[dict[str, Callable[[Canvas, Thing], None]]] = {
    "building": draw_building,
    "wall": draw_wall,
    "fence": draw_fence,
    "hedge": draw_hedge,
    "tree": draw_tree,
    "bush": draw_bush,
    "pole": draw_pole,
    "lamp": draw_lamp,
    "sign": draw_sign,
    "light": draw_light,
}
