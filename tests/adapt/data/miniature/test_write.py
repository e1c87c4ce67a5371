"""The miniature on disk: layouts, raw labels, idempotence, completion and refusal."""

from __future__ import annotations

import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from adapt.data.catalog import DATASET_TYPES
from adapt.data.layout import list_frames
from adapt.data.miniature.encoding import encode_label, invert_label_map
from adapt.data.miniature.frame import render_frame
from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.miniature.write import MARKER, STARTED, write_miniature
from adapt.data.prepare import prepare
from adapt.data.reading import read_frame, read_raw_label
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError

TINY = MiniatureSettings(
    size=(64, 32), source_train=3, target_train=3, target_val=2, acdc_per_condition=1, clip_frames=2
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "miniature"
    write_miniature(folder, TINY)
    return folder


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_files_lie_where_the_publishers_put_them(root: Path) -> None:
    names = set(snapshot(root))
    assert {
        "gta/images/00001.png",
        "gta/labels/00001.png",
        "synthia/RGB/0000002.png",
        "synthia/GT/LABELS/0000002.png",
        "cityscapes/leftImg8bit/train/north/north_000000_000019_leftImg8bit.png",
        "cityscapes/gtFine/train/south/south_000001_000019_gtFine_labelIds.png",
        "cityscapes/gtFine/val/east/east_000001_000019_gtFine_labelIds.png",
        "acdc/rgb_anon/fog/train/MINI0001/MINI0001_frame_000001_rgb_anon.png",
        "acdc/gt/snow/val/MINI0004/MINI0004_frame_000001_gt_labelIds.png",
        "clip/leftImg8bit/val/clip/clip_000000_000001_leftImg8bit.png",
        "clip/gtFine/val/clip/clip_000000_000001_gtFine_labelIds.png",
        MARKER,
        STARTED,
    } <= names
    # Two files a frame: 3 + 3 source, 3 + 2 target, 4 x 2 ACDC, 2 clip; and two markers.
    assert len(names) == 2 * (6 + 5 + 8 + 2) + 2
    assert {json.loads((root / name).read_text())["version"] for name in (MARKER, STARTED)} == {1}


def test_raw_labels_are_in_the_publishers_flavour(root: Path) -> None:
    with Image.open(root / "gta/labels/00001.png") as image:
        assert image.mode == "P"
    synthia = cv2.imread(str(root / "synthia/GT/LABELS/0000000.png"), cv2.IMREAD_UNCHANGED)
    assert synthia.dtype == np.uint16
    assert synthia.shape == (32, 64, 3)
    assert not synthia[..., :2].any()
    assert synthia[..., 2].max() <= 22
    city = cv2.imread(
        str(root / "cityscapes/gtFine/val/east/east_000000_000019_gtFine_labelIds.png"), cv2.IMREAD_UNCHANGED
    )
    assert city.dtype == np.uint8
    assert city.ndim == 2


def test_raw_ids_worked_by_hand() -> None:
    label = np.array([[0, 2, 9, 18, 255]], np.uint8)
    for name, expected in (("gta", [7, 11, 22, 33, 0]), ("synthia", [3, 2, 16, 11, 0]), ("acdc", [7, 11, 22, 33, 0])):
        inverse = invert_label_map(DATASET_TYPES[name].label_map)
        assert inverse[label][0].tolist() == expected


@pytest.mark.parametrize("name", ["gta", "synthia", "cityscapes", "acdc"])
def test_encoded_labels_read_back_to_the_train_ids(name: str, tmp_path: Path) -> None:
    dataset = DATASET_TYPES[name]
    label = np.arange(20, dtype=np.uint8).reshape(4, 5)
    label[3, 4] = 255
    path = tmp_path / "label.png"
    path.write_bytes(encode_label(label, name))
    raw = read_raw_label(path, dataset)
    assert set(np.unique(raw).tolist()) <= dataset.raw_ids
    back = [[dataset.label_map.get(int(value), 255) for value in row] for row in raw]
    assert back == label.tolist()


def test_the_data_sets_can_be_prepared_and_read(tmp_path: Path) -> None:
    write_miniature(tmp_path, TINY)
    for folder, name, split, domain, count in (
        ("gta", "gta", "train", "gta", 3),
        ("synthia", "synthia", "train", "synthia", 3),
        ("cityscapes", "cityscapes", "val", "cityscapes", 2),
        ("acdc", "acdc", "val", None, 4),
        ("clip", "cityscapes", "val", None, 2),
    ):
        prepare(name, tmp_path / folder)
        settings = DatasetSettings(type=name, split=split)
        frames = list_frames(settings, tmp_path / folder)
        assert len(frames) == count, folder
        image, label = read_frame(frames[0], settings)
        if domain is not None:
            expected_image, expected_label = render_frame(TINY, domain, split, 0)
            np.testing.assert_array_equal(image, expected_image)
            np.testing.assert_array_equal(label, expected_label)


def test_a_whole_miniature_is_not_touched_again(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("rendered again")

    monkeypatch.setattr("adapt.data.miniature.write._write_frame", refuse)
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*")}
    write_miniature(root, TINY)
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*")} == before


def test_a_broken_run_is_completed_to_the_same_bytes_with_workers(root: Path, tmp_path: Path) -> None:
    write_miniature(tmp_path, TINY)
    for name in (MARKER, "gta/images/00002.png", "acdc/gt/night/val/MINI0002/MINI0002_frame_000001_gt_labelIds.png"):
        (tmp_path / name).unlink()
    (tmp_path / "gta/images/.00002.png.abc.partial").write_bytes(b"half")
    seen: list[tuple[int, int]] = []
    write_miniature(tmp_path, TINY, workers=2, on_progress=lambda done, total: seen.append((done, total)))
    (tmp_path / "gta/images/.00002.png.abc.partial").unlink()
    assert seen == [(1, 2), (2, 2)]
    assert snapshot(tmp_path) == snapshot(root)


def test_the_marker_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        assert (tmp_path / STARTED).is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr("adapt.data.miniature.write._write_frame", fail)
    with pytest.raises(KeyboardInterrupt):
        write_miniature(tmp_path, TINY)
    assert not (tmp_path / MARKER).exists()


def test_another_miniature_is_refused(root: Path, tmp_path: Path) -> None:
    other = TINY.model_copy(update={"seed": 5})
    with pytest.raises(SpecError, match="holds another miniature"):
        write_miniature(root, other)
    (tmp_path / STARTED).write_bytes((root / STARTED).read_bytes())
    with pytest.raises(SpecError, match="holds another miniature"):
        write_miniature(tmp_path, other)


def test_another_version_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("adapt.data.miniature.write.VERSION", 99)
    with pytest.raises(SpecError, match="version"):
        write_miniature(root, TINY)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "gta").mkdir()
    with pytest.raises(SpecError, match=r"not empty.*'gta'"):
        write_miniature(tmp_path, TINY)
    assert os.listdir(tmp_path) == ["gta"]


def test_a_file_or_a_damaged_marker_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("x")
    with pytest.raises(SpecError, match="is a file"):
        write_miniature(path, TINY)
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / MARKER).write_text("{broken")
    with pytest.raises(SpecError, match="holds another miniature"):
        write_miniature(folder, TINY)
