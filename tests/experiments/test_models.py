"""The networks that ship: each resolves, is built, and has the parameters that its file promises."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import experiments
from adapt.inference import forward_logits
from adapt.model import ModelSettings, find_config
from adapt.openmmlab.model import build_model, resolve_config
from experiments.facts import hash_config

# Measured, with 19 classes (CamVid's network: 11). The heads' share is counted by hand in tests/adapt/networks.
PARAMETERS = {
    "cgnet_camvid": 494_269,
    "cgnet_small": 98_829,
    "daformer_mit-b0": 6_900_595,
    "daformer_mit-b1": 16_863_699,
    "daformer_mit-b2": 27_908_563,
    "daformer_mit-b3": 47_784_403,
    "daformer_mit-b4": 64_554_963,
    "daformer_mit-b5": 85_155_283,
    "daformer_r101": 46_952_563,
    "daformer_small": 407_987,
    "deeplabv2_r101": 43_920_300,
    "deeplabv2_r50": 24_928_172,
    "segformer_mit_small": 344_051,
    "unet_small": 399_955,
}
DAFORMER_HEAD = 3_712_275  # tests/adapt/networks/test_daformer_head.py
MODELS = Path(experiments.__file__).parent / "models"


def resolve(name: str) -> dict[str, Any]:
    return resolve_config(ModelSettings(config=name), 11 if name == "cgnet_camvid" else 19)


@functools.cache
def count_parameters(name: str) -> dict[str, int]:
    """Count the parameters of a network (which then is dropped: the largest is built once)."""
    return {key: value.numel() for key, value in build_model(resolve(name), 0).named_parameters()}


def test_every_network_is_listed() -> None:
    assert sorted(path.stem for path in MODELS.rglob("*.py")) == sorted(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameters(name: str) -> None:
    count = sum(count_parameters(name).values())
    assert count == PARAMETERS[name]
    text = ast.get_docstring(ast.parse((MODELS / f"{name}.py").read_text()))
    assert text is not None
    promised = re.search(r"([\d.]+) M parameters", text)
    if promised is not None:
        assert float(promised[1]) == round(count / 1e6, 1)


def test_mix_transformers_share_the_head() -> None:
    for size in range(1, 6):
        counts = count_parameters(f"daformer_mit-b{size}")
        assert sum(count for key, count in counts.items() if key.startswith("decode_head.")) == DAFORMER_HEAD


@pytest.mark.parametrize("size", range(6))
def test_segformer_has_the_same_backbone(size: int) -> None:
    """The papers compare two heads on one Mix Transformer; mmsegmentation ships the other."""
    plain = resolve(f"segformer_mit-b{size}_8xb1-160k_cityscapes-1024x1024")
    ours = resolve(f"daformer_mit-b{size}")
    assert ours["backbone"] == plain["backbone"]
    assert ours["decode_head"]["in_channels"] == plain["decode_head"]["in_channels"]


@pytest.mark.parametrize(("name", "stride"), [("daformer_mit-b0", 4), ("daformer_small", 2), ("deeplabv2_r50", 8)])
def test_prediction(name: str, stride: int) -> None:
    network = build_model(resolve(name), 0).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        assert network(images, mode="tensor").shape == (1, 19, 64 // stride, 96 // stride)
        assert forward_logits(network, images[:, :, :61, :]).shape == (1, 19, 61, 96)


def test_residual_networks_have_stride_8() -> None:
    for name, depth in (("deeplabv2_r50", 50), ("deeplabv2_r101", 101), ("daformer_r101", 101)):
        backbone = resolve(name)["backbone"]
        assert (backbone["depth"], backbone["strides"], backbone["dilations"]) == (depth, [1, 2, 1, 1], [1, 1, 2, 4])


def test_an_inherited_file_changes_the_hash(tmp_path: Path) -> None:
    for name in ("daformer_mit-b0", "daformer_mit-b5"):
        (tmp_path / f"{name}.py").write_bytes(find_config(name).read_bytes())
    before = hash_config(tmp_path / "daformer_mit-b0.py")
    base = tmp_path / "daformer_mit-b5.py"
    base.write_text(base.read_text().replace("embed_dims=256", "embed_dims=128"))
    assert hash_config(tmp_path / "daformer_mit-b0.py") != before
