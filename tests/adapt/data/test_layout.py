"""Frames are found and paired in each published layout, and what is amiss is named."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from adapt.data.catalog import DATASET_TYPES
from adapt.data.layout import list_frames, list_label_pairs
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError, SpecError

MakeRoot = Callable[[str], Path]


def choose(type_name: str, split: str | tuple[str, ...], *subset: str) -> DatasetSettings:
    return DatasetSettings(type=type_name, split=split, subset=subset)


def relative(path: Path | None, root: Path) -> str | None:
    return None if path is None else path.relative_to(root).as_posix()


def convert_all(type_name: str, root: Path) -> None:
    """Stand in for `prepare`: layout looks at names only."""
    for pair in list_label_pairs(DATASET_TYPES[type_name], root):
        pair.converted.write_bytes(b"x")


@pytest.mark.parametrize(
    ("type_name", "split", "expected"),
    [
        (
            "gta",
            "train",
            [
                ("00001", "images/00001.png", "labels/00001_labelTrainIds.png"),
                ("00002", "images/00002.png", "labels/00002_labelTrainIds.png"),
                ("00003", "images/00003.png", "labels/00003_labelTrainIds.png"),
            ],
        ),
        (
            "synthia",
            "train",
            [
                ("0000000", "RGB/0000000.png", "GT/LABELS/0000000_labelTrainIds.png"),
                ("0000001", "RGB/0000001.png", "GT/LABELS/0000001_labelTrainIds.png"),
            ],
        ),
        (
            "cityscapes",
            "train",
            [
                (
                    "aachen_000000_000019",
                    "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png",
                    "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png",
                ),
                (
                    "ulm_000000_000019",
                    "leftImg8bit/train/ulm/ulm_000000_000019_leftImg8bit.png",
                    "gtFine/train/ulm/ulm_000000_000019_gtFine_labelTrainIds.png",
                ),
            ],
        ),
        (
            "dark_zurich",
            ("train", "val"),
            [
                (
                    "GOPR0345_frame_000001",
                    "rgb_anon/train/night/GOPR0345/GOPR0345_frame_000001_rgb_anon.png",
                    None,
                ),
                (
                    "GOPR0356_frame_000001",
                    "rgb_anon/val/night/GOPR0356/GOPR0356_frame_000001_rgb_anon.png",
                    "gt/val/night/GOPR0356/GOPR0356_frame_000001_gt_labelTrainIds.png",
                ),
            ],
        ),
        (
            "camvid",
            "test",
            [
                ("0001TP_008550", "test/0001TP_008550.png", "testannot/0001TP_008550.png"),
                ("Seq05VD_f00000", "test/Seq05VD_f00000.png", "testannot/Seq05VD_f00000.png"),
            ],
        ),
    ],
)
def test_layouts(
    make_root: MakeRoot, type_name: str, split: str | tuple[str, ...], expected: list[tuple[str, str, str | None]]
) -> None:
    root = make_root(type_name)
    convert_all(type_name, root)
    frames = list_frames(choose(type_name, split), root)
    assert [(frame.name, relative(frame.image, root), relative(frame.label, root)) for frame in frames] == expected


def test_acdc_by_condition(make_root: MakeRoot) -> None:
    root = make_root("acdc")
    convert_all("acdc", root)
    (frame,) = list_frames(choose("acdc", "val", "night"), root)
    assert relative(frame.image, root) == "rgb_anon/night/val/GOPR0130/GOPR0130_frame_000041_rgb_anon.png"
    assert relative(frame.label, root) == "gt/night/val/GOPR0130/GOPR0130_frame_000041_gt_labelTrainIds.png"
    assert len(list_frames(choose("acdc", "val"), root)) == 4
    assert len(list_frames(choose("acdc", ("train", "val"), "fog", "snow"), root)) == 4


def test_acdc_with_only_train_ids(make_root: MakeRoot) -> None:
    root = make_root("acdc")
    for pair in list_label_pairs(DATASET_TYPES["acdc"], root):
        pair.raw.rename(pair.converted)
    assert all(frame.label is not None for frame in list_frames(choose("acdc", "train"), root))


def test_camvid_by_sequence(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    assert [frame.name for frame in list_frames(choose("camvid", "train", "0006R0"), root)] == ["0006R0_f00930"]
    both = list_frames(choose("camvid", ("train", "test"), "0001TP"), root)
    assert [frame.name for frame in both] == ["0001TP_008550", "0001TP_006690"]  # by path: test before train


def test_a_sequence_of_another_split(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    with pytest.raises(PrerequisiteError, match=r"holds no frame.*split 'train', subset 'Seq05VD'"):
        list_frames(choose("camvid", "train", "Seq05VD"), root)


@pytest.mark.parametrize("type_name", ["gta", "synthia", "cityscapes", "acdc"])
def test_unconverted_labels_name_the_command(make_root: MakeRoot, type_name: str) -> None:
    root = make_root(type_name)
    with pytest.raises(PrerequisiteError) as raised:
        list_frames(choose(type_name, "train"), root)
    assert f"segshift data prepare {type_name} --root {root}" in str(raised.value)
    assert all(frame.label is None for frame in list_frames(choose(type_name, "train"), root, require_labels=False))


def test_unpaired_files_are_named_up_to_five(make_root: MakeRoot, rgb_writer: Callable[..., None]) -> None:
    root = make_root("gta")
    convert_all("gta", root)
    for number in range(10, 17):
        rgb_writer(root / "images" / f"{number:05d}.png")
    with pytest.raises(PrerequisiteError) as raised:
        list_frames(choose("gta", "train"), root)
    text = str(raised.value)
    assert "7 files ('00010.png', '00011.png', '00012.png', '00013.png', '00014.png', ...)" in text
    assert "00015" not in text


def test_a_label_without_image_is_named(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    (root / "val" / "0016E5_07959.png").rename(root / "elsewhere.png")
    with pytest.raises(PrerequisiteError, match=r"1 file \('0016E5_07959\.png'\).* is without counterpart"):
        list_frames(choose("camvid", "val"), root)


def test_missing_labels_may_be_allowed(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    (root / "testannot" / "0001TP_008550.png").unlink()
    with pytest.raises(PrerequisiteError, match="0001TP_008550"):
        list_frames(choose("camvid", "test"), root)
    labels = [frame.label for frame in list_frames(choose("camvid", "test"), root, require_labels=False)]
    assert [label is None for label in labels] == [True, False]


def test_missing_root_and_missing_split_are_named(make_root: MakeRoot, tmp_path: Path) -> None:
    with pytest.raises(PrerequisiteError, match="nowhere"):
        list_frames(choose("gta", "train"), tmp_path / "nowhere")
    root = make_root("camvid")
    (root / "val").rename(root / "valid")
    with pytest.raises(PrerequisiteError, match=r"'camvid' split 'val' does not exist: .*val'"):
        list_frames(choose("camvid", "val"), root)


def test_the_root_of_another_type(make_root: MakeRoot) -> None:
    with pytest.raises(PrerequisiteError, match=r"does not look like data set type 'gta'.*'images'"):
        list_frames(choose("gta", "train"), make_root("camvid"))


def test_an_unknown_split_is_the_users_mistake(make_root: MakeRoot) -> None:
    with pytest.raises(SpecError, match="'test' is no split"):
        list_frames(choose("cityscapes", "test"), make_root("cityscapes"))


def test_two_images_of_one_name(make_root: MakeRoot, rgb_writer: Callable[..., None]) -> None:
    root = make_root("cityscapes")
    rgb_writer(root / "leftImg8bit" / "train" / "copy" / "ulm_000000_000019_leftImg8bit.png")
    with pytest.raises(PrerequisiteError, match="share the name 'ulm_000000_000019'"):
        list_frames(choose("cityscapes", "train"), root, require_labels=False)


def test_hidden_and_foreign_files_are_passed_over(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    (root / "train" / "._0001TP_006690.png").write_bytes(b"x")
    (root / "train" / "Thumbs.db").write_bytes(b"x")
    (root / "trainannot" / ".0001TP_006690.png.abc.partial").write_bytes(b"x")
    assert len(list_frames(choose("camvid", "train"), root)) == 3


def test_label_pairs_span_all_splits(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    pairs = list_label_pairs(DATASET_TYPES["cityscapes"], root)
    assert [relative(pair.converted, root) for pair in pairs] == [
        "gtFine/train/aachen/aachen_000000_000019_gtFine_labelTrainIds.png",
        "gtFine/train/ulm/ulm_000000_000019_gtFine_labelTrainIds.png",
        "gtFine/val/munster/munster_000000_000019_gtFine_labelTrainIds.png",
    ]
    assert list_label_pairs(DATASET_TYPES["camvid"], make_root("camvid")) == ()


@pytest.mark.realdata
@pytest.mark.parametrize(
    ("split", "sequence", "count"),
    [
        ("train", "0001TP", 62),
        ("train", "0006R0", 101),
        ("train", "0016E5", 102),
        ("val", "0016E5", 61),
        ("test", "0001TP", 62),
        ("test", "Seq05VD", 171),
    ],
)
def test_camvid_counts(split: str, sequence: str, count: int) -> None:
    root = Path(os.environ.get("SEGSHIFT_DATA", "../shared/data")) / "camvid"
    if not root.is_dir():
        pytest.skip(f"CamVid is not at '{root}' (set SEGSHIFT_DATA)")
    assert len(list_frames(choose("camvid", split, sequence), root)) == count
