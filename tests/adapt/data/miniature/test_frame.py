"""Frames of the miniature: determinism, alignment, class statistics, the gap between domains, the clip."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from adapt.data.miniature.frame import DOMAINS, render_clip_frame, render_frame
from adapt.data.miniature.part import (
    BICYCLE,
    BUS,
    CAR,
    MOTORCYCLE,
    PART_CLASS,
    RIDER,
    ROAD,
    SIDEWALK,
    SKY,
    TERRAIN,
    TRAIN,
    TRUCK,
    VEGETATION,
    VOID,
)
from adapt.data.miniature.settings import MiniatureSettings

SMALL = MiniatureSettings(size=(96, 48))
KEYS = [
    ("gta", "train", 3),
    ("cityscapes", "val", 0),
    ("night", "train", 1),
    ("rain", "val", 2),
    ("synthia", "train", 5),
]
COUNT = 40

Frames = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def digest(key: tuple[str, str, int]) -> str:
    image, label = render_frame(SMALL, *key)
    return hashlib.sha256(image.tobytes() + label.tobytes()).hexdigest()


def render_many(domain: str, split: str = "train") -> Frames:
    frames = [render_frame(SMALL, domain, split, index) for index in range(COUNT)]
    return np.stack([image for image, _ in frames]), np.stack([label for _, label in frames])


@pytest.fixture(scope="module")
def source() -> Frames:
    return render_many("gta")


@pytest.fixture(scope="module")
def target() -> Frames:
    return render_many("cityscapes")


def test_frames_do_not_depend_on_order_or_process() -> None:
    here = [digest(key) for key in KEYS]
    assert [digest(key) for key in reversed(KEYS)] == here[::-1]
    code = (
        "import hashlib; from adapt.data.miniature.frame import render_frame; "
        "from adapt.data.miniature.settings import MiniatureSettings; "
        f"frames = [render_frame(MiniatureSettings(size=(96, 48)), *key) for key in {KEYS!r}]; "
        "print(*(hashlib.sha256(a.tobytes() + b.tobytes()).hexdigest() for a, b in frames))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == here


def test_seed_split_and_index_each_change_the_frame() -> None:
    base, _ = render_frame(SMALL, "gta", "train", 0)
    others = [
        render_frame(SMALL.model_copy(update={"seed": 1}), "gta", "train", 0),
        render_frame(SMALL, "gta", "val", 0),
        render_frame(SMALL, "gta", "train", 1),
    ]
    for image, _ in others:
        assert np.abs(image.astype(int) - base).mean() > 10


@pytest.mark.parametrize("domain", sorted(DOMAINS))
@pytest.mark.parametrize("size", [(96, 48), (130, 70)])
def test_picture_and_label_have_the_size_and_valid_ids(domain: str, size: tuple[int, int]) -> None:
    image, label = render_frame(MiniatureSettings(size=size), domain, "train", 7)
    assert image.shape == (size[1], size[0], 3)
    assert image.dtype == np.uint8
    assert label.shape == (size[1], size[0])
    assert label.dtype == np.uint8
    assert set(np.unique(label).tolist()) <= set(range(19)) | {VOID}
    assert image.std() > 5


def test_every_part_has_a_colour_in_every_look() -> None:
    for name, (_, look) in DOMAINS.items():
        assert set(look.palette) == set(PART_CLASS), name


def test_all_classes_appear_in_the_source(source: Frames) -> None:
    assert set(np.unique(source[1]).tolist()) == set(range(19))


def test_all_classes_and_the_bonnet_appear_in_the_target(target: Frames) -> None:
    assert set(np.unique(target[1]).tolist()) == set(range(19)) | {VOID}


def test_synthia_has_its_sixteen_classes_only() -> None:
    _, labels = render_many("synthia")
    assert not set(np.unique(labels).tolist()) & {TERRAIN, TRUCK, TRAIN, VOID}
    assert set(range(19)) - {TERRAIN, TRUCK, TRAIN} - set(np.unique(labels).tolist()) <= {3, 4}


def test_rare_classes_are_rare_and_rarer_in_the_target(source: Frames, target: Frames) -> None:
    rare = (TRUCK, BUS, TRAIN, MOTORCYCLE, RIDER, BICYCLE)
    in_source, in_target = (float(np.isin(labels, rare).mean()) for _, labels in (source, target))
    seen_source, seen_target = (
        sum(int((labels == class_id).any(axis=(1, 2)).sum()) for class_id in rare) for _, labels in (source, target)
    )
    assert seen_target < 0.75 * seen_source
    assert in_target < in_source
    assert in_source < 0.1
    for labels in (source[1], target[1]):
        assert (labels == ROAD).mean() > 0.2
        assert (labels == CAR).mean() > 0.02


def test_label_boundaries_lie_on_picture_edges() -> None:
    # Independent of the renderer: in the clean source look the gradient is far larger along label boundaries.
    edge, inside, shifted = [], [], []
    for index in range(6):
        image, label = render_frame(SMALL, "gta", "train", index)
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
        step = np.abs(np.diff(grey, axis=1))
        boundary = np.diff(label.astype(int), axis=1) != 0
        edge.append(step[boundary].mean())
        inside.append(step[~boundary].mean())
        shifted.append(step[np.roll(boundary, 3, axis=1)].mean())
    assert np.mean(edge) > 4 * np.mean(inside)
    assert np.mean(edge) > 1.5 * np.mean(shifted)


def test_scenes_have_the_layout_of_streets(source: Frames, target: Frames) -> None:
    for _, labels in (source, target):
        top, bottom = labels[:, : 48 // 4], labels[:, 3 * 48 // 4 :]
        assert (top == ROAD).mean() < 0.01
        assert (bottom == SKY).mean() == 0
        assert np.isin(bottom, (ROAD, SIDEWALK, CAR, VOID)).mean() > 0.6


def test_the_domains_differ_in_colour_more_than_halves_of_a_domain(source: Frames, target: Frames) -> None:
    def saturation(images: NDArray[np.uint8]) -> float:
        spread = images.max(axis=3).astype(float) - images.min(axis=3)
        return float((spread / np.maximum(images.max(axis=3), 1)).mean())

    def mean_colour(frames: Frames, class_id: int, part: slice) -> NDArray[np.float64]:
        return frames[0][part][frames[1][part] == class_id].mean(axis=0)

    assert saturation(target[0]) < 0.6 * saturation(source[0])
    for class_id in (SIDEWALK, VEGETATION, SKY):
        gap = np.abs(mean_colour(source, class_id, slice(None)) - mean_colour(target, class_id, slice(None))).max()
        halves = np.abs(
            mean_colour(source, class_id, slice(0, 20)) - mean_colour(source, class_id, slice(20, 40))
        ).max()
        assert gap > 15
        assert gap > 1.5 * halves


def test_conditions_change_the_picture_as_they_should() -> None:
    def render(domain: str) -> tuple[float, float, float]:
        frames = [render_frame(SMALL, domain, "val", index) for index in range(12)]
        images = np.stack([image for image, _ in frames]).astype(float)
        ground = np.stack([np.isin(label, (ROAD, SIDEWALK)) for _, label in frames])
        return float(images.mean()), float(images.std(axis=(1, 2)).mean()), float(images[ground].mean())

    clear, fog, night, rain, snow = (render(name) for name in ("cityscapes", "fog", "night", "rain", "snow"))
    assert night[0] < 0.6 * clear[0]
    assert fog[1] < 0.9 * clear[1]
    assert rain[1] < 0.9 * clear[1]
    assert snow[2] > 1.3 * clear[2]


def test_the_clip_is_coherent_in_time() -> None:
    frames = [render_clip_frame(SMALL, index) for index in range(SMALL.clip_frames)]
    labels = np.stack([label for _, label in frames])
    images = np.stack([cv2.GaussianBlur(image, (0, 0), 1.5) for image, _ in frames]).astype(float)

    def change(values: NDArray[np.generic], step: int, unequal: bool) -> float:
        later, earlier = values[step:], values[:-step]
        return float((later != earlier).mean() if unequal else np.abs(later - earlier).mean())

    for values, unequal in ((labels, True), (images, False)):
        assert 0 < change(values, 1, unequal) < 0.7 * change(values, 4, unequal) < change(values, 8, unequal)
    assert change(labels, 1, True) < 0.12
