"""Flows on motions that are known, and flows by name."""

from __future__ import annotations

import sys
import types

import cv2
import numpy as np
import pytest

from adapt.errors import SpecError, TaskError
from adapt.scores.flow import build_flow
from adapt.scores.temporal import warp_prediction


def draw_scene(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (100, 140, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    return np.clip((smooth - smooth.mean()) * 6 + 128, 0, 255).astype(np.uint8)


def cut(scene: np.ndarray, x: int, y: int) -> np.ndarray:
    """A view of the scene whose content lies x further right and y further down than with x = y = 0."""
    return np.ascontiguousarray(scene[20 - y : 84 - y, 20 - x : 116 - x])


@pytest.mark.parametrize("name", ["dis", "farneback"])
@pytest.mark.parametrize(("x", "y"), [(3, 0), (0, 2), (-4, 3)])
def test_finds_a_known_motion_and_its_direction(name, x, y):
    scene = draw_scene()
    current, following = cut(scene, 0, 0), cut(scene, x, y)
    flow = build_flow(name)(current, following)
    assert (flow.shape, flow.dtype) == ((64, 96, 2), np.float32)
    assert np.median(flow[10:-10, 10:-10].reshape(-1, 2), axis=0) == pytest.approx((x, y), abs=0.2)
    # A segmentation that moves with the scene stands still once it is warped; unwarped, it does not.
    classes = (scene[..., 0] > 128).astype(np.uint8)
    now, later = cut(classes, 0, 0), cut(classes, x, y)
    warped, is_inside = warp_prediction(later, flow)
    assert (warped == now)[is_inside].mean() > 0.97
    assert (later == now).mean() < 0.9


def test_colours_are_read_as_rgb():
    """Red is three times as bright as blue: with the channels swapped the pattern of red alone would nearly vanish."""
    scene = draw_scene()
    seen = []
    finder = build_flow("dis")
    for channel in (0, 2):
        image = np.zeros_like(scene)
        image[..., channel] = scene[..., channel] // 16 + 100
        seen.append(finder(cut(image, 0, 0), cut(image, 3, 0)))
    errors = [np.abs(flow[10:-10, 10:-10] - (3, 0)).mean() for flow in seen]
    assert errors[0] < errors[1]


def test_frames_too_small_for_dis_are_refused_before_opencv_ends_the_process():
    tiny = np.zeros((12, 200, 3), np.uint8)
    with pytest.raises(TaskError, match="200x12 pixels, but the flow `dis` needs 16"):
        build_flow("dis")(tiny, tiny)
    assert build_flow("farneback")(tiny, tiny).shape == (12, 200, 2)
    assert build_flow("dis")(np.zeros((16, 200, 3), np.uint8), np.zeros((16, 200, 3), np.uint8)).shape == (16, 200, 2)


@pytest.fixture
def flows(monkeypatch):
    module = types.ModuleType("flows_of_a_user")
    module.right = lambda current, following: np.full((*current.shape[:2], 2), (1, 0), np.float64)
    module.flat = lambda current, following: np.zeros(current.shape[:2], np.float32)
    module.broken = lambda current, following: np.full((*current.shape[:2], 2), np.nan, np.float32)
    module.number = 3
    monkeypatch.setitem(sys.modules, "flows_of_a_user", module)


def test_any_function_by_name(flows):
    frame = np.zeros((4, 6, 3), np.uint8)
    flow = build_flow("flows_of_a_user:right")(frame, frame)
    assert flow.dtype == np.float32
    assert flow.reshape(-1, 2).tolist() == [[1, 0]] * 24
    for name in ("flat", "broken"):
        with pytest.raises(TaskError, match=f"flows_of_a_user:{name}.*must give finite floats"):
            build_flow(f"flows_of_a_user:{name}")(frame, frame)


@pytest.mark.parametrize("name", ["no_such_package.flows:raft", "flows_of_a_user:missing", "flows_of_a_user:number"])
def test_refuses_a_name_that_is_nothing(flows, name):
    with pytest.raises(SpecError, match="Give `dis`, `farneback`, or"):
        build_flow(name)
