"""Source and target samples by position."""

from __future__ import annotations

import collections
import math

import cv2
import numpy as np
import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.training.settings import AugmentSettings
from adapt.uda.pairs import DomainPairs, RareClassDataset, UnlabelledTarget, augment_rare_class
from adapt.uda.settings import RareClassSettings

Domains = tuple[tuple[Frame, ...], tuple[Frame, ...]]


def test_target_is_uniform_and_never_labelled(domains: Domains, target: DatasetSettings) -> None:
    samples = UnlabelledTarget(domains[1], target, AugmentSettings(crop=(16, 16)), seed=1)
    drawn = [samples[position]["data_samples"] for position in range(400)]

    counts = collections.Counter(sample.img_path for sample in drawn)

    assert len(counts) == 4
    assert all(60 < count < 140 for count in counts.values())
    assert not any("gt_sem_seg" in sample for sample in drawn)


def test_rare_class_draws_follow_the_probabilities(domains: Domains, source: DatasetSettings) -> None:
    frames = domains[0][:3]
    counts = np.zeros((3, 11), np.int64)
    counts[0, 0], counts[1, 1], counts[2, 2] = 100, 60, 40
    rare = RareClassSettings(temperature=0.25, min_pixels=10, min_crop_pixels=0, max_tries=0)
    samples = RareClassDataset(frames, source, AugmentSettings(crop=(16, 16)), 1, rare, counts)

    paths = collections.Counter(samples[position]["data_samples"].img_path for position in range(500))

    weights = [math.exp((1 - share) / 0.25) for share in (0.5, 0.3, 0.2)]
    for frame, weight in zip(frames, weights, strict=True):
        assert paths[str(frame.image)] / 500 == pytest.approx(weight / sum(weights), abs=0.07)


def make_code(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8)


def test_crops_are_redrawn_until_the_class_shows() -> None:
    label = np.zeros((32, 64), np.uint8)
    label[10:14, 20:24] = 5
    augmentation = AugmentSettings(crop=(16, 16), flip=0, cat_max_ratio=1)
    image = make_code(32, 64)

    def share_found(tries: int, pixels: int = 15) -> float:
        rare = RareClassSettings(min_crop_pixels=pixels, max_tries=tries)
        found = 0
        for seed in range(200):
            generator = np.random.default_rng(seed)
            crop, crop_label = augment_rare_class(image, label, 5, augmentation, rare, generator)
            assert crop_label is not None
            assert np.array_equal(crop_label, label[crop[..., 0], crop[..., 1]])
            found += int((crop_label == 5).sum() > pixels)
        return found / 200

    # All 16 pixels show in 11 of 17 row offsets (0 to 10) x 13 of 49 column offsets (8 to 20).
    chance = (11 * 13) / (17 * 49)
    assert share_found(0) == pytest.approx(chance, abs=0.07)
    assert share_found(10) == pytest.approx(1 - (1 - chance) ** 11, abs=0.07)
    assert share_found(10, pixels=16) == 0


def test_pair_is_fixed_by_its_position(domains: Domains, source: DatasetSettings, target: DatasetSettings) -> None:
    def make() -> DomainPairs:
        counts = np.ones((5, 11), np.int64)
        rare = RareClassSettings(min_pixels=0, min_crop_pixels=10)
        augmentation = AugmentSettings(crop=(16, 16))
        return DomainPairs(
            RareClassDataset(domains[0], source, augmentation, 1, rare, counts),
            UnlabelledTarget(domains[1], target, augmentation, 1),
        )

    first, second = make(), make()
    first[0], first[1]

    for domain in ("source", "target"):
        assert torch.equal(first[9][domain]["inputs"], second[9][domain]["inputs"])
        assert not torch.equal(first[9][domain]["inputs"], first[8][domain]["inputs"])


def test_target_label_files_are_not_read(
    domains: Domains, target: DatasetSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[int] = []
    original = cv2.imdecode
    monkeypatch.setattr(cv2, "imdecode", lambda data, flags: (opened.append(flags), original(data, flags))[1])

    UnlabelledTarget(domains[1], target, AugmentSettings(crop=(16, 16)), 1)[0]

    assert opened == [cv2.IMREAD_COLOR]
