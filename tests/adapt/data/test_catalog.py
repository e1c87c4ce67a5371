"""The catalogue's tables and what is said to someone who asks for a split that does not exist."""

from __future__ import annotations

import subprocess
import sys

import pytest

from adapt.data.catalog import DATASET_TYPES, check_selection, find_type
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError

CITYSCAPES_COLORS = {
    "road": (128, 64, 128), "sidewalk": (244, 35, 232), "building": (70, 70, 70), "sky": (70, 130, 180),
    "person": (220, 20, 60), "rider": (255, 0, 0), "car": (0, 0, 142), "bicycle": (119, 11, 32),
}  # fmt: skip


def test_the_six_types() -> None:
    assert list(DATASET_TYPES) == ["gta", "synthia", "cityscapes", "acdc", "dark_zurich", "camvid"]


@pytest.mark.parametrize("name", list(DATASET_TYPES))
def test_each_type_is_consistent(name: str) -> None:
    dataset = DATASET_TYPES[name]
    assert dataset.name == name
    assert dataset.num_classes == len(dataset.classes) == len(dataset.palette) == (11 if name == "camvid" else 19)
    assert len(set(dataset.palette)) == dataset.num_classes
    assert sorted(dataset.label_map.values()) == list(range(dataset.num_classes))
    assert set(dataset.label_map) <= dataset.raw_ids
    assert dataset.train_split in dataset.splits
    assert dataset.unlabelled_splits <= set(dataset.splits)
    assert dataset.is_converted is (name != "camvid")


def test_cityscapes_colours() -> None:
    dataset = DATASET_TYPES["acdc"]
    for name, color in CITYSCAPES_COLORS.items():
        assert dataset.palette[dataset.classes.index(name)] == color


def test_camvid_order() -> None:
    dataset = DATASET_TYPES["camvid"]
    assert (dataset.classes[0], dataset.classes[3], dataset.classes[10]) == ("Sky", "Road", "Bicyclist")
    assert dataset.palette[3] == (128, 64, 128)


def test_synthias_protocols() -> None:
    subsets = DATASET_TYPES["synthia"].reported_subsets
    # The order and the count of the papers' tables: 16 classes, and 13 of them.
    assert subsets["mIoU16"] == (
        "road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "sky",
        "person", "rider", "car", "bus", "motorcycle", "bicycle",
    )  # fmt: skip
    assert subsets["mIoU13"] == tuple(c for c in subsets["mIoU16"] if c not in {"wall", "fence", "pole"})
    assert len(subsets["mIoU13"]) == 13
    assert all(not dataset.reported_subsets for name, dataset in DATASET_TYPES.items() if name != "synthia")


def test_unknown_type_names_the_closest() -> None:
    with pytest.raises(SpecError, match=r"'citscapes' is no data set type.*gta, synthia.*closest is 'cityscapes'"):
        find_type("citscapes")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"type": "acdc", "split": "vall"},
            r"'vall' is no split of data set type 'acdc'.*train, val.*closest is 'val'",
        ),
        ({"type": "acdc", "split": "val", "subset": ["nigth"]}, r"'nigth'.*fog, night, rain, snow.*closest is 'night'"),
        ({"type": "camvid", "split": "test", "subset": ["seq05vd"]}, r"0001TP.*closest is 'Seq05VD'"),
        ({"type": "gta", "split": "train", "subset": ["fog"]}, r"'fog' is no subset of data set type 'gta'.*has none"),
        ({"type": "acdc", "split": ["val", "val"]}, r"'val'.*given twice"),
        ({"type": "acdc", "split": []}, r"No split.*train, val"),
    ],
)
def test_unknown_selection(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        check_selection(DatasetSettings.model_validate(settings))


def test_known_selection_gives_the_type() -> None:
    settings = DatasetSettings(type="acdc", split=("train", "val"), subset=("snow",))
    assert check_selection(settings) is DATASET_TYPES["acdc"]


def test_the_light_modules_stay_light() -> None:
    program = (
        "import sys, adapt.data.settings, adapt.data.catalog, adapt.data.layout, adapt.data.fingerprint, "
        "adapt.data.cache, adapt.data.size, adapt.data.rare_class\n"
        "print([name for name in ('torch', 'cv2', 'mmseg', 'scipy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
