"""Sizes from headers, and crops that do not fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.data.size import fit_inside, read_size, require_crop_fits, require_equal_sizes
from adapt.errors import PrerequisiteError, SpecError

WriteRgb = Callable[..., None]


@pytest.mark.parametrize(
    ("own", "size", "expected"),
    [
        # 1280 / 1914 = 0.66876 < 720 / 1052 = 0.68441; 1052 * 0.66876 = 703.53.
        ((1914, 1052), (1280, 720), (1280, 704)),
        ((2048, 1024), (1024, 512), (1024, 512)),
        # 360 / 760 = 0.47368; 1280 * 0.47368 = 606.3: the height decides.
        ((1280, 760), (720, 360), (606, 360)),
        ((480, 360), (960, 960), (960, 720)),
        # An upright image fits inside too; 10 / 40 = 0.25.
        ((20, 40), (20, 10), (5, 10)),
    ],
)
def test_sizes_by_hand(own: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_inside(own, size) == expected


@pytest.fixture
def frame(tmp_path: Path, rgb_writer: WriteRgb) -> Frame:
    rgb_writer(tmp_path / "a.png", size=(30, 40))
    return Frame("a", tmp_path / "a.png", None)


def test_the_header_alone_is_read(frame: Frame, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cv2, "imdecode", None)
    assert read_size(frame.image) == (40, 30)
    frame.image.write_bytes(frame.image.read_bytes()[:60])  # its pixels are gone
    assert read_size(frame.image) == (40, 30)


@pytest.mark.parametrize("content", [None, b"", b"no image"])
def test_what_is_no_image_is_named(frame: Frame, content: bytes | None) -> None:
    frame.image.unlink()
    if content is not None:
        frame.image.write_bytes(content)
    with pytest.raises(PrerequisiteError, match=r"size of '.*a\.png'"):
        read_size(frame.image)


@pytest.mark.parametrize(
    ("crop", "resize", "fits"),
    [
        ((40, 30), None, True),
        ((41, 30), None, False),
        ((40, 31), None, False),
        ((80, 60), (80, 60), True),
        ((21, 15), (20, 100), False),
        ((20, 15), (20, 100), True),  # half of it: 20x15
        ((20, 16), (20, 100), False),
    ],
)
def test_a_crop_must_lie_in_the_resized_frame(
    frame: Frame, crop: tuple[int, int], resize: tuple[int, int] | None, fits: bool
) -> None:
    dataset = DatasetSettings(type="camvid", split="train", resize=resize)
    if fits:
        require_crop_fits(frame, dataset, crop)
    else:
        with pytest.raises(SpecError):
            require_crop_fits(frame, dataset, crop)


def test_both_sizes_and_the_remedy_are_named(frame: Frame) -> None:
    with pytest.raises(SpecError) as caught:
        require_crop_fits(frame, DatasetSettings(type="camvid", split="train", resize=(20, 20)), (16, 32))
    assert str(caught.value) == (
        "The crop of 16x32 pixels is larger than the frames of the data set of type 'camvid', which are 20x15 (40x30, "
        "resized to fit 20x20), as 'a.png'. Set `augment.crop` to [16, 15] or smaller, or `resize` of the data set to "
        "something larger."
    )


def test_labels_of_another_size_than_their_image_are_named(frame: Frame, tmp_path: Path) -> None:
    small, same = tmp_path / "small.png", tmp_path / "same.png"
    cv2.imwrite(str(small), np.zeros((15, 20), np.uint8))
    cv2.imwrite(str(same), np.zeros((30, 40), np.uint8))
    fine = [Frame("same", frame.image, same), Frame("none", frame.image, None)]
    require_equal_sizes(fine)
    with pytest.raises(
        PrerequisiteError, match=r"1 of 2 labels .*small\.png' is 20x15 pixels, its image .*a\.png' is 40x30"
    ):
        require_equal_sizes([*fine, Frame("small", frame.image, small)])
