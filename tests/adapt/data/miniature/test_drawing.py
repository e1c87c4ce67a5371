"""Projection, depth and painting order of the renderer, against hand-worked cases."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.data.miniature.canvas import Canvas
from adapt.data.miniature.drawing import sort_things
from adapt.data.miniature.part import CAR, PART_CLASS, WALL
from adapt.data.miniature.scene import Scene, Street, Thing, Verge, View, advance_scene

TONE = (0.5, 0.5, 0.5)
VIEW = View(x=1.0, z=0.0, height=1.5, horizon=0.5, centre=0.5, focal=0.5, bend=0.0)


def thing(kind: str, x: float, z: float, length: float, speed: tuple[float, float] = (0.0, 0.0)) -> Thing:
    return Thing(kind, x, z, 2.0, 1.5, length, TONE, TONE, speed=speed)


def test_projection_of_a_point_worked_by_hand() -> None:
    canvas = Canvas(VIEW, 200, 100)
    # f = 100 px; 2 m right of the camera and 1 m above the ground at 10 m: 100 + 100 * 2 / 10, 50 + 100 * 0.5 / 10.
    assert canvas.column(3.0, 10.0) == pytest.approx(120.0)
    assert canvas.row(1.0, 10.0) == pytest.approx(55.0)


def test_bend_moves_far_points_quadratically() -> None:
    canvas = Canvas(View(0.0, 0.0, 1.5, 0.5, 0.5, 0.5, bend=0.01), 200, 100)
    # 0.01 * 20^2 = 4 m at 20 m with f = 100 px: 20 px.
    assert canvas.column(0.0, 20.0) == pytest.approx(120.0)


def test_a_rectangle_covers_its_pixels_and_carries_its_class() -> None:
    canvas = Canvas(VIEW, 200, 100)
    canvas.surface("sky", TONE, (0.0, 0.0, 0.0))
    canvas.front((1.0, 3.0), (0.5, 1.5), 10.0, "car", TONE)
    rows, columns = np.nonzero(canvas.index == 1)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (50, 59, 100, 119)
    assert canvas.classes[1] == PART_CLASS["car"] == CAR
    assert canvas.planes[1] == (0.0, 0.0, 0.1)


def test_an_owner_overrides_the_class_of_a_shared_part() -> None:
    canvas = Canvas(VIEW, 200, 100)
    canvas.front((1.0, 3.0), (0.5, 1.5), 10.0, "glass", TONE, owner=15)
    assert canvas.classes == [15]


def test_planes_give_the_depth_of_flank_and_ground() -> None:
    canvas = Canvas(VIEW, 200, 100)
    canvas.side(3.0, (0.0, 2.0), (5.0, 20.0), "wall", TONE)
    canvas.flat((-3.0, 3.0), (4.0, 40.0), "road", TONE)
    assert canvas.classes[0] == WALL
    for z in (5.0, 8.0, 20.0):
        a, b, c = canvas.planes[0]
        assert 1 / (a * canvas.column(3.0, z) + b * canvas.row(1.0, z) + c) == pytest.approx(z)
        a, b, c = canvas.planes[1]
        assert 1 / (a * canvas.column(0.0, z) + b * canvas.row(0.0, z) + c) == pytest.approx(z)


def test_batches_paint_what_single_calls_paint() -> None:
    one, many = Canvas(VIEW, 200, 100), Canvas(VIEW, 200, 100)
    spans = [(4.0, 6.0), (8.0, 9.0), (0.0, 1.0), (12.0, 20.0)]
    for canvas in (one, many):
        canvas.surface("sky", TONE, (0.0, 0.0, 0.0))
    for near, far in spans:
        one.side(2.0, (0.5, 2.5), (near, far), "wall", TONE)
    many.sides(2.0, np.array([[0.5, 2.5, near, far] for near, far in spans]), "wall", TONE)
    assert (one.index > 0).sum() > 100
    np.testing.assert_array_equal(one.index > 0, many.index > 0)
    before = many.index.copy()
    many.sides(2.0, np.empty((0, 4)), "wall", TONE)
    many.fronts(np.empty((0, 4)), 9.0, "window", TONE)
    many.flats(np.empty((0, 4)), "lane", TONE)
    np.testing.assert_array_equal(many.index, before)


def test_what_is_behind_the_camera_is_not_painted() -> None:
    canvas = Canvas(VIEW, 200, 100)
    canvas.surface("sky", TONE, (0.0, 0.0, 0.0))
    canvas.cuboid((0.0, 2.0), (0.0, 1.0), (-9.0, -3.0), "car", TONE)
    canvas.disc(1.0, 1.0, (0.5, 0.5), 0.5, "skin", TONE)
    canvas.stroke((1.0, 0.0), (1.0, 2.0), 0.1, -1.0, "pole", TONE)
    assert not canvas.index.any()


def test_a_thin_pole_keeps_a_width_far_away() -> None:
    canvas = Canvas(VIEW, 400, 200)
    canvas.surface("sky", TONE, (0.0, 0.0, 0.0))
    canvas.stroke((2.0, 0.0), (2.0, 6.0), 0.1, 90.0, "pole", TONE)
    rows = np.flatnonzero(canvas.index.any(axis=1))
    assert len(rows) >= 13
    assert (canvas.index[rows].sum(axis=1) > 1).all()


def test_painting_order_is_far_to_near() -> None:
    things = [thing("car", 0.0, z, 0.5) for z in (5.0, 30.0, 12.0)]
    assert [t.z for t in sort_things(things, 0.0)] == [30.0, 12.0, 5.0]
    assert sort_things([], 0.0) == []


def test_a_long_thing_comes_between_what_it_hides_and_what_stands_before_it() -> None:
    tram, hidden, before = (
        thing("train", -3.0, 8.0, 25.0),
        thing("person", -6.0, 10.0, 0.3),
        thing("car", 0.0, 20.0, 4.0),
    )
    for things in ([tram, hidden, before], [before, tram, hidden], [hidden, before, tram]):
        assert sort_things(things, 1.5) == [hidden, tram, before]


def test_a_clip_moves_camera_and_things() -> None:
    street = Street(
        1, 3.0, 0.0, Verge(2.0, 0.0, False), Verge(2.0, 0.0, False), None, None, False, True, TONE, (0.5,), True
    )
    still, moving = thing("car", 0.0, 9.0, 4.0), thing("car", 3.0, 9.0, 4.0, speed=(0.1, -0.5))
    scene = Scene(VIEW, street, (still, moving), (), TONE, False, 0, speed=0.6)
    later = advance_scene(scene, 4)
    assert later.view.z == pytest.approx(2.4)
    assert later.things[0] == still
    assert (later.things[1].x, later.things[1].z) == pytest.approx((3.4, 7.0))
    assert advance_scene(scene, 0) == scene
