"""The mmsegmentation classes find the same frames and give the same labels as `list_frames` and `read_label`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapt.data import datasets
from adapt.data.catalog import DATASET_TYPES
from adapt.data.layout import list_frames
from adapt.data.prepare import prepare
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError, SpecError
from adapt.openmmlab import DATASETS

MakeRoot = Callable[[str], Path]
NAMES = {
    "gta": "SegshiftGTA",
    "synthia": "SegshiftSYNTHIA",
    "cityscapes": "SegshiftCityscapes",
    "acdc": "SegshiftACDC",
    "dark_zurich": "SegshiftDarkZurich",
    "camvid": "SegshiftCamVid",
}
LOAD: list[dict[str, Any]] = [{"type": "mmcv.LoadImageFromFile"}, {"type": "mmseg.LoadAnnotations"}]


def build(type_name: str, **config: Any) -> Any:
    return DATASETS.build({"type": NAMES[type_name], **config})


@pytest.mark.parametrize("type_name", list(DATASET_TYPES))
def test_through_a_plain_config(make_root: MakeRoot, type_name: str) -> None:
    root = make_root(type_name)
    prepare(type_name, root)
    split = "val" if type_name == "dark_zurich" else "train"
    dataset = build(type_name, data_root=str(root), split=split, pipeline=LOAD, test_mode=True)
    settings = DatasetSettings(type=type_name, split=split)
    frames = list_frames(settings, root)
    assert len(dataset) == len(frames)
    assert dataset.metainfo["classes"] == DATASET_TYPES[type_name].classes
    assert [tuple(color) for color in dataset.metainfo["palette"]] == list(DATASET_TYPES[type_name].palette)
    for index, frame in enumerate(frames):
        loaded = dataset[index]
        assert loaded["img_path"] == str(frame.image)
        np.testing.assert_array_equal(loaded["gt_seg_map"], read_label(frame, settings))


def test_every_type_has_its_class() -> None:
    classes = {name for name in vars(datasets) if name.startswith("Segshift")}
    assert classes == set(NAMES.values())
    assert {vars(datasets)[NAMES[name]].dataset_type for name in NAMES} == set(DATASET_TYPES)


def test_subset_from_a_list(make_root: MakeRoot) -> None:
    root = make_root("acdc")
    prepare("acdc", root)
    assert len(build("acdc", data_root=root, split=["train", "val"], subset=["fog", "rain"])) == 4


def test_a_target_without_labels(make_root: MakeRoot) -> None:
    root = make_root("dark_zurich")
    dataset = build("dark_zurich", data_root=root, split="train", pipeline=LOAD[:1])
    assert "seg_map_path" not in dataset[0]
    cityscapes = make_root("cityscapes")
    with pytest.raises(PrerequisiteError, match="segshift data prepare cityscapes"):
        build("cityscapes", data_root=cityscapes, split="train")
    assert len(build("cityscapes", data_root=cityscapes, split="train", require_labels=False)) == 2


@pytest.mark.parametrize(("type_name", "index"), [("camvid", 2), ("cityscapes", 0)])
def test_chosen_classes_are_renumbered(make_root: MakeRoot, type_name: str, index: int) -> None:
    root = make_root(type_name)
    prepare(type_name, root)
    chosen = {"camvid": ("Bicyclist", "Pole"), "cityscapes": ("bicycle", "sidewalk")}[type_name]
    dataset = build(type_name, data_root=root, split="train", pipeline=LOAD, metainfo={"classes": chosen})
    row = dataset[index]["gt_seg_map"][0].tolist()
    # CamVid frame 2 reads 0, 10, 11 (void), 2; Aachen reads sidewalk, ignored.
    assert row == {"camvid": [255, 0, 255, 1, 255, 0], "cityscapes": [1, 255, 1, 255, 1, 255]}[type_name]


def test_mistakes_are_named(make_root: MakeRoot) -> None:
    with pytest.raises(SpecError, match=r"SegshiftGTA needs `data_root`"):
        datasets.SegshiftGTA(split="train")
    with pytest.raises(SpecError, match="closest is 'val'"):
        datasets.SegshiftCityscapes(split="vall", data_root=make_root("cityscapes"))
