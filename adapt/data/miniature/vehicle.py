"""How cars, trucks, buses and trams are drawn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np

from adapt.data.miniature.canvas import Canvas
from adapt.data.miniature.part import BUS, TRAIN, TRUCK
from adapt.data.miniature.scene import Thing

Point = tuple[float, float]

CAR_HULL: Final[tuple[Point, ...]] = (
    (-0.5, 0.17), (-0.5, 0.52), (-0.46, 0.6), (-0.24, 0.64), (-0.12, 0.97), (0.0, 1.0), (0.22, 0.98), (0.36, 0.68),
    (0.48, 0.62), (0.5, 0.2),
)  # fmt: skip
"""Outline of a car seen from its side, as shares of its length and height."""

CAR_GLASS: Final[tuple[tuple[Point, ...], ...]] = (
    ((-0.2, 0.65), (-0.1, 0.92), (0.02, 0.93), (0.02, 0.65)),
    ((0.05, 0.65), (0.05, 0.93), (0.2, 0.91), (0.31, 0.66)),
)


def cast_shadow(canvas: Canvas, thing: Thing) -> None:
    """Darken the road under a thing."""
    half = thing.width / 2 + 0.15
    canvas.flat(
        (thing.x - half, thing.x + half), (thing.z - 0.25, thing.z + thing.length + 0.2), "road_shadow", thing.tone
    )


def draw_car(canvas: Canvas, thing: Thing) -> None:
    """Draw a car lengthwise (hull, cabin, panes, lamps) or, facing 0, from its side."""
    cast_shadow(canvas, thing)
    if thing.facing == 0:
        _draw_car_side(canvas, thing)
        return
    half, height, near, far = thing.width / 2, thing.height, thing.z, thing.z + thing.length
    x = (thing.x - half, thing.x + half)
    belt, sill = 0.58 * height, 0.16 * height
    flank = canvas.flank(x, (near, far))
    if flank is not None:
        canvas.side(flank, (sill, belt), (near, far), "car", thing.tone)
        wheels = np.array(
            [[0.0, 0.3 * height, near + s * thing.length, near + (s + 0.15) * thing.length] for s in (0.12, 0.72)]
        )
        canvas.sides(flank, wheels, "tyre", thing.tone)
    canvas.flat(x, (near, far), "car", thing.tone, belt)
    cabin = (near + 0.14 * thing.length, near + 0.7 * thing.length)
    roof = (thing.x - 0.78 * half, thing.x + 0.78 * half)
    if flank is not None:
        inner = roof[0] if flank == x[0] else roof[1]
        canvas.side(inner, (belt, height), cabin, "car", thing.tone)
        canvas.side(inner, (belt + 0.05, height - 0.12), (cabin[0] + 0.25, cabin[1] - 0.2), "glass", thing.tone)
    canvas.flat(roof, (cabin[0] + 0.1, cabin[1]), "car", thing.tone, height)
    canvas.shape(
        [(x[0] + 0.06, belt), (roof[0], height), (roof[1], height), (x[1] - 0.06, belt)], cabin[0], "car", thing.tone
    )
    pane = [
        (x[0] + 0.2, belt + 0.04),
        (roof[0] + 0.1, height - 0.1),
        (roof[1] - 0.1, height - 0.1),
        (x[1] - 0.2, belt + 0.04),
    ]
    canvas.shape(pane, cabin[0], "glass", thing.tone)
    for edge in (x[0] + 0.05, x[1] - 0.3):
        canvas.front((edge, edge + 0.25), (0.0, sill + 0.1), near, "tyre", thing.tone)
    canvas.front(x, (sill, belt), near, "car", thing.tone)
    canvas.front((x[0] + 0.05, x[1] - 0.05), (sill, sill + 0.14), near, "trim", thing.tone)
    lamp = "tail_lamp" if thing.facing > 0 else "head_lamp"
    for edge in (x[0] + 0.05, x[1] - 0.37):
        canvas.front((edge, edge + 0.32), (belt - 0.27, belt - 0.08), near, lamp, thing.tone)
    canvas.front((thing.x - 0.26, thing.x + 0.26), (sill + 0.16, sill + 0.28), near, "plate", thing.tone)


def _draw_car_side(canvas: Canvas, thing: Thing) -> None:
    flip = 1 if thing.seed % 2 else -1
    canvas.shape(
        [(thing.x + flip * x * thing.width, y * thing.height) for x, y in CAR_HULL], thing.z, "car", thing.tone
    )
    for pane in CAR_GLASS:
        canvas.shape(
            [(thing.x + flip * x * thing.width, y * thing.height) for x, y in pane], thing.z, "glass", thing.tone
        )
    radius = 0.21 * thing.height
    for centre in (-0.31, 0.31):
        canvas.disc(thing.x + centre * thing.width, radius, (radius, radius), thing.z, "tyre", thing.tone)
        canvas.disc(thing.x + centre * thing.width, radius, (radius / 2, radius / 2), thing.z, "plate", thing.tone)


def draw_truck(canvas: Canvas, thing: Thing) -> None:
    """Draw a lorry: a tall plain box with a lower cab of another colour."""
    cast_shadow(canvas, thing)
    half, near, far = thing.width / 2, thing.z, thing.z + thing.length
    x = (thing.x - half, thing.x + half)
    cab = 0.74 * thing.height
    if thing.facing > 0:
        canvas.cuboid(x, (0.35, cab), (far - 1.9, far), "truck_cab", thing.accent)
        _draw_box(canvas, thing, (near, far - 2.0))
        for edge in (x[0] + 0.05, x[1] - 0.35):
            canvas.front((edge, edge + 0.3), (0.6, 0.8), near, "tail_lamp", thing.tone, TRUCK)
    else:
        _draw_box(canvas, thing, (near + 2.0, far))
        canvas.cuboid(x, (0.35, cab), (near, near + 1.9), "truck_cab", thing.accent)
        flank = canvas.flank(x, (near, far))
        if flank is not None:
            canvas.side(flank, (0.58 * cab, 0.9 * cab), (near + 0.3, near + 1.3), "glass", thing.tone, TRUCK)
        canvas.front((x[0] + 0.15, x[1] - 0.15), (0.55 * cab, 0.93 * cab), near, "glass", thing.tone, TRUCK)
        canvas.front((x[0] + 0.3, x[1] - 0.3), (0.22 * cab, 0.42 * cab), near, "trim", thing.tone, TRUCK)
        for edge in (x[0] + 0.1, x[1] - 0.45):
            canvas.front((edge, edge + 0.35), (0.55, 0.8), near, "head_lamp", thing.tone, TRUCK)
    _draw_wheels(canvas, thing, TRUCK, (0.08, 0.62, 0.8))


def _draw_box(canvas: Canvas, thing: Thing, z: tuple[float, float]) -> None:
    x = (thing.x - thing.width / 2, thing.x + thing.width / 2)
    canvas.cuboid(x, (0.8, thing.height), z, "truck_box", thing.tone)
    canvas.front((x[0] + 0.1, x[1] - 0.1), (0.4, 0.8), z[0], "trim", thing.tone, TRUCK)
    canvas.front((thing.x - 0.04, thing.x + 0.04), (0.85, thing.height - 0.1), z[0], "trim", thing.tone, TRUCK)


def _draw_wheels(canvas: Canvas, thing: Thing, owner: int, stations: tuple[float, ...]) -> None:
    half, near, far = thing.width / 2, thing.z, thing.z + thing.length
    flank = canvas.flank((thing.x - half, thing.x + half), (near, far))
    if flank is not None:
        wheels = np.array([[0.0, 0.9, near + s * thing.length, near + s * thing.length + 0.9] for s in stations])
        canvas.sides(flank, wheels, "tyre", thing.tone, owner)
    for edge in (thing.x - half + 0.1, thing.x + half - 0.45):
        canvas.front((edge, edge + 0.35), (0.0, 0.4), near, "tyre", thing.tone, owner)


def draw_bus(canvas: Canvas, thing: Thing) -> None:
    """Draw a city bus: a long one-colour box with a band of windows, doors and a destination board."""
    cast_shadow(canvas, thing)
    half, height, near, far = thing.width / 2, thing.height, thing.z, thing.z + thing.length
    x = (thing.x - half, thing.x + half)
    canvas.cuboid(x, (0.3, height), (near, far), "bus", thing.tone)
    flank = canvas.flank(x, (near, far))
    if flank is not None:
        panes = np.array([[1.35, height - 0.5, s, s + 1.35] for s in np.arange(near + 0.4, far - 1.5, 1.6).tolist()])
        canvas.sides(flank, panes, "glass", thing.tone, BUS)
        doors = np.array(
            [[0.45, height - 0.5, near + s * thing.length, near + s * thing.length + 1.1] for s in (0.1, 0.55)]
        )
        canvas.sides(flank, doors, "trim", thing.tone, BUS)
    canvas.front((x[0] + 0.15, x[1] - 0.15), (1.2, height - 0.6), near, "glass", thing.tone, BUS)
    canvas.front((x[0] + 0.3, x[1] - 0.3), (height - 0.45, height - 0.12), near, "board", thing.tone, BUS)
    lamp = "tail_lamp" if thing.facing > 0 else "head_lamp"
    for edge in (x[0] + 0.1, x[1] - 0.5):
        canvas.front((edge, edge + 0.4), (0.55, 0.85), near, lamp, thing.tone, BUS)
    _draw_wheels(canvas, thing, BUS, (0.15, 0.75))


def draw_train(canvas: Canvas, thing: Thing) -> None:
    """Draw a tram: a long box with a coloured stripe, tall windows, a tapered front and a pantograph."""
    cast_shadow(canvas, thing)
    half, height, near, far = thing.width / 2, thing.height, thing.z, thing.z + thing.length
    x = (thing.x - half, thing.x + half)
    canvas.stroke((thing.x - 0.7, height), (thing.x + 0.5, height + 0.9), 0.08, near + 4, "trim", thing.tone, TRAIN)
    canvas.cuboid(x, (0.2, height), (near, far), "train", thing.tone)
    flank = canvas.flank(x, (near, far))
    if flank is not None:
        panes = np.array([[1.5, height - 0.6, s, s + 2.0] for s in np.arange(near + 0.5, far - 2.2, 2.4).tolist()])
        canvas.sides(flank, panes, "glass", thing.tone, TRAIN)
        canvas.side(flank, (0.75, 1.3), (near, far), "train_stripe", thing.accent)
    canvas.front((x[0], x[1]), (0.2, 1.3), near, "train_stripe", thing.accent)
    pane = [(x[0] + 0.2, 1.3), (x[0] + 0.4, height - 0.5), (x[1] - 0.4, height - 0.5), (x[1] - 0.2, 1.3)]
    canvas.shape(pane, near, "glass", thing.tone, TRAIN)
    canvas.front((x[0] + 0.6, x[1] - 0.6), (height - 0.38, height - 0.12), near, "board", thing.tone, TRAIN)
    for edge in (x[0] + 0.2, x[1] - 0.55):
        canvas.front((edge, edge + 0.35), (0.6, 0.85), near, "head_lamp", thing.tone, TRAIN)
    canvas.front((x[0] + 0.2, x[1] - 0.2), (0.05, 0.25), near, "trim", thing.tone, TRAIN)


DRAW_VEHICLE: Final[dict[str, Callable[[Canvas, Thing], None]]] = {
    "car": draw_car,
    "truck": draw_truck,
    "bus": draw_bus,
    "train": draw_train,
}
