"""A toy world for training: coloured tiles in CamVid's layout, a network of a few hundred weights, and two workers."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from adapt.data.layout import Frame

MODEL: dict[str, Any] = {
    "type": "EncoderDecoder",
    "data_preprocessor": {
        "type": "SegDataPreProcessor",
        "mean": [123.675, 116.28, 103.53],
        "std": [58.395, 57.12, 57.375],
        "bgr_to_rgb": True,
        "pad_val": 0,
        "seg_pad_val": 255,
        "size_divisor": 1,
    },
    "backbone": {
        "type": "CGNet",
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "in_channels": 3,
        "num_channels": [8, 16, 16],
        "num_blocks": [1, 1],
        "dilations": [2, 4],
        "reductions": [2, 2],
    },
    "decode_head": {
        "type": "FCNHead",
        "in_channels": 32,
        "in_index": 2,
        "channels": 16,
        "num_convs": 1,
        "kernel_size": 1,
        "concat_input": False,
        "dropout_ratio": 0.1,
        "num_classes": 11,
        "norm_cfg": {"type": "BN", "requires_grad": True},
        "loss_decode": {"type": "CrossEntropyLoss", "use_sigmoid": False, "loss_weight": 1.0},
    },
}


@pytest.fixture(scope="session")
def toy_config() -> dict[str, Any]:
    """Give the network's config to fixtures that live long; they must copy it before they change it."""
    return MODEL


@pytest.fixture
def model_config() -> dict[str, Any]:
    return copy.deepcopy(MODEL)


@pytest.fixture(scope="session")
def write_toy_frame() -> Callable[..., Frame]:
    """Write a 64x32 frame of tiles: each class has a colour of its own, with a little noise."""
    return _write_frame


def _write_frame(root: Path, name: str, colors: np.ndarray, generator: np.random.Generator) -> Frame:
    label = np.repeat(np.repeat(generator.integers(0, 12, size=(2, 4)), 16, axis=0), 16, axis=1).astype(np.uint8)
    image = np.clip(colors[np.minimum(label, 10)] + generator.normal(0, 5, (32, 64, 3)), 0, 255).astype(np.uint8)
    cv2.imwrite(str(root / f"{name}.png"), image[..., ::-1])
    cv2.imwrite(str(root / f"{name}_label.png"), label)  # 11 is CamVid's void
    return Frame(name=name, image=root / f"{name}.png", label=root / f"{name}_label.png")


@pytest.fixture(scope="session")
def run_two_workers() -> Callable[[str, Path, Any], list[Any]]:
    """Call the function `work(rank, folder, inputs)` of a file in two processes over gloo; give what each returned."""
    return _run_two_workers


def _run_two_workers(script: str, folder: Path, inputs: Any) -> list[Any]:
    (folder / "inputs.pkl").write_bytes(pickle.dumps(inputs))
    command = [sys.executable, str(Path(__file__).with_name("two_workers.py")), script, str(folder)]
    ran = subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    return [pickle.loads((folder / f"result-{rank}.pkl").read_bytes()) for rank in range(2)]
