"""Images and labels are read as published, and a file that cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from adapt.data.catalog import DATASET_TYPES
from adapt.data.layout import Frame, list_frames
from adapt.data.reading import is_complete_png, read_frame, read_image, read_label, read_raw_label, read_train_ids
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError

MakeRoot = Callable[[str], Path]
CAMVID = DatasetSettings(type="camvid", split="train")


def test_image_is_rgb(tmp_path: Path) -> None:
    pixels = np.zeros((2, 3, 3), dtype=np.uint8)
    pixels[0, 0] = (255, 10, 0)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    image = read_image(tmp_path / "image.png")
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize(
    ("pixels", "found"),
    [
        (np.zeros((2, 3), np.uint8), "1 channel of uint8"),
        (np.zeros((2, 3), np.uint16), "1 channel of uint16"),
        (np.zeros((2, 3, 3), np.uint16), "3 channels of uint16"),
    ],
)
def test_an_image_that_is_not_eight_bit_colour_is_named(tmp_path: Path, pixels: np.ndarray, found: str) -> None:
    cv2.imwrite(str(tmp_path / "odd.png"), pixels)
    with pytest.raises(PrerequisiteError, match=rf"odd\.png' has {found}.*8-bit colour"):
        read_image(tmp_path / "odd.png")


def test_an_image_loses_its_transparency_and_its_palette(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 3, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "clear.png")
    np.testing.assert_array_equal(read_image(tmp_path / "clear.png"), pixels[..., :3])
    palette = Image.fromarray(np.array([[0, 1]], dtype=np.uint8), mode="P")
    palette.putpalette([255, 10, 0, 3, 4, 5])
    palette.save(tmp_path / "palette.png")
    assert read_image(tmp_path / "palette.png").tolist() == [[[255, 10, 0], [3, 4, 5]]]


def test_camvid_is_read_through_its_map(make_root: MakeRoot) -> None:
    frames = list_frames(CAMVID, make_root("camvid"))
    label = read_label(frames[2], CAMVID)  # written as 0, 10, 11, 2 in turn
    assert label.dtype == np.uint8
    assert label[0].tolist() == [0, 10, 255, 2, 0, 10]


def test_train_ids_are_read_as_they_are(make_root: MakeRoot) -> None:
    settings = DatasetSettings(type="dark_zurich", split="val")
    (frame,) = list_frames(settings, make_root("dark_zurich"))
    assert read_label(frame, settings)[0].tolist() == [0, 255, 0, 255, 0, 255]


def test_gta_palette_gives_indices(make_root: MakeRoot) -> None:
    label = read_raw_label(make_root("gta") / "labels" / "00002.png", DATASET_TYPES["gta"])
    assert label[0].tolist() == [33, 0, 11, 33, 0, 11]


def test_synthia_gives_the_class_not_the_instance(make_root: MakeRoot) -> None:
    label = read_raw_label(make_root("synthia") / "GT" / "LABELS" / "0000001.png", DATASET_TYPES["synthia"])
    assert label[0].tolist() == [0, 11, 12, 0, 11, 12]


def test_colours_are_no_label(tmp_path: Path, rgb_writer: Callable[..., None]) -> None:
    rgb_writer(tmp_path / "color.png")
    with pytest.raises(PrerequisiteError, match=r"color\.png.*3 channels of uint8"):
        read_raw_label(tmp_path / "color.png", DATASET_TYPES["gta"])
    with pytest.raises(PrerequisiteError, match=r"color\.png.*one 8-bit channel"):
        read_train_ids(tmp_path / "color.png", DATASET_TYPES["gta"])


@pytest.mark.parametrize("kept", [0, 5, 40, -1, -20])
def test_a_file_cut_short_is_named(make_root: MakeRoot, kept: int) -> None:
    root = make_root("gta")
    image, label = root / "images" / "00001.png", root / "labels" / "00001.png"
    for path in (image, label):
        path.write_bytes(path.read_bytes()[:kept])
        assert not is_complete_png(path)
    with pytest.raises(PrerequisiteError, match=r"images/00001\.png"):
        read_image(image)
    with pytest.raises(PrerequisiteError, match=r"labels/00001\.png"):
        read_raw_label(label, DATASET_TYPES["gta"])


@pytest.mark.parametrize("type_name", ["gta", "synthia"])
def test_a_damaged_label_is_named(make_root: MakeRoot, type_name: str) -> None:
    root = make_root(type_name)
    path = next((root / "labels" if type_name == "gta" else root / "GT" / "LABELS").glob("*1.png"))
    data = bytearray(path.read_bytes())
    start = data.index(b"IDAT") + 4
    data[start : start + 6] = b"\0" * 6
    path.write_bytes(bytes(data))
    with pytest.raises(PrerequisiteError, match=path.name):
        read_raw_label(path, DATASET_TYPES[type_name])


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"gone\.png.*No such file"):
        read_image(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(PrerequisiteError, match=r"text\.png.*cannot be decoded"):
        read_image(tmp_path / "text.png")


def test_a_frame_without_label_says_so(make_root: MakeRoot) -> None:
    settings = DatasetSettings(type="dark_zurich", split="train")
    (frame,) = list_frames(settings, make_root("dark_zurich"))
    with pytest.raises(PrerequisiteError, match=r"GOPR0345_frame_000001.*has no label"):
        read_label(frame, settings)


def test_sizes_must_agree(make_root: MakeRoot, rgb_writer: Callable[..., None]) -> None:
    root = make_root("camvid")
    frame: Frame = list_frames(CAMVID, root)[0]
    image, label = read_frame(frame, CAMVID)
    assert image.shape == (*label.shape, 3)
    rgb_writer(frame.image, size=(4, 7))
    with pytest.raises(PrerequisiteError, match=r"trainannot/0001TP_006690\.png' is 6x4 .* is 7x4"):
        read_frame(frame, CAMVID)


def test_complete_png(make_root: MakeRoot, tmp_path: Path) -> None:
    assert is_complete_png(make_root("gta") / "labels" / "00001.png")
    assert not is_complete_png(tmp_path / "gone.png")
