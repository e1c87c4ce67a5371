"""Networks: resolved to plain data, built from it, and over twenty architectures of mmsegmentation that predict."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from adapt.errors import PrerequisiteError, SpecError
from adapt.inference import forward_logits
from adapt.model import ModelSettings
from adapt.openmmlab.model import build_model, resolve_config

# Config name -> overrides that make the network small enough for a test.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "segformer_mit-b0_8xb1-160k_cityscapes-1024x1024": {},
    "fast_scnn_8xb4-160k_cityscapes-512x1024": {},
    "erfnet_fcn_4xb4-160k_cityscapes-512x1024": {},
    "deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024": {},
    "deeplabv3plus_r18-d8_4xb2-80k_cityscapes-512x1024": {},
    "pidnet-s_2xb6-120k_1024x1024-cityscapes": {},
    "ddrnet_23-slim_in1k-pre_2xb6-120k_cityscapes-1024x1024": {},
    "bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024": {},
    "stdc1_4xb12-80k_cityscapes-512x1024": {},
    "upernet_r18_4xb2-40k_cityscapes-512x1024": {"decode_head.channels": 32},
    "swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-512x512": {
        "backbone": {"depths": [1, 1, 1, 1]},
        "decode_head": {"channels": 32, "pool_scales": [1, 2]},
        "auxiliary_head": {"channels": 32},
    },
    "ccnet_r50-d8_4xb2-40k_cityscapes-512x1024": {
        "backbone.depth": 18,
        "decode_head": {"in_channels": 512, "channels": 32},
        "auxiliary_head.in_channels": 256,
    },
    "segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512": {},
    "ocrnet_hr18s_4xb2-40k_cityscapes-512x1024": {},
    "fcn_hr18s_4xb2-40k_cityscapes-512x1024": {},
    "knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512": {
        "backbone.depth": 18,
        "decode_head.kernel_generate_head.in_channels": 512,
        "auxiliary_head.in_channels": 256,
    },
    "san-vit-b16_coco-stuff164k-640x640": {
        "image_encoder": {"num_layers": 3, "out_indices": [0, 1, 2]},
        "text_encoder": {"dataset_name": "cityscapes", "templates": ["a photo of a {}."], "num_layers": 1},
        "decode_head.maskgen_cfg.num_layers": 1,
    },
    "cgnet_fcn_4xb8-60k_cityscapes-512x1024": {},
    "icnet_r18-d8_4xb2-80k_cityscapes-832x832": {},
    "segmenter_vit-t_mask_8xb1-160k_ade20k-512x512": {"backbone": {"num_layers": 2, "out_indices": [1]}},
    "fpn_r50_4xb2-80k_cityscapes-512x1024": {"backbone.depth": 18, "neck.in_channels": [64, 128, 256, 512]},
    "mobilenet-v2-d8_fcn_4xb2-80k_cityscapes-512x1024": {},
    "unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024": {
        "backbone.base_channels": 8,
        "decode_head.in_channels": 8,
        "auxiliary_head.in_channels": 16,
    },
    "cgnet_small": {},
    "segformer_mit_small": {},
}


def find_types(node: Any) -> set[str]:
    """Collect every `type` in a config, by a walk of its own."""
    if isinstance(node, dict):
        own = {node["type"]} if "type" in node else set()
        return own.union(*map(find_types, node.values()))
    return set().union(*map(find_types, node)) if isinstance(node, list) else set()


@pytest.mark.filterwarnings("ignore:Use same attn_mask", "ignore:When align_corners=True")
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_architecture_builds_from_json_and_predicts(name: str) -> None:
    settings = ModelSettings(config=name, overrides=ARCHITECTURES[name])
    config = resolve_config(settings, 19)
    assert json.loads(json.dumps(config)) == config
    assert not find_types(config) & {"SyncBN", "Pretrained", "Pretrained_Part"}
    model = build_model(json.loads(json.dumps(config)), seed=0).eval()
    with torch.no_grad():
        for height, width in ((64, 128), (61, 117)):
            logits = forward_logits(model, torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1)))
            assert logits.shape == (1, 19, height, width)
            assert logits.isfinite().all()


@pytest.mark.parametrize(
    "name",
    [
        "cgnet_fcn_4xb8-60k_cityscapes-512x1024",
        "pidnet-s_2xb6-120k_1024x1024-cityscapes",
        "deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024",
        "stdc1_4xb12-80k_cityscapes-512x1024",
    ],
)
def test_losses_work_with_another_class_count(name: str) -> None:
    # The configs carry weights for 19 classes in their losses, and several auxiliary heads.
    from adapt.openmmlab import PixelData, SegDataSample

    model = build_model(resolve_config(ModelSettings(config=name), 11), seed=0)
    label = torch.randint(0, 11, (2, 1, 64, 128), generator=torch.Generator().manual_seed(0))
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=item),
            gt_edge_map=PixelData(data=torch.zeros(1, 64, 128, dtype=torch.long)),
            metainfo={"img_shape": (64, 128)},
        )
        for item in label
    ]
    batch = {"inputs": [torch.zeros(3, 64, 128, dtype=torch.uint8)] * 2, "data_samples": samples}
    inputs = model.data_preprocessor(batch, True)
    assert inputs["inputs"].shape == (2, 3, 64, 128)  # the fixed training size of the config is gone
    losses = model.loss(**inputs)
    assert all(value.isfinite().all() for value in losses.values())


def test_mmdet_heads_need_mmdet() -> None:
    with pytest.raises(PrerequisiteError, match="mmdet, which is not installed"):
        build_model(resolve_config(ModelSettings(config="maskformer_r50-d32_8xb2-160k_ade20k-512x512"), 19))
    with pytest.raises(PrerequisiteError, match="mmpretrain, which is not installed"):
        resolve_config(ModelSettings(config="convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512"), 19)


def test_same_seed_same_weights_and_the_random_state_stays() -> None:
    config = resolve_config(ModelSettings(config="cgnet_small"), 19)
    before = json.dumps(config)
    state = torch.get_rng_state()
    first, second, third = build_model(config, 1), build_model(config, 1), build_model(config, 2)
    assert torch.equal(torch.get_rng_state(), state)
    assert json.dumps(config) == before
    pairs = list(zip(first.parameters(), second.parameters(), third.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)
    build_model(config)
    assert not torch.equal(torch.get_rng_state(), state)


def test_building_is_silent(capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    build_model(resolve_config(ModelSettings(config="segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512"), 19), 0)
    assert capfd.readouterr() == ("", "")


def test_downloads_are_dropped_with_a_log_line_and_local_weights_stay(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = "segformer_mit-b5_8xb1-160k_cityscapes-1024x1024"
    with caplog.at_level(logging.INFO, "adapt.openmmlab.model"):
        config = resolve_config(ModelSettings(config=name), 19)
    assert "init_cfg" not in config["backbone"]
    assert "model.backbone.init_cfg names https://" in caplog.text
    local = tmp_path / "mit.pth"
    local.write_bytes(b"")
    overrides = {"backbone.init_cfg.checkpoint": os.fspath(local)}
    kept = resolve_config(ModelSettings(config=name, overrides=overrides), 19)
    assert kept["backbone"]["init_cfg"] == {"type": "Pretrained", "checkpoint": os.fspath(local)}
    assert "pretrained" not in resolve_config(ModelSettings(config="fcn_r18-d8_4xb2-80k_cityscapes-512x1024"), 19)


def write_config(path: Path, text: str) -> str:
    path.write_text(text)
    return os.fspath(path)


def test_class_counts_go_everywhere_and_only_where_they_belong(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "c.py",
        """
model = dict(
    type='X',
    neck=dict(out_channels=5, num_outs=5),
    decode_head=[
        dict(type='A', num_classes=5, out_channels=5, loss_decode=dict(type='L', class_weight=[1, 2, 3, 4, 5])),
        dict(type='B', num_classes=2, out_channels=1, channels=2),
        dict(type='C', num_classes=5, out_channels=256, loss_decode=dict(class_weight=[1.0] * 5 + [0.1])),
    ],
    auxiliary_head=dict(type='D', stages=[dict(num_classes=5), dict(num_classes=5)]),
)
""",
    )
    model = resolve_config(ModelSettings(config=config), 3)
    first, second, third = model["decode_head"]
    assert first == {"type": "A", "num_classes": 3, "out_channels": 3, "loss_decode": {"type": "L"}}
    assert second == {"type": "B", "num_classes": 3, "out_channels": 3, "channels": 2}
    assert third["out_channels"] == 256
    assert third["loss_decode"]["class_weight"] == [1.0, 1.0, 1.0, 0.1]
    assert model["auxiliary_head"]["stages"] == [{"num_classes": 3}, {"num_classes": 3}]
    assert model["neck"] == {"out_channels": 5, "num_outs": 5}


def test_overrides_merge_nested_and_dotted_and_replace(tmp_path: Path) -> None:
    config = write_config(
        tmp_path / "c.py",
        "model = dict(type='X', a=dict(b=dict(c=1, d=(2, 3)), e=4), decode_head=dict(num_classes=2),"
        " auxiliary_head=[dict(num_classes=2, f=1), dict(num_classes=2, f=2)])",
    )
    overrides = {
        "a.b.c": 10,
        "a": {"e": 40, "b.d": [5]},
        "new.key": {"x": 1},
        "auxiliary_head.1.f": 20,
        "decode_head": {"_delete_": True, "type": "Y", "num_classes": 9},
    }
    model = resolve_config(ModelSettings(config=config, overrides=overrides), 2)
    assert model["a"] == {"b": {"c": 10, "d": [5]}, "e": 40}
    assert model["new"] == {"key": {"x": 1}}
    assert model["auxiliary_head"] == [{"num_classes": 2, "f": 1}, {"num_classes": 2, "f": 20}]
    assert model["decode_head"] == {"type": "Y", "num_classes": 2}
    with pytest.raises(SpecError, match=r"auxiliary_head\.7\.f goes into a list of 2"):
        resolve_config(ModelSettings(config=config, overrides={"auxiliary_head.7.f": 0}), 2)
    with pytest.raises(SpecError, match=r"'a\.e\.z' goes into|'e\.z' goes into"):
        resolve_config(ModelSettings(config=config, overrides={"a.e.z": 0}), 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "defines no `model"),
        ("model = dict(", "cannot be read"),
        ("model = dict(type='X', f=lambda: 0)", "cannot be recorded|cannot be read"),
        ("model = dict(type='X', data_preprocessor=dict(rgb_to_bgr=True))", "rgb_to_bgr"),
    ],
)
def test_wrong_config_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        resolve_config(ModelSettings(config=write_config(tmp_path / "c.py", text)), 2)


@pytest.mark.parametrize(
    "overrides", [{"decode_head.typo": 1}, {"backbone.type": "NoSuchBackbone"}, {"decode_haed.x": 1}]
)
def test_network_that_cannot_be_built_is_a_spec_error(overrides: dict[str, Any]) -> None:
    with pytest.raises(SpecError, match="cannot be built"):
        build_model(resolve_config(ModelSettings(config="cgnet_small", overrides=overrides), 2))


def test_small_networks_have_the_size_they_promise() -> None:
    def count(name: str, num_classes: int) -> int:
        model = build_model(resolve_config(ModelSettings(config=name), num_classes), 0)
        return sum(parameter.numel() for parameter in model.parameters())

    assert 80_000 < count("cgnet_small", 19) < 150_000
    # CGNet (M3N21) has 0.5 M parameters (arXiv 1811.08201, table 7).
    assert 490_000 < count("cgnet_camvid", 11) < 500_000
