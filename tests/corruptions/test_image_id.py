"""Ids of images: the names that benchmarks use, unique or refused."""

from __future__ import annotations

import doctest

import pytest

import corruptions.image_id
from corruptions import CorruptionError
from corruptions.image_id import ImageIds, name_frame


@pytest.mark.parametrize(
    ("ids", "expected"),
    [
        (ImageIds(), "a.b_rgb"),
        (ImageIds("name", "_rgb.png"), "a.b"),
        (ImageIds("name", ".png"), "a.b_rgb"),
        (ImageIds("path"), "city/a.b_rgb"),
        (ImageIds("path", "_rgb.png"), "city/a.b"),
    ],
)
def test_ids(ids: ImageIds, expected: str) -> None:
    assert ids.identify("city/a.b_rgb.png") == expected
    assert ids.describe() == {"kind": ids.kind, "image_suffix": ids.image_suffix}


def test_a_path_without_folders_is_a_name() -> None:
    assert ImageIds("path").identify("a.png") == "a"


def test_names_of_frames_do_not_depend_on_the_folder() -> None:
    assert {name_frame(path) for path in ("/data/x/a.png", "x/a.png", "a.jpg")} == {"a"}


def test_rules_that_cannot_be_are_refused() -> None:
    with pytest.raises(CorruptionError, match="unknown kind of image ids 'paths': did you mean 'path'"):
        ImageIds("paths")  # type: ignore[arg-type]
    for suffix in ("", "_leftImg8bit"):
        with pytest.raises(CorruptionError, match=f"image suffix '{suffix}' has no extension"):
            ImageIds("name", suffix)


def test_equal_ids_name_both_images_and_the_remedy() -> None:
    ImageIds().refuse_equal(["day/1.png", "day/2.png"])
    with pytest.raises(CorruptionError, match=r"'day/1\.png' and 'night/1\.png' have the same id '1'.*`--ids path`"):
        ImageIds().refuse_equal(["day/1.png", "night/1.png"])
    ImageIds("path").refuse_equal(["day/1.png", "night/1.png"])
    with pytest.raises(CorruptionError, match=r"have the same id 'day/1'.*or move one of them away"):
        ImageIds("path").refuse_equal(["day/1.png", "day/1.jpg"])


def test_other_files_are_left_out() -> None:
    assert ImageIds().select(["a.png", "b.jpg"]) == ["a.png", "b.jpg"]
    assert ImageIds("name", "_l.png").select(["a_l.png", "a_r.png"]) == ["a_l.png"]
    with pytest.raises(CorruptionError, match=r"none of 1 images ends in '_x\.png'.*correct the image suffix"):
        ImageIds("name", "_x.png").select(["a_l.png"])


def test_doctests() -> None:
    results = doctest.testmod(corruptions.image_id)
    assert results.attempted
    assert not results.failed
