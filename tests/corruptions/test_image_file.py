"""Image files: which are found, what is unambiguous, and what is refused."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from corruptions import CorruptionError
from corruptions.image_file import decode_image, encode_png, list_images, write_whole


def scene(height: int = 40, width: int = 64) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def encode(pixels: NDArray[np.generic], suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def test_images_are_listed_by_their_place_below_the_folder(tmp_path: Path) -> None:
    for name in ("b/2.JPG", "b/10.png", "a.tif", "b/c/1.webp", "notes.txt", ".hidden.png", ".git/x.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "link").symlink_to(tmp_path / "b" / "c")
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    assert list_images(tmp_path) == ["a.tif", "b/10.png", "b/2.JPG", "b/c/1.webp", "link/1.webp"]


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CorruptionError, match="hold no image"):
        list_images(tmp_path)
    with pytest.raises(CorruptionError, match="is no folder"):
        list_images(tmp_path / "none")


def test_png_brings_back_what_was_written() -> None:
    np.testing.assert_array_equal(decode_image(encode_png(scene()), "x"), scene())
    with_pillow = np.asarray(Image.open(io.BytesIO(encode_png(scene()))))
    np.testing.assert_array_equal(with_pillow, scene())  # RGB, not BGR


def test_grey_and_opaque_alpha_are_what_they_show() -> None:
    grey = scene()[..., 0]
    np.testing.assert_array_equal(decode_image(encode(grey), "x"), np.stack([grey] * 3, axis=-1))
    alpha = np.dstack([scene()[..., ::-1], np.full((40, 64), 255, np.uint8)])
    np.testing.assert_array_equal(decode_image(encode(alpha), "x"), scene())


def test_orientation_in_the_header_is_applied(tmp_path: Path) -> None:
    image = Image.fromarray(scene())
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned
    image.save(tmp_path / "x.jpg", exif=exif)
    assert decode_image((tmp_path / "x.jpg").read_bytes(), "x").shape == (64, 40, 3)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "x is empty"),
        (b"no image at all", "x cannot be decoded as an image"),
        (encode(scene())[:-30], "x is cut short"),
        (encode(scene(), ".jpg")[:-30], "x is cut short"),
        (encode(scene(), ".bmp")[:60], "x cannot be decoded"),
        (encode(scene().astype(np.uint16) * 257), "x has dtype uint16 .* its white .* becomes 255$"),
        (encode(scene().astype(np.float32) / 255, ".tiff"), "x has dtype float32 .* so that 1 becomes 255$"),
        (encode(np.dstack([scene(), scene()[..., 0]])), "x is RGBA and not opaque"),
        (encode(scene(31, 64)), "x is 64x31 pixels, but corruptions need 32"),
    ],
    ids=["empty", "text", "png", "jpeg", "bmp", "16 bits", "float", "transparent", "small"],
)
def test_what_is_not_clear_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        decode_image(data, "x")


def test_writing_is_whole_and_replaces_what_an_interruption_left(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.png"
    path.parent.mkdir()
    (path.parent / ".a.png.partial").write_bytes(b"half")
    write_whole(path, b"whole")
    assert [(file.name, file.read_bytes()) for file in path.parent.iterdir()] == [("a.png", b"whole")]


def test_writing_where_it_is_impossible_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CorruptionError, match=r"cannot be written .* run the same command again"):
        write_whole(tmp_path / "file" / "a.png", b"x")
