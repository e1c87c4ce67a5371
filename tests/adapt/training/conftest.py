"""A toy world for training: coloured stripes in CamVid's layout, and a network of a few hundred weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def dataset() -> DatasetSettings:
    return DatasetSettings(type="camvid", split="train")


@pytest.fixture(scope="session")
def frames(tmp_path_factory: pytest.TempPathFactory, write_toy_frame: Callable[..., Frame]) -> tuple[Frame, ...]:
    """Five 64x32 frames; each class has a colour of its own, with a little noise."""
    root = tmp_path_factory.mktemp("toy")
    generator = np.random.default_rng(7)
    colors = generator.integers(0, 256, size=(11, 3))
    return tuple(write_toy_frame(root, f"frame{index}", colors, generator) for index in range(5))
