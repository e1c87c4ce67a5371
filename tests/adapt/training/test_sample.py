"""From files to packed samples, by position."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
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


def test_position_decides_the_sample(frames: tuple[Frame, ...], dataset: DatasetSettings) -> None:
    def load(workers: int, start: int, count: int) -> list[dict[str, Any]]:
        samples = LabelledDataset(frames, dataset, AugmentSettings(crop=(32, 16)), seed=3)
        loader = DataLoader(
            samples,
            batch_size=2,
            sampler=PositionSampler(start, start + 2 * count),
            num_workers=workers,
            collate_fn=pseudo_collate,
        )
        return list(loader)

    alone = load(0, 0, 4)
    shared = load(2, 0, 4)
    late = load(0, 4, 2)

    for first, second in [*zip(alone, shared, strict=True), *zip(alone[2:], late, strict=True)]:
        for a, b in zip(first["inputs"], second["inputs"], strict=True):
            assert torch.equal(a, b)
        for a, b in zip(first["data_samples"], second["data_samples"], strict=True):
            assert torch.equal(a.gt_sem_seg.data, b.gt_sem_seg.data)
    assert not torch.equal(alone[0]["inputs"][0], alone[1]["inputs"][0])
