"""Labels under corruptions that move pixels."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from adapt.benchmark.feed import Source
from adapt.benchmark.label_check import measure_agreement, move_label
from adapt.data.reading import read_label
from adapt.data.resize import resize_label
from corruptions.apply import corrupt
from corruptions.catalog import CORRUPTIONS
from corruptions.protocol import Protocol
from corruptions.seeding import derive_seed

GLASS = Protocol("own", (("glass_blur", 3),))


def test_moving_pixels_are_measured_and_the_rest_left_out(source: Source):
    grid = [("fog", 3), ("glass_blur", 1), ("zoom_blur", 5), ("elastic_transform", 2), ("zoom_blur", 1)]
    found = measure_agreement(source, Protocol("own", tuple(grid)), seed=0, limit=2)
    assert list(found) == [
        "label_agreement/glass_blur/1",
        "label_agreement/zoom_blur/5",
        "label_agreement/elastic_transform/2",
        "label_agreement/zoom_blur/1",
    ]
    values = {name.removeprefix("label_agreement/"): value for name, value in found.items()}
    assert all(value is not None and 0.3 < value < 1 for value in values.values())
    assert values["zoom_blur/1"] > values["zoom_blur/5"]  # a stronger blur moves more


def test_agreement_is_pooled_over_labelled_pixels(source: Source):
    found = measure_agreement(source, GLASS, seed=7, limit=3)
    kept = labelled = 0
    for frame in source.frames[:3]:
        label = read_label(frame, source.settings)
        moved = move_label(label, "glass_blur", 3, derive_seed(7, frame.name, "glass_blur", 3), "fast")
        for row, moved_row in zip(label.tolist(), moved.tolist(), strict=True):
            for one, other in zip(row, moved_row, strict=True):
                labelled += one != 255
                kept += one == other != 255
    assert found == {"label_agreement/glass_blur/3": kept / labelled}


@pytest.mark.parametrize("name", [row.name for row in CORRUPTIONS.values() if row.moves_pixels])
def test_a_label_of_one_class_has_nowhere_to_move(name: str):
    label = np.full((48, 64), 4, np.uint8)
    assert np.array_equal(move_label(label, name, 5, 0, "fast"), label)


def test_what_is_no_corruption_that_moves_pixels_leaves_labels():
    label = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4), np.ones((16, 16), np.uint8))
    assert np.array_equal(move_label(label, "brightness", 1, 0, "fast"), label)


def test_two_halves_move_by_as_much_as_the_zoom():
    """zoom_blur at severity 1 averages zooms of 1 to 1.1: a border at x from the centre moves outward by about 5% of x."""
    label = np.zeros((64, 200), np.uint8)
    label[:, 180:] = 1  # 80 from the centre
    moved = move_label(label, "zoom_blur", 1, 0, "fast")
    border = int((moved[32] == 0).sum())
    assert 182 <= border <= 187


def test_classes_that_share_a_pass_do_not_mix(source: Source):
    """Against one pass a class, in which all three channels show the same."""
    label = read_label(source.frames[0], source.settings)
    best = np.full(label.shape, -1)
    expected = label.copy()
    for class_id in np.unique(label):
        painted = np.repeat(((label == class_id) * 255).astype(np.uint8)[..., None], 3, axis=2)
        brightness = corrupt(painted, "elastic_transform", 4, 1)[..., 1].astype(int)
        expected = np.where((brightness > best) | ((brightness == best) & (label == class_id)), class_id, expected)
        best = np.maximum(best, brightness)
    assert np.array_equal(move_label(label, "elastic_transform", 4, 1, "fast"), expected)


def test_labels_are_resized_first_where_images_are(source: Source):
    late = measure_agreement(source, replace(GLASS, insertion_point="after_resize"), seed=7, limit=1)
    label = resize_label(read_label(source.frames[0], source.settings), source.settings.resize)
    moved = move_label(label, "glass_blur", 3, derive_seed(7, "f0", "glass_blur", 3), "fast")
    assert label.shape != read_label(source.frames[0], source.settings).shape
    assert late == {"label_agreement/glass_blur/3": ((moved == label) & (label != 255)).sum() / (label != 255).sum()}


def test_without_frames_nothing_is_measured(source: Source):
    assert measure_agreement(source, GLASS, 0, 0) == {}


def test_without_labelled_pixels_there_is_no_share(source: Source):
    label = source.frames[0].label
    assert label is not None
    cv2.imwrite(str(label), np.full((40, 56), 11, np.uint8))  # CamVid's void
    assert measure_agreement(source, GLASS, 0, 1) == {"label_agreement/glass_blur/3": None}
