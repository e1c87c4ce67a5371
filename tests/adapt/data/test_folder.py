"""A data set of one's own: two folders and names for the classes."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter, ValidationError

from adapt.data.catalog import TYPE_NAMES, check_selection, describe_dataset, make_palette
from adapt.data.class_statistics import load_or_count, write_class_statistics
from adapt.data.fingerprint import fingerprint
from adapt.data.layout import list_frames
from adapt.data.reading import read_frame, read_label
from adapt.data.settings import AnyDatasetSettings, DatasetSettings, FolderSettings
from adapt.errors import PrerequisiteError, SpecError

WriteRgb = Callable[..., None]
WriteGray = Callable[[Path, np.ndarray], None]
CLASSES = ("road", "car", "person")


@pytest.fixture
def own(tmp_path: Path, rgb_writer: WriteRgb, gray_writer: WriteGray, fill: Callable[..., np.ndarray]) -> Path:
    """Two drives of one frame each, at one level of folders, and one frame on top."""
    root = tmp_path / "own"
    for index, name in enumerate(("0", "a/1", "b/2")):
        rgb_writer(root / "images" / f"{name}.png", index)
        gray_writer(root / "labels" / f"{name}.png", fill(0, index, 255))
    return root


def choose(**settings: Any) -> FolderSettings:
    return FolderSettings.model_validate({"classes": CLASSES, **settings})


def test_frames_are_paired_by_name(own: Path) -> None:
    frames = list_frames(choose(), own)
    assert [frame.name for frame in frames] == ["0", "1", "2"]
    assert [frame.label for frame in frames] == [own / "labels" / f"{name}.png" for name in ("0", "a/1", "b/2")]
    assert [frame.name for frame in list_frames(choose(every=2), own)] == ["0", "2"]


def test_other_folders_and_suffixes(tmp_path: Path, rgb_writer: WriteRgb, gray_writer: WriteGray) -> None:
    rgb_writer(tmp_path / "{all}" / "7_rgb.jpg")
    gray_writer(tmp_path / "{all}" / "7_ids.png", np.zeros((4, 6)))
    settings = choose(images="{all}", labels="{all}", image_suffix="_rgb.jpg", label_suffix="_ids.png")
    (frame,) = list_frames(settings, tmp_path)
    assert (frame.name, frame.label) == ("7", tmp_path / "{all}" / "7_ids.png")
    image, label = read_frame(frame, settings)
    assert image.shape == (4, 6, 3)
    assert not label.any()


def test_a_target_needs_no_labels(own: Path) -> None:
    for label in (own / "labels").rglob("*.png"):
        label.unlink()
    assert [frame.label for frame in list_frames(choose(), own, require_labels=False)] == [None] * 3
    with pytest.raises(PrerequisiteError, match=r"3 files .*image without its label"):
        list_frames(choose(), own)


def test_no_images_at_all(tmp_path: Path, rgb_writer: WriteRgb) -> None:
    with pytest.raises(PrerequisiteError, match=r"holds none of its image folders \('images'\)"):
        list_frames(choose(), tmp_path, require_labels=False)
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "1.jpg").touch()
    with pytest.raises(
        PrerequisiteError, match=r"no frame .*'\.png'\)\. Put images into 'images', or correct `images` or"
    ):
        list_frames(choose(), tmp_path, require_labels=False)


def test_labels_are_train_ids_as_they_are(own: Path) -> None:
    settings = choose()
    label = read_label(list_frames(settings, own)[1], settings)  # 0, 1, 255 in turn
    assert label.ravel()[:4].tolist() == [0, 1, 255, 0]


def test_an_id_that_no_class_has_is_refused(own: Path) -> None:
    settings = choose(classes=("road", "car"))  # b/2 holds a 2
    with pytest.raises(
        PrerequisiteError, match=r"2\.png' holds the ids 2, but 2 classes have the ids 0 to 1.*label_map"
    ):
        read_label(list_frames(settings, own)[2], settings)


def test_a_label_map_renames_and_ignores(own: Path) -> None:
    settings = choose(label_map={"0": 2, "2": 0})
    frames = list_frames(settings, own)
    assert read_label(frames[2], settings).ravel()[:4].tolist() == [2, 0, 255, 2]
    assert read_label(frames[1], settings).ravel()[:4].tolist() == [2, 255, 255, 2]  # 1 is not named
    assert frames[0].label is not None
    Image.fromarray(np.array([[2, 300, 65535]], np.uint16)).save(frames[0].label)
    assert read_label(frames[0], settings).tolist() == [[0, 255, 255]]


def test_statistics_are_made_on_the_way_and_written_nowhere(own: Path, caplog: pytest.LogCaptureFixture) -> None:
    settings = choose()
    frames = list_frames(settings, own)
    before = sorted(own.rglob("*"))
    statistics = load_or_count(frames, settings, own)
    # 24 pixels in threes: 0 (twice on top), index, 255.
    assert statistics.counts.tolist() == [[16, 0, 0], [8, 8, 0], [8, 0, 8]]
    assert sorted(own.rglob("*")) == before

    write_class_statistics(statistics, own)
    swapped = choose(label_map={"0": 1, "1": 0})
    with caplog.at_level(logging.WARNING):
        assert load_or_count(frames, swapped, own).counts.tolist() == [[0, 16, 0], [8, 8, 0], [0, 8, 0]]
    assert "do not describe the label" in caplog.text
    assert "Delete the file" in caplog.text
    assert "data prepare" not in caplog.text


def test_the_description_has_the_users_classes() -> None:
    dataset = describe_dataset(choose())
    assert dataset.classes == CLASSES
    assert len(dataset.palette) == 3
    assert not dataset.is_converted
    assert check_selection(choose()).name == "folder"
    assert describe_dataset(DatasetSettings(type="camvid", split="val")).num_classes == 11
    assert "folder" in TYPE_NAMES
    with pytest.raises(SpecError, match="'train' is no split of data set type 'folder'"):
        check_selection(choose(split="train"))


def test_palette_is_pascals() -> None:
    # The first colours of PASCAL VOC's development kit: aeroplane, bicycle, bird, boat; and its 20th.
    assert make_palette(4) == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))
    assert make_palette(20)[-1] == (0, 64, 128)
    assert len(set(make_palette(255))) == 255


def test_the_root_is_no_part_of_identity(own: Path, tmp_path: Path) -> None:
    settings = choose(root=str(own))
    assert settings.root == own
    assert "root" not in settings.model_dump(mode="json")
    moved = tmp_path / "moved"
    own.rename(moved)
    before = fingerprint(settings, moved)
    assert fingerprint(choose(), moved) == before
    (moved / "labels" / "0.png").unlink()
    (moved / "images" / "0.png").unlink()
    assert fingerprint(choose(), moved) != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": []}, "at least 1 item"),
        ({"classes": ["a", "b", "a"]}, "two classes have the same name"),
        ({"images": "/data/images"}, "`images` is a folder in `root`"),
        ({"labels": "../labels"}, "`labels` is a folder in `root`"),
        ({"labels": "images"}, "same folder and suffix"),
        ({"label_map": {"7": 3}}, r"gives 3 for 7, but 3 classes have the train ids 0 to 2"),
        ({"label_map": {"256": 0}}, "less than or equal to 255"),
        ({"resise": [4, 4]}, "Extra inputs"),
    ],
)
def test_slips_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        choose(**settings)
    choose(label_map={"7": 2, "8": 255})


def test_the_type_tells_which_settings_these_are() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(AnyDatasetSettings)
    folder = adapter.validate_python({"type": "folder", "classes": CLASSES})
    assert isinstance(folder, FolderSettings)
    assert adapter.validate_python(folder) == folder
    published = adapter.validate_python({"type": "gta", "split": "train"})
    assert type(published) is DatasetSettings
    with pytest.raises(ValidationError, match="classes"):
        adapter.validate_python({"type": "gta", "split": "train", "classes": CLASSES})
