"""A plain mmsegmentation config trains DAFormer by `custom_imports` alone, with mmengine's own Runner and optimiser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

import adapt.openmmlab.registration  # noqa: F401
from adapt.errors import PrerequisiteError
from adapt.openmmlab import DATASETS, Config, DefaultScope, Runner
from adapt.uda.domain_pair_dataset import DomainPairDataset

LABELS = ("train", "test")
CROP = [{"type": "RandomCrop", "crop_size": (32, 32)}, {"type": "PackSegInputs"}]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """CamVid's layout: four source and three target frames of 48x32; `Pole` (2) is in one source frame only."""
    generator = np.random.default_rng(0)
    statistics = []
    for split, count in (("train", 4), ("test", 3)):
        for index in range(count):
            label = np.full((32, 48), 3, np.uint8)
            label[:, :10] = 0
            if split == "train" and index == 1:
                label[4:28, 20:44] = 2
            for folder in (split, f"{split}annot"):
                (tmp_path / folder).mkdir(exist_ok=True)
            name = f"0001TP_{index}.png"
            cv2.imwrite(str(tmp_path / split / name), generator.integers(0, 256, (32, 48, 3), dtype=np.uint8))
            if split == "train":
                cv2.imwrite(str(tmp_path / "trainannot" / name), label)
                values, counts = np.unique(label, return_counts=True)
                row: dict[str, Any] = {str(v): int(n) for v, n in zip(values, counts, strict=True)}
                statistics.append({**row, "file": f"trainannot/{name}"})
    (tmp_path / "sample_class_stats.json").write_text(json.dumps(statistics))
    return tmp_path


def make_config(root: Path, **changes: Any) -> dict[str, Any]:
    source = {"type": "SegshiftCamVid", "data_root": str(root), "split": "train"}
    target = {"type": "SegshiftCamVid", "data_root": str(root), "split": "test", "require_labels": False}
    return {
        "type": "DomainPairDataset",
        "source": {**source, "pipeline": [{"type": "LoadImageFromFile"}, {"type": "LoadAnnotations"}, *CROP]},
        "target": {**target, "pipeline": [{"type": "LoadImageFromFile"}, *CROP]},
        **changes,
    }


def build(config: dict[str, Any]) -> DomainPairDataset:
    with DefaultScope.overwrite_default_scope("mmseg"):
        dataset: DomainPairDataset = DATASETS.build(config)
    return dataset


def test_pairs_cover_the_source_and_read_no_target_label(root: Path) -> None:
    dataset = build(make_config(root))

    pairs = [dataset[index] for index in range(8)]

    assert len(dataset) == 4
    names = [Path(pair["source"]["data_samples"].img_path).name for pair in pairs]
    assert sorted(names[:4]) == [f"0001TP_{index}.png" for index in range(4)]
    assert names[:4] == names[4:]
    assert not any("gt_sem_seg" in pair["target"]["data_samples"] for pair in pairs)


def test_rare_classes_are_drawn_with_crops_that_show_them(root: Path) -> None:
    rare = {"temperature": 0.01, "min_pixels": 100, "min_crop_pixels": 300, "max_tries": 50}
    dataset = build(make_config(root, rare_class=rare))
    np.random.seed(3)

    samples = [dataset[0]["source"]["data_samples"] for _ in range(20)]

    # f is 0.09 for Pole, 0.21 for Sky, 0.70 for Road: at T = 0.01 nearly every draw is Pole.
    drawn = [sample.metainfo["rare_class"] for sample in samples]
    assert drawn.count(2) >= 18
    poles = [sample for sample in samples if sample.metainfo["rare_class"] == 2]
    assert {Path(sample.img_path).name for sample in poles} == {"0001TP_1.png"}
    assert all(int((sample.gt_sem_seg.data == 2).sum()) > 300 for sample in poles)


def test_statistics_of_other_labels_are_refused(root: Path) -> None:
    (root / "sample_class_stats.json").write_text(json.dumps([{"3": 5000, "file": "elsewhere/x.png"}]))

    with pytest.raises(PrerequisiteError, match="do not name the label"):
        build(make_config(root, rare_class={"min_pixels": 0}))


def test_plain_runner_trains(root: Path, model_config: dict[str, Any], tmp_path: Path) -> None:
    file = tmp_path / "config.py"
    for key in ("num_channels", "num_blocks", "dilations", "reductions"):
        model_config["backbone"][key] = tuple(model_config["backbone"][key])
    model_config["data_preprocessor"] = {**model_config["data_preprocessor"], "size": (32, 32)}
    del model_config["data_preprocessor"]["size_divisor"]
    settings = {"name": "mic", "feature_distance": {"reference": "start"}, "masked_consistency": {"block": 8}}
    lines = {
        "custom_imports": {"imports": ["adapt"]},
        "default_scope": "mmseg",
        "work_dir": str(tmp_path / "work"),
        "model": {"type": "SelfTraining", "student": model_config, "settings": settings},
        "train_dataloader": {
            "batch_size": 2,
            "num_workers": 0,
            "sampler": {"type": "InfiniteSampler", "shuffle": True},
            "dataset": make_config(root),
        },
        "train_cfg": {"type": "IterBasedTrainLoop", "max_iters": 3},
        "optim_wrapper": {"type": "OptimWrapper", "optimizer": {"type": "AdamW", "lr": 1e-3}},
        "default_hooks": {"checkpoint": {"type": "CheckpointHook", "interval": 3, "by_epoch": False}},
        "log_level": "ERROR",
    }
    file.write_text("\n".join(f"{name} = {value!r}" for name, value in lines.items()))

    runner = Runner.from_cfg(Config.fromfile(file))
    before = [parameter.detach().clone() for parameter in runner.model.student.parameters()]
    model: Any = runner.train()

    assert model.iteration == 3
    changed = [not torch.equal(a, b) for a, b in zip(before, model.student.parameters(), strict=True)]
    assert all(changed)
    saved = torch.load(tmp_path / "work" / "iter_3.pth", weights_only=False)["state_dict"]
    assert saved["_extra_state"].item() == 3
