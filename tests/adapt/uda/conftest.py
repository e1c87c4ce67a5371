"""A toy pair of domains: the same coloured tiles, darker in the target, whose labels do not exist."""

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
def source() -> DatasetSettings:
    return DatasetSettings(type="camvid", split="train")


@pytest.fixture
def target() -> DatasetSettings:
    return DatasetSettings(type="camvid", split="test")


@pytest.fixture(scope="session")
def domains(
    tmp_path_factory: pytest.TempPathFactory, write_toy_frame: Callable[..., Frame]
) -> tuple[tuple[Frame, ...], tuple[Frame, ...]]:
    """Five source frames with labels and four target frames whose label files are named but missing; all 64x32."""
    root = tmp_path_factory.mktemp("toy")
    generator = np.random.default_rng(7)
    colors = generator.integers(0, 256, size=(11, 3))
    source = tuple(write_toy_frame(root, f"source{index}", colors, generator) for index in range(5))
    target = tuple(write_toy_frame(root, f"target{index}", colors * 0.7, generator) for index in range(4))
    for frame in target:
        assert frame.label is not None
        frame.label.unlink()
    return source, target
