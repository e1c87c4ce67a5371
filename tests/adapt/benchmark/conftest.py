"""A data set of four frames of tiles, and a small network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from adapt.benchmark.feed import FeedSettings, Source
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.openmmlab.model import build_model
from corruptions import PROTOCOLS

SIZE = (40, 56)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    generator = np.random.default_rng(0)
    frames = []
    for index in range(4):
        label = np.kron(generator.integers(0, 12, (5, 7)), np.ones((8, 8))).astype(np.uint8)  # 11 is CamVid's void
        image = (label[..., None] * np.array([20, 9, 3]) + generator.integers(0, 30, (*SIZE, 3))).astype(np.uint8)
        frame = Frame(f"f{index}", tmp_path / f"f{index}.png", tmp_path / f"f{index}_label.png")
        cv2.imwrite(str(frame.image), image)
        cv2.imwrite(str(frame.label), label)
        frames.append(frame)
    return Source(DatasetSettings(type="camvid", split="test", resize=(48, 48)), tuple(frames))


@pytest.fixture
def feed(source: Source) -> FeedSettings:
    return FeedSettings({"val": source}, PROTOCOLS["quick"], seed=3)


@pytest.fixture
def network(model_config: dict[str, Any]) -> torch.nn.Module:
    return build_model(model_config, seed=0).eval()
