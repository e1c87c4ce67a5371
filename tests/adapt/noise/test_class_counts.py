"""Class pixels of noisy labels, against labels made one by one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapt.data.cache import ImageCache
from adapt.data.catalog import CAMVID_CLASSES
from adapt.data.layout import Frame
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.errors import PrerequisiteError
from adapt.noise.catalog import add_noise
from adapt.noise.class_counts import count_noisy_classes, load_or_count_noisy
from adapt.noise.settings import VERSION, FlipSettings, NoiseSettings

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


class Counter:
    """Counts through a cache of its own folder, and how many labels that opened."""

    def __init__(self, frames: tuple[Frame, ...], root: Path, opened: list[str]) -> None:
        self.frames, self.root, self.opened = frames, root, opened

    def __call__(self, noise: NoiseSettings, dataset: DatasetSettings = CAMVID) -> tuple[np.ndarray, int]:
        self.opened.clear()
        cache = ImageCache(self.root / "cache", 2**20)  # as after a restart: nothing is remembered
        return load_or_count_noisy(self.frames, dataset, self.root, noise, cache), len(self.opened)


@pytest.fixture
def counter(frames: tuple[Frame, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Counter:
    opened: list[str] = []
    monkeypatch.setattr(
        "adapt.noise.class_counts.read_label",
        lambda frame, dataset: (opened.append(frame.name), read_label(frame, dataset))[1],
    )
    return Counter(frames, tmp_path, opened)


def test_what_was_counted_is_not_counted_again(counter: Counter) -> None:
    expected = count_noisy_classes(counter.frames, CAMVID, NOISE)
    for opened in (3, 0, 0):
        counts, now = counter(NOISE)
        np.testing.assert_array_equal(counts, expected)
        assert (counts.dtype, now) == (np.int64, opened)


def test_whatever_decides_the_counts_has_them_made_anew(counter: Counter, monkeypatch: pytest.MonkeyPatch) -> None:
    assert counter(NOISE)[1] == 3
    other = NOISE.model_copy(update={"seed": 5})
    counts, opened = counter(other)
    assert opened == 3
    np.testing.assert_array_equal(counts, count_noisy_classes(counter.frames, CAMVID, other))
    settings = {"images": ".", "labels": ".", "image_suffix": ".png", "label_suffix": "_label.png"}
    # 11 is a class of a folder's own; by name, a pair of the same train ids is one of others.
    classes = [str(index) for index in range(12)]
    folder = FolderSettings(classes=tuple(classes), **settings)
    turned = FolderSettings(classes=tuple(classes[::-1]), **settings)
    pair = FlipSettings(rate=1.0, target="pair", pairs={"0": "11"})
    assert counter(pair, folder)[1] == 3
    counts, opened = counter(pair, turned)
    assert opened == 3
    np.testing.assert_array_equal(counts, count_noisy_classes(counter.frames, turned, pair))
    label = counter.frames[0].label
    assert label is not None
    os.utime(label, (1, 1))  # an edit that leaves the size as it was
    assert counter(NOISE)[1] == 3
    assert counter(NOISE)[1] == 0
    monkeypatch.setattr("adapt.noise.catalog.VERSION", VERSION + 1)
    assert counter(NOISE)[1] == 3
    for frame in counter.frames:
        assert frame.label is not None
        os.utime(frame.label, (1, 1))
    counts = counter(NOISE)[0]
    counter.frames = counter.frames[::-1]  # other names at the same times
    turned_round, opened = counter(NOISE)
    assert opened == 3
    np.testing.assert_array_equal(turned_round, counts[::-1])


@pytest.mark.parametrize("damage", [lambda content: content[:-1] + b"x", lambda content: content[:40], lambda _: b""])
def test_damaged_counts_are_made_anew(counter: Counter, damage: Callable[[bytes], bytes]) -> None:
    expected = counter(NOISE)[0]
    (entry,) = counter.root.rglob("*.pixels")
    entry.write_bytes(damage(entry.read_bytes()))
    counts, opened = counter(NOISE)
    np.testing.assert_array_equal(counts, expected)
    assert opened == 3
    assert counter(NOISE)[1] == 0
