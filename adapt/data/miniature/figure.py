"""How people, bicycles, motorcycles and those who ride them are drawn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from adapt.data.miniature.canvas import Canvas
from adapt.data.miniature.part import BICYCLE, MOTORCYCLE, PERSON, RIDER
from adapt.data.miniature.scene import Thing


def draw_person(canvas: Canvas, thing: Thing) -> None:
    """Draw a standing or walking person: legs, torso, arms, head and hair."""
    tall, x, z = thing.height, thing.x, thing.z
    stride = 0.12 * tall * math.sin(2.0 * (z + x) + thing.seed)
    hip, shoulder = 0.5 * tall, 0.82 * tall
    half = 0.13 * tall
    shadow = "sidewalk_shadow" if thing.facing else "road_shadow"
    canvas.flat((x - 0.3, x + 0.3), (z - 0.15, z + 0.25), shadow, thing.tone)
    for foot, side in ((stride, -0.06), (-stride, 0.06)):
        canvas.stroke((x + side * tall, hip), (x + side * tall + foot, 0.0), 0.1 * tall, z, "trousers", thing.accent)
    torso = [(x - half, shoulder), (x + half, shoulder), (x + 0.75 * half, hip - 0.04), (x - 0.75 * half, hip - 0.04)]
    canvas.shape(torso, z, "shirt", thing.tone)
    for side in (-1, 1):
        hand = (x + side * 1.5 * half + 0.5 * side * stride, 0.48 * tall)
        canvas.stroke((x + side * half, shoulder - 0.04), hand, 0.07 * tall, z, "shirt", thing.tone)
    canvas.disc(x, 0.91 * tall, (0.07 * tall, 0.09 * tall), z, "skin", thing.tone, PERSON)
    canvas.disc(x, 0.95 * tall, (0.07 * tall, 0.05 * tall), z, "hair", thing.accent, PERSON)


def draw_bicycle(canvas: Canvas, thing: Thing) -> None:
    """Draw a bicycle from its side (two rims and a frame) or lengthwise (one narrow wheel and a bar)."""
    x, z, radius = thing.x, thing.z, 0.34
    if thing.facing == 0:
        rear, front = (x - 0.53, radius), (x + 0.53, radius)
        for hub in (rear, front):
            canvas.disc(hub[0], hub[1], (radius, radius), z, "tyre", thing.tone, BICYCLE, rim=0.08)
        saddle, pedal, head = (x - 0.22, 0.86), (x - 0.05, 0.32), (x + 0.38, 0.84)
        for start, end in (
            (rear, saddle),
            (rear, pedal),
            (pedal, saddle),
            (pedal, head),
            (saddle, head),
            (head, front),
        ):
            canvas.stroke(start, end, 0.07, z, "bicycle", thing.tone)
        canvas.stroke((head[0], 0.84), (head[0] + 0.08, 1.02), 0.06, z, "bicycle", thing.tone)
        canvas.stroke((saddle[0] - 0.13, 0.92), (saddle[0] + 0.13, 0.92), 0.08, z, "trim", thing.tone, BICYCLE)
    else:
        canvas.disc(x, radius, (0.06, radius), z, "tyre", thing.tone, BICYCLE)
        canvas.stroke((x, 0.4), (x, 0.98), 0.08, z, "bicycle", thing.tone)
        canvas.stroke((x - 0.28, 1.0), (x + 0.28, 1.0), 0.06, z, "bicycle", thing.tone)


def draw_motorcycle(canvas: Canvas, thing: Thing) -> None:
    """Draw a motorcycle from its side or lengthwise."""
    x, z, radius = thing.x, thing.z, 0.33
    canvas.flat((x - thing.width / 2, x + thing.width / 2), (z - 0.2, z + 0.3), "road_shadow", thing.tone)
    if thing.facing == 0:
        for hub in (x - 0.68, x + 0.68):
            canvas.disc(hub, radius, (radius, radius), z, "tyre", thing.tone, MOTORCYCLE, rim=0.16)
        hull = [
            (x - 0.75, 0.72),
            (x - 0.2, 0.78),
            (x, 0.98),
            (x + 0.4, 0.95),
            (x + 0.5, 0.6),
            (x + 0.2, 0.3),
            (x - 0.3, 0.3),
        ]
        canvas.shape(hull, z, "motorcycle", thing.tone)
        canvas.shape(
            [(x - 0.28, 0.28), (x - 0.2, 0.55), (x + 0.2, 0.55), (x + 0.25, 0.28)], z, "trim", thing.accent, MOTORCYCLE
        )
        canvas.stroke((x + 0.68, radius), (x + 0.42, 1.12), 0.1, z, "trim", thing.tone, MOTORCYCLE)
        canvas.disc(x + 0.55, 0.9, (0.12, 0.12), z, "head_lamp", thing.tone, MOTORCYCLE)
    else:
        canvas.disc(x, radius, (0.11, radius), z, "tyre", thing.tone, MOTORCYCLE)
        canvas.shape(
            [(x - 0.26, 0.45), (x - 0.2, 0.95), (x + 0.2, 0.95), (x + 0.26, 0.45)], z, "motorcycle", thing.tone
        )
        canvas.stroke((x - 0.42, 1.05), (x + 0.42, 1.05), 0.08, z, "trim", thing.tone, MOTORCYCLE)
        lamp = "tail_lamp" if thing.facing > 0 else "head_lamp"
        canvas.disc(x, 0.82, (0.11, 0.11), z, lamp, thing.tone, MOTORCYCLE)


def _draw_rider(canvas: Canvas, thing: Thing, seat: float, has_helmet: bool) -> None:
    x, z = thing.x, thing.z
    head = "helmet" if has_helmet else "hair"
    if thing.facing == 0:
        hip, shoulder, hand = (x - 0.22, seat), (x + 0.12, seat + 0.55), (x + 0.42, seat + 0.12)
        swing = 0.12 * math.sin(3.0 * (z + x))
        for knee, foot in (
            ((x + 0.16, seat - 0.15 + swing), (x + swing, 0.3)),
            ((x + 0.1, seat - 0.2 - swing), (x - swing, 0.35)),
        ):
            canvas.stroke(hip, knee, 0.16, z, "trousers", thing.accent, RIDER)
            canvas.stroke(knee, foot, 0.13, z, "trousers", thing.accent, RIDER)
        canvas.stroke(hip, shoulder, 0.32, z, "shirt", thing.tone, RIDER)
        canvas.stroke(shoulder, hand, 0.11, z, "shirt", thing.tone, RIDER)
        top = (x + 0.22, seat + 0.78)
    else:
        for side in (-1, 1):
            canvas.stroke(
                (x + 0.14 * side, seat), (x + 0.2 * side, seat - 0.5), 0.15, z, "trousers", thing.accent, RIDER
            )
        torso = [(x - 0.24, seat + 0.58), (x + 0.24, seat + 0.58), (x + 0.18, seat - 0.08), (x - 0.18, seat - 0.08)]
        canvas.shape(torso, z, "shirt", thing.tone, RIDER)
        for side in (-1, 1):
            canvas.stroke(
                (x + 0.24 * side, seat + 0.5), (x + 0.34 * side, seat + 0.1), 0.1, z, "shirt", thing.tone, RIDER
            )
        top = (x, seat + 0.74)
    canvas.disc(top[0], top[1], (0.13, 0.16), z, "skin", thing.tone, RIDER)
    canvas.disc(top[0], top[1] + 0.07, (0.15, 0.12), z, head, thing.accent, RIDER)


def draw_cyclist(canvas: Canvas, thing: Thing) -> None:
    """Draw a bicycle and its rider."""
    canvas.flat(
        (thing.x - thing.width / 2, thing.x + thing.width / 2),
        (thing.z - 0.15, thing.z + 0.2),
        "road_shadow",
        thing.tone,
    )
    draw_bicycle(canvas, thing)
    _draw_rider(canvas, thing, 0.95, thing.seed % 2 == 0)


def draw_motorcyclist(canvas: Canvas, thing: Thing) -> None:
    """Draw a motorcycle and its rider, who wears a helmet."""
    draw_motorcycle(canvas, thing)
    _draw_rider(canvas, thing, 0.85, True)


DRAW_FIGURE: Final[dict[str, Callable[[Canvas, Thing], None]]] = {
    "person": draw_person,
    "bicycle": draw_bicycle,
    "motorcycle": draw_motorcycle,
    "cyclist": draw_cyclist,
    "motorcyclist": draw_motorcyclist,
}
