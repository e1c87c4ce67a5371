"""From files to packed samples, by position."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from adapt.data.cache import ImageCache
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.errors import PrerequisiteError
from adapt.openmmlab import pseudo_collate
from adapt.training.sample import LabelledDataset, pack, read_labelled, read_unlabelled
from adapt.training.sampler import PositionSampler
from adapt.training.settings import AugmentSettings


def test_frames_are_resized_alike_and_labels_without_new_values(frames: tuple[Frame, ...]) -> None:
    settings = DatasetSettings(type="camvid", split="train", resize=(40, 30))  # 64x32: the width decides

    image, label = read_labelled(frames[0], settings)

    assert image.shape == (20, 40, 3)
    assert label.shape == (20, 40)
    assert set(np.unique(label)) <= {*range(11), 255}
    assert np.array_equal(read_unlabelled(frames[0], settings), image)


@pytest.mark.parametrize("resize", [None, (40, 30)])
def test_cached_pixels_are_those_that_are_decoded(
    frames: tuple[Frame, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, resize: tuple[int, int] | None
) -> None:
    settings = DatasetSettings(type="camvid", split="train", resize=resize)
    cache = ImageCache(tmp_path / "cache", 10**7)
    plain = [(*read_labelled(frame, settings), read_unlabelled(frame, settings)) for frame in frames]

    for attempt in range(2):
        for frame, expected in zip(frames, plain, strict=True):
            found = (*read_labelled(frame, settings, cache), read_unlabelled(frame, settings, cache))
            for one, other in zip(found, expected, strict=True):
                assert one.dtype == np.uint8
                assert np.array_equal(one, other)
        if attempt == 0:
            monkeypatch.setattr(cv2, "imdecode", None)  # from here on nothing is decoded


def test_the_cache_tells_settings_apart(frames: tuple[Frame, ...], tmp_path: Path) -> None:
    cache = ImageCache(tmp_path / "cache", 10**7)
    own = {"type": "folder", "classes": [f"class {index}" for index in range(11)]}
    choices = (
        DatasetSettings(type="camvid", split="train"),
        DatasetSettings(type="camvid", split="train", resize=(40, 30)),
        FolderSettings.model_validate({**own, "label_map": {str(index): 10 - index for index in range(11)}}),
        FolderSettings.model_validate({**own, "label_map": {"0": 0}}),
    )
    for _ in range(2):
        for settings in choices:
            expected, found = read_labelled(frames[0], settings), read_labelled(frames[0], settings, cache)
            assert np.array_equal(found[0], expected[0])
            assert np.array_equal(found[1], expected[1])


def test_a_label_of_another_size_is_refused_with_a_cache_too(frames: tuple[Frame, ...], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "half.png"), np.zeros((16, 32), np.uint8))
    frame = dataclasses.replace(frames[0], label=tmp_path / "half.png")
    settings = DatasetSettings(type="camvid", split="train", resize=(16, 8))  # both would become 16x8
    cache = ImageCache(tmp_path / "cache", 10**7)
    for _ in range(2):
        with pytest.raises(PrerequisiteError, match=r"half\.png' is 32x16 pixels but its image"):
            read_labelled(frame, settings, cache)


def test_pack_swaps_channels_for_the_preprocessor(frames: tuple[Frame, ...]) -> None:
    image = np.zeros((2, 3, 3), np.uint8)
    image[..., 0] = 200  # red
    label = np.array([[0, 1, 255], [2, 2, 2]], np.uint8)

    packed = pack(frames[0], image, label)

    assert packed["inputs"].shape == (3, 2, 3)
    assert packed["inputs"][:, 0, 0].tolist() == [0, 0, 200]
    assert packed["data_samples"].gt_sem_seg.data.tolist() == [[[0, 1, 255], [2, 2, 2]]]
    assert packed["data_samples"].gt_sem_seg.data.dtype == torch.int64
    assert "gt_sem_seg" not in pack(frames[0], image, None)["data_samples"]


def test_position_decides_the_sample(frames: tuple[Frame, ...], dataset: DatasetSettings, tmp_path: Path) -> None:
    def load(workers: int, start: int, count: int, cache: ImageCache | None = None) -> list[dict[str, Any]]:
        samples = LabelledDataset(frames, dataset, AugmentSettings(crop=(32, 16)), seed=3, cache=cache)
        loader = DataLoader(
            samples,
            batch_size=2,
            sampler=PositionSampler(start, start + 2 * count),
            num_workers=workers,
            collate_fn=pseudo_collate,
        )
        return list(loader)

    alone = load(0, 0, 4)
    shared = load(2, 0, 4, ImageCache(tmp_path / "cache", 10**7))
    late = load(0, 4, 2)

    for first, second in [*zip(alone, shared, strict=True), *zip(alone[2:], late, strict=True)]:
        for a, b in zip(first["inputs"], second["inputs"], strict=True):
            assert torch.equal(a, b)
        for a, b in zip(first["data_samples"], second["data_samples"], strict=True):
            assert torch.equal(a.gt_sem_seg.data, b.gt_sem_seg.data)
    assert not torch.equal(alone[0]["inputs"][0], alone[1]["inputs"][0])
