"""Label files as each data set publishes them: raw ids in the publishers' own PNG flavour."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from adapt.data.catalog import DATASET_TYPES
from adapt.data.label_map import IGNORE


def invert_label_map(label_map: Mapping[int, int]) -> NDArray[np.uint8]:
    """Make the array that turns trainIds into raw ids.

    Args:
        label_map: Raw id -> trainId; where several raw ids share a trainId the lowest is taken.

    Returns:
        uint8 array of shape (256,); 255 and trainIds that no raw id has give 0, "unlabeled" in every table.
    """
    inverse = np.zeros(256, np.uint8)
    for raw, train in sorted(label_map.items(), reverse=True):
        inverse[train] = raw
    inverse[IGNORE] = 0
    return inverse


_INVERSE: Final = {
    name: invert_label_map(DATASET_TYPES[name].label_map) for name in ("gta", "synthia", "cityscapes", "acdc")
}


def encode_image(image: NDArray[np.uint8]) -> bytes:
    """Encode a picture.

    Args:
        image: (H, W, 3) uint8 RGB.

    Returns:
        An 8-bit RGB PNG.
    """
    return _encode_png(image[..., ::-1])


def encode_label(label: NDArray[np.uint8], dataset: str) -> bytes:
    """Encode a label map as the data set's publishers do.

    Args:
        label: (H, W) uint8 trainIds, 255 for void.
        dataset: "gta" (palette PNG), "synthia" (16 bit, 3 channels, ids in the first, red one), "cityscapes" or "acdc"
            (8-bit grey PNG).

    Returns:
        A PNG of raw ids.
    """
    raw = _INVERSE[dataset][label]
    if dataset == "gta":
        return _encode_palette_png(raw)
    if dataset == "synthia":
        channels = np.zeros((*raw.shape, 3), np.uint16)
        channels[..., 2] = raw  # OpenCV's order is BGR: its last channel is the file's first
        return _encode_png(channels)
    return _encode_png(raw)


def _encode_png(array: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    # Level 1: the noise of a sensor hardly compresses, and time is what a miniature saves.
    _, data = cv2.imencode(".png", array, [cv2.IMWRITE_PNG_COMPRESSION, 1])
    return data.tobytes()


def _encode_palette_png(raw: NDArray[np.uint8]) -> bytes:
    dataset = DATASET_TYPES["gta"]
    palette = np.zeros((256, 3), np.uint8)
    for raw_id, train in dataset.label_map.items():
        palette[raw_id] = dataset.palette[train]
    image = Image.fromarray(raw)
    image.putpalette(palette.tobytes())
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1)
    return buffer.getvalue()
