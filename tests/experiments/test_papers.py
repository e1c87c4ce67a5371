"""The `full` profiles that claim a paper's configuration, constant by constant (sources: the papers' released configurations)."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from adapt.openmmlab.model import resolve_config
from experiments.load import load_experiment
from experiments.schema import UdaStage


def read_stage(experiment: str, stage: str) -> tuple[Any, Any]:
    settings = load_experiment(experiment, "full").settings
    raw = {**settings.stages[stage], "seed": 0}
    return settings, TypeAdapter(UdaStage).validate_python(raw)


@pytest.mark.parametrize("experiment", ["gta2cityscapes", "gta2cityscapes_ladder", "daformer_ablation"])
def test_daformer_is_the_papers(experiment: str) -> None:
    settings, stage = read_stage(experiment, "daformer")

    data = {name: settings.datasets[name] for name in (stage.source, stage.target, "test")}
    assert [(d.type, d.split, d.resize) for d in data.values()] == [
        ("gta", "train", (1280, 720)), ("cityscapes", "train", (1024, 512)), ("cityscapes", "val", (1024, 512)),
    ]  # fmt: skip
    training = stage.training
    assert (training.iterations, training.batch_size, training.accumulate, training.workers) == (40_000, 2, 1, 1)
    assert training.precision == "fp32"
    assert training.optimizer.model_dump() == {
        "type": "adamw", "lr": 6e-5, "betas": (0.9, 0.999), "weight_decay": 0.01, "momentum": 0.9,
        "head_lr_multiplier": 10.0, "norm_decay_multiplier": 0.0,
    }  # fmt: skip
    assert training.schedule.model_dump() == {"warmup_iterations": 1500, "warmup_ratio": 1e-6, "power": 1.0}
    assert training.augment.model_dump() == {"crop": (512, 512), "flip": 0.5, "cat_max_ratio": 0.75}
    method = stage.method.model_dump()
    assert method == {
        "name": "daformer", "ema_alpha": 0.999, "pseudo_threshold": 0.968, "ignore_top": 15, "ignore_bottom": 120,
        "image_margins": (0, 0, 0, 0), "mix": "class_mix",
        "strong_augment": {
            "jitter_probability": 0.8, "jitter_strength": 0.2, "blur_probability": 0.5, "blur_sigma": (0.15, 1.15),
        },
        "rare_class": {"temperature": 0.01, "min_pixels": 3000, "min_crop_pixels": 1500, "max_tries": 10},
        "feature_distance": {
            "weight": 0.005, "classes": (6, 7, 11, 12, 13, 14, 15, 16, 17, 18), "min_ratio": 0.75, "stage": -1,
            "reference": "imagenet",
        },
        "multi_resolution": None, "masked_consistency": None, "evaluate_with": "student", "score_pseudo_labels": False,
    }  # fmt: skip


def test_daformers_network_is_the_papers() -> None:
    settings, stage = read_stage("gta2cityscapes", "daformer")
    model = settings.models[stage.model]
    assert (model.weights, model.weights_of) == ("mit_b5_20220624-658746d9.pth", "backbone")

    config = resolve_config(model, 19)

    backbone, head = config["backbone"], config["decode_head"]
    assert config["data_preprocessor"]["mean"] == [123.675, 116.28, 103.53]
    assert config["data_preprocessor"]["std"] == [58.395, 57.12, 57.375]
    assert config["data_preprocessor"]["bgr_to_rgb"]
    assert (backbone["type"], backbone["embed_dims"], backbone["drop_path_rate"]) == ("MixVisionTransformer", 64, 0.1)
    assert (backbone["num_layers"], backbone["num_heads"]) == ([3, 6, 40, 3], [1, 2, 5, 8])
    assert backbone["sr_ratios"] == [8, 4, 2, 1]
    assert (head["type"], head["in_channels"], head["dropout_ratio"]) == ("DAFormerHead", [64, 128, 320, 512], 0.1)
    assert head.get("align_corners", False) is False


@pytest.mark.parametrize("name", ["hrda", "mic"])
def test_hrda_and_mic_are_the_papers(name: str) -> None:
    settings, stage = read_stage("gta2cityscapes_ladder", name)

    sizes = [settings.datasets[key].resize for key in (stage.source, stage.target, "test_hd")]
    assert sizes == [(2560, 1440), (2048, 1024), (2048, 1024)]
    assert stage.training.augment.crop == (1024, 1024)
    assert (stage.training.iterations, stage.training.batch_size) == (40_000, 2)
    assert stage.method.rare_class.min_crop_pixels == 6000
    assert stage.method.image_margins == (30, 240, 30, 30)
    assert stage.method.multi_resolution.model_dump() == {
        "detail_crop": (512, 512), "context_scale": 0.5, "detail_weight": 0.1, "offset_multiple": 8,
        "attention_channels": 256, "window": (1024, 1024),
    }  # fmt: skip
    masks = stage.method.masked_consistency
    assert masks is None if name == "hrda" else (masks.block, masks.ratio, masks.weight) == (64, 0.7, 1.0)


def test_each_row_of_the_ablation_leaves_one_part_out() -> None:
    settings, whole = read_stage("daformer_ablation", "daformer")
    differences = {}
    for name in settings.stages:
        if name.startswith("without_"):
            stage = read_stage("daformer_ablation", name)[1]
            ours, theirs = stage.model_dump(exclude={"label"}), whole.model_dump(exclude={"label"})
            differences[name] = [
                key if not isinstance(theirs[key], dict) else f"{key}.{inner}"
                for key in theirs
                for inner in (theirs[key] if isinstance(theirs[key], dict) else [None])
                if (ours[key] != theirs[key] if inner is None else ours[key][inner] != theirs[key][inner])
            ]

    assert differences == {
        "without_rcs": ["method.rare_class"],
        "without_feature_distance": ["method.feature_distance"],
        "without_warmup": ["training.schedule"],
        "without_class_mix": ["method.mix"],
        "without_ema": ["method.ema_alpha"],
        "without_head": ["model"],
    }
