"""The identity follows the files and not the place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from adapt.data.fingerprint import fingerprint
from adapt.data.prepare import prepare
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError

MakeRoot = Callable[[str], Path]
TRAIN = DatasetSettings(type="camvid", split="train")


def test_does_not_follow_place_or_time(make_root: MakeRoot, tmp_path: Path) -> None:
    root = make_root("camvid")
    before = fingerprint(TRAIN, root)
    assert len(before) == 64
    moved = shutil.move(root, tmp_path / "moved")
    for path in moved.rglob("*.png"):
        os.utime(path, (1, 1))
    assert fingerprint(TRAIN, moved) == before


@pytest.mark.parametrize("grown", ["train/0001TP_006690.png", "trainannot/0006R0_f00930.png"])
def test_follows_sizes(make_root: MakeRoot, grown: str) -> None:
    root = make_root("camvid")
    before = fingerprint(TRAIN, root)
    with (root / grown).open("ab") as file:
        file.write(b"\0")
    assert fingerprint(TRAIN, root) != before


def test_follows_names_and_numbers(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    prints = [fingerprint(TRAIN, root)]
    for folder in ("train", "trainannot"):
        (root / folder / "0001TP_006690.png").rename(root / folder / "0001TP_006691.png")
    prints.append(fingerprint(TRAIN, root))
    for folder in ("train", "trainannot"):
        (root / folder / "0001TP_006691.png").unlink()
    prints.append(fingerprint(TRAIN, root))
    assert len(set(prints)) == 3


def test_other_splits_do_not_matter(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    before = fingerprint(TRAIN, root)
    (root / "test" / "0001TP_008550.png").unlink()
    assert fingerprint(TRAIN, root) == before


def test_follows_the_choice_but_not_the_size_it_is_read_at(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    choices = [
        TRAIN,
        DatasetSettings(type="camvid", split=("train", "val")),
        DatasetSettings(type="camvid", split="val"),
        DatasetSettings(type="camvid", split="val", subset=("0016E5",)),
    ]
    assert len({fingerprint(choice, root) for choice in choices}) == 4
    assert fingerprint(TRAIN.model_copy(update={"resize": (48, 36)}), root) == fingerprint(TRAIN, root)
    swapped = DatasetSettings(type="camvid", split=("val", "train"))
    assert fingerprint(swapped, root) == fingerprint(choices[1], root)


def test_an_edit_of_equal_size_is_not_seen(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    before = fingerprint(TRAIN, root)
    path = root / "train" / "0001TP_006690.png"
    path.write_bytes(bytes(len(path.read_bytes())))
    assert fingerprint(TRAIN, root) == before


def test_a_data_set_that_is_not_prepared_is_found_out(make_root: MakeRoot) -> None:
    root, settings = make_root("gta"), DatasetSettings(type="gta", split="train")
    with pytest.raises(PrerequisiteError, match="segshift data prepare gta"):
        fingerprint(settings, root)
    assert len(fingerprint(settings, root, require_labels=False)) == 64


def test_labels_that_nobody_reads_do_not_matter(make_root: MakeRoot) -> None:
    root, settings = make_root("cityscapes"), DatasetSettings(type="cityscapes", split="train")
    before = fingerprint(settings, root, require_labels=False)
    prepare("cityscapes", root)
    assert fingerprint(settings, root, require_labels=False) == before
    assert fingerprint(settings, root) != before
    shutil.rmtree(root / "gtFine")
    assert fingerprint(settings, root, require_labels=False) == before
    with next((root / "leftImg8bit" / "train").rglob("*.png")).open("ab") as file:
        file.write(b"\0")
    assert fingerprint(settings, root, require_labels=False) != before
