"""Every map against the published table, written out as literals."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.data import label_map
from adapt.data.label_map import apply_label_map, build_lookup

# labels.py of cityscapesScripts, by name: id, trainId.
CITYSCAPES_BY_NAME = {
    "unlabeled": (0, 255), "ego vehicle": (1, 255), "rectification border": (2, 255), "out of roi": (3, 255),
    "static": (4, 255), "dynamic": (5, 255), "ground": (6, 255), "road": (7, 0), "sidewalk": (8, 1),
    "parking": (9, 255), "rail track": (10, 255), "building": (11, 2), "wall": (12, 3), "fence": (13, 4),
    "guard rail": (14, 255), "bridge": (15, 255), "tunnel": (16, 255), "pole": (17, 5), "polegroup": (18, 255),
    "traffic light": (19, 6), "traffic sign": (20, 7), "vegetation": (21, 8), "terrain": (22, 9), "sky": (23, 10),
    "person": (24, 11), "rider": (25, 12), "car": (26, 13), "truck": (27, 14), "bus": (28, 15),
    "caravan": (29, 255), "trailer": (30, 255), "train": (31, 16), "motorcycle": (32, 17), "bicycle": (33, 18),
}  # fmt: skip

# SYNTHIA's own class names and the Cityscapes class that each stands for.
SYNTHIA_BY_NAME = {
    "sky": (1, 10), "building": (2, 2), "road": (3, 0), "sidewalk": (4, 1), "fence": (5, 4), "vegetation": (6, 8),
    "pole": (7, 5), "car": (8, 13), "traffic sign": (9, 7), "pedestrian": (10, 11), "bicycle": (11, 18),
    "motorcycle": (12, 17), "traffic light": (15, 6), "terrain": (16, 9), "rider": (17, 12), "truck": (18, 14),
    "bus": (19, 15), "train": (20, 16), "wall": (21, 3),
}  # fmt: skip
SYNTHIA_IGNORED = {"void": 0, "parking-slot": 13, "road-work": 14, "lanemarking": 22}


@pytest.mark.parametrize("table", [label_map.CITYSCAPES_LABEL_MAP, label_map.GTA_LABEL_MAP])
def test_cityscapes_and_gta(table: dict[int, int]) -> None:
    lookup = build_lookup(table)
    for raw, train in CITYSCAPES_BY_NAME.values():
        assert lookup[raw] == train
    assert (lookup[34:] == 255).all()


def test_gta_as_the_specification_lists_it() -> None:
    raw = [7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33]
    assert dict(zip(raw, range(19), strict=True)) == label_map.GTA_LABEL_MAP


def test_synthia() -> None:
    lookup = build_lookup(label_map.SYNTHIA_LABEL_MAP)
    for raw, train in SYNTHIA_BY_NAME.values():
        assert lookup[raw] == train
    for raw in SYNTHIA_IGNORED.values():
        assert lookup[raw] == 255
    assert sorted(label_map.SYNTHIA_LABEL_MAP.values()) == list(range(19))
    assert {raw for raw, _ in SYNTHIA_BY_NAME.values()} | set(SYNTHIA_IGNORED.values()) == label_map.SYNTHIA_RAW_IDS


def test_camvid_keeps_eleven_classes_and_ignores_void() -> None:
    lookup = build_lookup(label_map.CAMVID_LABEL_MAP)
    assert lookup[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255]
    assert (lookup[12:] == 255).all()


def test_lookup_is_a_full_byte_table() -> None:
    lookup = build_lookup({3: 1})
    assert lookup.shape == (256,)
    assert lookup.dtype == np.uint8
    assert lookup[3] == 1
    assert (np.delete(lookup, 3) == 255).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_apply_against_a_loop(dtype: type[np.unsignedinteger]) -> None:
    raw = np.random.default_rng(0).integers(0, 256 if dtype is np.uint8 else 600, (7, 9)).astype(dtype)
    if dtype is np.uint16:
        raw[0, :3] = (255, 256, 263)  # 263 would be 7 (road) if it were cut to a byte
    train = apply_label_map(raw, label_map.CITYSCAPES_LABEL_MAP)
    assert train.dtype == np.uint8
    for row in range(7):
        for column in range(9):
            assert train[row, column] == label_map.CITYSCAPES_LABEL_MAP.get(int(raw[row, column]), 255)
