"""What is unambiguous is converted; the rest is refused with its reason."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from adapt.tta.live.decode import FrameProblem, decode_image


def test_colours_come_as_rgb(tmp_path: Path, draw) -> None:
    for suffix in (".png", ".bmp", ".tif"):
        path = tmp_path / f"a{suffix}"
        cv2.imwrite(str(path), draw(3)[..., ::-1])
        image, note = decode_image(path, allow_gray=False)
        assert np.array_equal(image, draw(3))
        assert note is None


def test_transparency_is_dropped(tmp_path: Path, draw) -> None:
    with_alpha = np.dstack([draw(1)[..., ::-1], np.full((48, 64), 128, np.uint8)])
    cv2.imwrite(str(tmp_path / "a.png"), with_alpha)
    assert np.array_equal(decode_image(tmp_path / "a.png", allow_gray=False)[0], draw(1))


def test_sixteen_bits_are_brought_to_eight(tmp_path: Path) -> None:
    values = np.array([[[0, 257, 65535], [128 * 257, 128 * 257 + 128, 128 * 257 + 129]]], np.uint16)  # RGB
    cv2.imwrite(str(tmp_path / "a.png"), values[..., ::-1])
    image, note = decode_image(tmp_path / "a.png", allow_gray=False)
    assert image.dtype == np.uint8
    assert image.tolist() == [[[0, 1, 255], [128, 128, 129]]]  # to the nearest
    assert note == "16 bits a channel brought to 8"


def test_twelve_bits_in_sixteen_are_ambiguous(tmp_path: Path) -> None:
    for largest, is_refused in ((4095, True), (4096, False), (0, False)):
        cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2, 3), largest, np.uint16))
        if is_refused:
            with pytest.raises(FrameProblem, match="no value above 4095"):
                decode_image(tmp_path / "a.png", allow_gray=False)
        else:
            decode_image(tmp_path / "a.png", allow_gray=False)


def test_gray_is_refused_unless_allowed(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.array([[1, 2], [3, 4]], np.uint8))
    with pytest.raises(FrameProblem, match=r"one channel.*--allow-gray"):
        decode_image(tmp_path / "a.png", allow_gray=False)
    image, note = decode_image(tmp_path / "a.png", allow_gray=True)
    assert image.tolist() == [[[1] * 3, [2] * 3], [[3] * 3, [4] * 3]]
    assert note == "one channel repeated three times"


def test_gray_of_sixteen_bits_is_both(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.full((2, 2), 65535, np.uint16))
    image, note = decode_image(tmp_path / "a.png", allow_gray=True)
    assert (image == 255).all()
    assert note == "16 bits a channel brought to 8, one channel repeated three times"


def test_floats_have_no_range(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.tif"), np.full((2, 2, 3), 0.5, np.float32))
    with pytest.raises(FrameProblem, match="float32"):
        decode_image(tmp_path / "a.tif", allow_gray=True)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_file_cut_short_is_refused(tmp_path: Path, draw, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8))
    whole = path.read_bytes()
    decode_image(path, allow_gray=False)
    for share in (0.5, 0.99):
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(FrameProblem, match="cut short"):
            decode_image(path, allow_gray=False)


def test_bytes_after_the_end_of_a_jpeg_do_no_harm(tmp_path: Path, draw) -> None:
    path = tmp_path / "a.jpg"
    cv2.imwrite(str(path), draw(0))
    path.write_bytes(path.read_bytes() + b"appended by a camera")
    assert decode_image(path, allow_gray=False)[0].shape == (48, 64, 3)


def test_what_is_no_image(tmp_path: Path) -> None:
    for content, reason in ((b"", "empty"), (b"not an image", "decoded")):
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(FrameProblem, match=reason):
            decode_image(tmp_path / "a.png", allow_gray=False)
    with pytest.raises(FrameProblem, match="cannot be read"):
        decode_image(tmp_path / "missing.png", allow_gray=False)
