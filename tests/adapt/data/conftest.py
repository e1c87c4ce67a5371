"""Tiny data sets in the published folder layouts, written without the code under test."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WIDTH, HEIGHT = 6, 4

MakeRoot = Callable[[str], Path]


def write_rgb(path: Path, seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def write_gray(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(ids.astype(np.uint8)).save(path)


def write_palette(path: Path, ids: np.ndarray) -> None:
    """Write ids as GTA does: palette indices, several of which share a colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids.astype(np.uint8))
    image.putpalette([0, 0, 0] * 5 + [channel for index in range(251) for channel in (index, 7, 255 - index)])
    assert image.mode == "P"
    image.save(path)


def write_rgb16(path: Path, ids: np.ndarray) -> None:
    """Write ids as SYNTHIA does, byte by byte: 16-bit RGB, class in red, instance in green."""
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = ids.shape
    rows = b"".join(
        b"\0" + b"".join(struct.pack(">HHH", int(value), 4000 + int(value), 0) for value in row) for row in ids
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    )


def ids_from(*values: int) -> np.ndarray:
    """Fill a label with the values in turn, in reading order."""
    return np.resize(np.array(values, dtype=np.uint8), (HEIGHT, WIDTH))


def _write_gta(root: Path) -> None:
    for name, ids in {"00001": (7, 8, 34, 26), "00002": (33, 0, 11), "00003": (7,)}.items():
        write_rgb(root / "images" / f"{name}.png", int(name))
        write_palette(root / "labels" / f"{name}.png", ids_from(*ids))


def _write_synthia(root: Path) -> None:
    for name, ids in {"0000000": (3, 1, 22), "0000001": (0, 11, 12)}.items():
        write_rgb(root / "RGB" / f"{name}.png", int(name))
        write_rgb16(root / "GT" / "LABELS" / f"{name}.png", ids_from(*ids))


def _write_cityscapes(root: Path) -> None:
    for split, city, ids in (("train", "ulm", (7, 26)), ("train", "aachen", (8, 1)), ("val", "munster", (24, 25))):
        stem = f"{city}_000000_000019"
        write_rgb(root / "leftImg8bit" / split / city / f"{stem}_leftImg8bit.png")
        labels = root / "gtFine" / split / city
        write_gray(labels / f"{stem}_gtFine_labelIds.png", ids_from(*ids))
        write_gray(labels / f"{stem}_gtFine_instanceIds.png", ids_from(1))
        write_rgb(labels / f"{stem}_gtFine_color.png")


def _write_acdc(root: Path) -> None:
    for index, condition in enumerate(("fog", "night", "rain", "snow")):
        for split in ("train", "val"):
            sequence = f"GOPR0{index}{len(split)}0"
            stem = f"{sequence}_frame_000041"
            write_rgb(root / "rgb_anon" / condition / split / sequence / f"{stem}_rgb_anon.png", index)
            write_gray(
                root / "gt" / condition / split / sequence / f"{stem}_gt_labelIds.png", ids_from(7, 23, 11 + index)
            )


def _write_dark_zurich(root: Path) -> None:
    for split, sequence in (("train", "GOPR0345"), ("val", "GOPR0356")):
        write_rgb(root / "rgb_anon" / split / "night" / sequence / f"{sequence}_frame_000001_rgb_anon.png")
    labels = root / "gt" / "val" / "night" / "GOPR0356"
    write_gray(labels / "GOPR0356_frame_000001_gt_labelTrainIds.png", ids_from(0, 255))


def _write_camvid(root: Path) -> None:
    frames = {
        "train": ("0001TP_006690", "0006R0_f00930", "0016E5_00390"),
        "val": ("0016E5_07959",),
        "test": ("0001TP_008550", "Seq05VD_f00000"),
    }
    for split, names in frames.items():
        for index, name in enumerate(names):
            write_rgb(root / split / f"{name}.png", index)
            write_gray(root / f"{split}annot" / f"{name}.png", ids_from(0, 10, 11, index))


_WRITERS: dict[str, Callable[[Path], None]] = {
    "gta": _write_gta,
    "synthia": _write_synthia,
    "cityscapes": _write_cityscapes,
    "acdc": _write_acdc,
    "dark_zurich": _write_dark_zurich,
    "camvid": _write_camvid,
}


@pytest.fixture
def make_root(tmp_path: Path) -> MakeRoot:
    """Give a function that writes one tiny data set as published and returns its root."""

    def make(type_name: str) -> Path:
        root = tmp_path / type_name
        _WRITERS[type_name](root)
        return root

    return make


@pytest.fixture
def fill() -> Callable[..., np.ndarray]:
    return ids_from


@pytest.fixture
def rgb_writer() -> Callable[..., None]:
    return write_rgb


@pytest.fixture
def gray_writer() -> Callable[[Path, np.ndarray], None]:
    return write_gray


@pytest.fixture
def palette_writer() -> Callable[[Path, np.ndarray], None]:
    return write_palette


@pytest.fixture
def rgb16_writer() -> Callable[[Path, np.ndarray], None]:
    return write_rgb16
