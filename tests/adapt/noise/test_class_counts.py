"""Class pixels of noisy labels, against labels made one by one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapt.data.catalog import CAMVID_CLASSES
from adapt.data.layout import Frame
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError
from adapt.noise.catalog import add_noise
from adapt.noise.class_counts import count_noisy_classes
from adapt.noise.settings import FlipSettings

CAMVID = DatasetSettings(type="camvid", split="train")
NOISE = FlipSettings(rate=0.5, seed=4)


@pytest.fixture
def frames(write_toy_frame: Callable[..., Frame], tmp_path: Path) -> tuple[Frame, ...]:
    generator = np.random.default_rng(3)
    return tuple(write_toy_frame(tmp_path, f"frame{index}", np.zeros((11, 3)), generator) for index in range(3))


@pytest.mark.parametrize("workers", [1, 2])
def test_counts_are_those_of_each_noisy_label(frames: tuple[Frame, ...], workers: int) -> None:
    counts = count_noisy_classes(frames, CAMVID, NOISE, workers)
    assert counts.dtype == np.int64
    assert counts.shape == (3, 11)
    changed = 0
    for frame, row in zip(frames, counts, strict=True):
        clean = read_label(frame, CAMVID)
        noisy = add_noise(clean, NOISE, frame.name, CAMVID_CLASSES).label
        assert row.tolist() == [int((noisy == index).sum()) for index in range(11)]
        changed += int((noisy != clean).sum())
    assert changed > 0


def test_without_a_hit_they_are_the_labels_own(frames: tuple[Frame, ...]) -> None:
    counts = count_noisy_classes(frames, CAMVID, FlipSettings(rate=0.0))
    assert counts.tolist() == [[int((read_label(f, CAMVID) == index).sum()) for index in range(11)] for f in frames]


def test_a_missing_label_is_named(frames: tuple[Frame, ...]) -> None:
    assert frames[1].label is not None
    frames[1].label.unlink()
    with pytest.raises(PrerequisiteError, match="frame1_label"):
        count_noisy_classes(frames, CAMVID, NOISE)
