"""Each kind of damage is found and named, and an undamaged data set passes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapt.data.check import check
from adapt.data.prepare import prepare
from adapt.errors import PrerequisiteError

MakeRoot = Callable[[str], Path]
Write = Callable[..., None]


@pytest.mark.parametrize("type_name", ["gta", "synthia", "cityscapes", "acdc", "dark_zurich", "camvid"])
def test_a_prepared_data_set_passes(make_root: MakeRoot, type_name: str) -> None:
    root = make_root(type_name)
    prepare(type_name, root)
    assert check(type_name, root) == ()


def test_before_prepare_it_says_so_once(make_root: MakeRoot) -> None:
    root = make_root("gta")
    (problem,) = check("gta", root)
    assert problem.file == root
    assert (
        problem.reason == f"3 labels are not converted to train ids yet. Run: segshift data prepare gta --root {root}"
    )


@pytest.mark.parametrize("workers", [1, 2])
def test_every_kind_of_damage(
    make_root: MakeRoot, rgb_writer: Write, gray_writer: Write, fill: Callable[..., np.ndarray], workers: int
) -> None:
    root = make_root("cityscapes")
    prepare("cityscapes", root)
    images, labels = root / "leftImg8bit", root / "gtFine"
    aachen = labels / "train" / "aachen" / "aachen_000000_000019"
    munster = labels / "val" / "munster" / "munster_000000_000019"
    ulm = images / "train" / "ulm" / "ulm_000000_000019_leftImg8bit.png"
    lonely_image = images / "val" / "munster" / "munster_000001_000019_leftImg8bit.png"
    lonely_label = labels / "train" / "ulm" / "ulm_000009_000019_gtFine_labelIds.png"
    gray_writer(Path(f"{aachen}_gtFine_labelIds.png"), fill(7, 34, 99))
    gray_writer(Path(f"{aachen}_gtFine_labelTrainIds.png"), fill(18, 19, 255))
    gray_writer(Path(f"{munster}_gtFine_labelTrainIds.png"), np.zeros((5, 6)))
    ulm.write_bytes(ulm.read_bytes()[:50])
    rgb_writer(lonely_image)
    gray_writer(lonely_label, fill(7))

    progress: list[tuple[int, int]] = []
    problems = check("cityscapes", root, workers, lambda done, total: progress.append((done, total)))
    assert progress[-1] == (4, 4)
    reasons = {problem.file: problem.reason for problem in problems}
    assert len(reasons) == len(problems) == 6
    assert list(reasons) == sorted(reasons)
    assert "published ids of 'cityscapes': 34, 99." in reasons[Path(f"{aachen}_gtFine_labelIds.png")]
    assert "train ids 0 to 18: 19." in reasons[Path(f"{aachen}_gtFine_labelTrainIds.png")]
    assert "6x5 pixels, its image 6x4" in reasons[Path(f"{munster}_gtFine_labelTrainIds.png")]
    assert "cut short" in reasons[ulm]
    assert "no label" in reasons[lonely_image]
    assert "no image" in reasons[lonely_label]


def test_gta_license_plate_is_in_the_table_and_35_is_not(
    make_root: MakeRoot, palette_writer: Write, fill: Callable[..., np.ndarray]
) -> None:
    root = make_root("gta")
    palette_writer(root / "labels" / "00003.png", fill(34, 35))
    prepare("gta", root)
    (problem,) = check("gta", root)
    assert problem.file.name == "00003.png"
    assert problem.reason.startswith("It holds ids that are not among the published ids of 'gta': 35.")


def test_camvid_void_is_known_and_12_is_not(
    make_root: MakeRoot, gray_writer: Write, fill: Callable[..., np.ndarray]
) -> None:
    root = make_root("camvid")
    gray_writer(root / "valannot" / "0016E5_07959.png", fill(11, 12))
    (problem,) = check("camvid", root)
    assert problem.reason.startswith("It holds ids that are not among the published ids of 'camvid': 12.")


def test_an_unreadable_label_is_named(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    path = root / "valannot" / "0016E5_07959.png"
    path.write_bytes(b"")
    (problem,) = check("camvid", root)
    assert problem.file == path
    assert "it is empty" in problem.reason


def test_wrong_root(make_root: MakeRoot) -> None:
    with pytest.raises(PrerequisiteError, match="does not look like"):
        check("acdc", make_root("gta"))
