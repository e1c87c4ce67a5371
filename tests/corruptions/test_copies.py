"""Corrupted copies: the same bytes whatever happened on the way, and every bad input named."""

from __future__ import annotations

import doctest
import hashlib
import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import corruptions.copies
from corruptions import CorruptionError, corrupt, derive_seed
from corruptions.copies import CopyReport, write_copies
from corruptions.image_id import ImageIds
from corruptions.manifest import JOURNAL, NAME
from corruptions.protocol import Protocol

PROTOCOL = Protocol("mine", (("gaussian_noise", 1), ("contrast", 3), ("contrast", 5)), backend="fast")
IMAGES = ("a.png", "city/b.jpg", "city/c.png", "d.bmp")
IDS = dict(zip(IMAGES, "abcd", strict=True))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "city").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in IMAGES:
        cv2.imwrite(str(folder / name), generator.integers(0, 256, (40, 48, 3), dtype=np.uint8))
    (folder / "notes.txt").write_text("no image")
    return folder


@pytest.fixture
def whole(source: Path, tmp_path: Path) -> dict[str, bytes]:
    """What an undisturbed command writes."""
    assert write_copies(source, tmp_path / "whole", PROTOCOL, seed=7) == CopyReport(4, 12, 0, ())
    return read(tmp_path / "whole")


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Interrupted(Exception):  # noqa: N818
    """As Ctrl-C."""


def stop_at(count: int):  # type: ignore[no-untyped-def]
    def on_progress(done: int, total: int) -> None:
        if done == count:
            raise Interrupted

    return on_progress


def test_copies_are_the_corrupted_images_and_the_manifest_says_how(source: Path, whole: dict[str, bytes]) -> None:
    cells, names = ("gaussian_noise/1", "contrast/3", "contrast/5"), ("a", "city/b", "city/c", "d")
    assert set(whole) == {NAME, *(f"{cell}/{name}.png" for cell in cells for name in names)}
    manifest = json.loads(whole[NAME])
    images = manifest.pop("images")
    assert manifest == {
        "format": 2,
        "protocol": "mine",
        "cells": {"gaussian_noise": [1], "contrast": [3, 5]},
        "backends": ["fast"],
        "version": PROTOCOL.version,
        "channel_order": "RGB",
        "insertion_point": "before_resize",
        "seed": 7,
        "image_ids": {"kind": "name", "image_suffix": None},
        "problems": [],
        "status": "finished",
    }
    assert [row["source"] for row in images] == list(IMAGES)
    for row in images:
        data = (source / row["source"]).read_bytes()
        assert (row["id"], row["sha256"]) == (IDS[row["source"]], hashlib.sha256(data).hexdigest())
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert [(copy["corruption"], copy["severity"]) for copy in row["copies"]] == list(PROTOCOL.cells)
        for copy in row["copies"]:
            cell = copy["corruption"], copy["severity"]
            assert copy["seed"] == derive_seed(7, row["id"], *cell)
            written = whole[copy["file"]]
            assert copy["sha256"] == hashlib.sha256(written).hexdigest()
            found = cv2.imdecode(np.frombuffer(written, np.uint8), cv2.IMREAD_UNCHANGED)[..., ::-1]
            np.testing.assert_array_equal(found, corrupt(pixels, *cell, copy["seed"], backend="fast"))


def test_two_processes_write_what_one_writes(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    counts: list[tuple[int, int]] = []
    report = write_copies(source, tmp_path / "two", PROTOCOL, 7, workers=2, on_progress=lambda *n: counts.append(n))
    assert report == CopyReport(4, 12, 0, ())
    assert counts == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert read(tmp_path / "two") == whole


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [1, 3])
def test_a_resumed_command_writes_what_a_whole_one_writes(
    source: Path, whole: dict[str, bytes], tmp_path: Path, count: int, workers: int
) -> None:
    out = tmp_path / "resumed"
    with pytest.raises(Interrupted):
        write_copies(source, out, PROTOCOL, 7, workers=workers, on_progress=stop_at(count))
    assert JOURNAL in read(out)
    assert json.loads((out / NAME).read_text())["status"] == "incomplete"
    half = out / "contrast" / "3" / ".d.png.partial"
    if not half.with_name("d.png").exists():  # another process may have been that far
        half.parent.mkdir(parents=True, exist_ok=True)
        half.write_bytes(b"half")  # as a crash in the middle of a file leaves it
    report = write_copies(source, out, PROTOCOL, 7)
    assert (report.images, report.written + report.kept, report.problems) == (4, 12, ())
    assert report.kept >= 3 * count
    assert read(out) == whole


def test_what_is_there_stays_and_what_was_damaged_is_mended(
    source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "whole"
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*.png")}
    assert write_copies(source, out, PROTOCOL, 7) == CopyReport(4, 0, 12, ())
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.png")} == before
    (out / "contrast/3/a.png").write_bytes(b"damaged")
    (out / "contrast/5/city/b.png").unlink()
    assert write_copies(source, out, PROTOCOL, 7) == CopyReport(4, 2, 10, ())
    assert read(out) == whole


def test_parts_add_up_to_the_whole(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "parts"
    assert write_copies(source, out, PROTOCOL, 7, cells=[("contrast", 5)]) == CopyReport(4, 4, 0, ())
    assert json.loads((out / NAME).read_text())["status"] == "incomplete"
    assert write_copies(source, out, PROTOCOL, 7, cells=[("gaussian_noise", 1)]) == CopyReport(4, 4, 0, ())
    assert write_copies(source, out, PROTOCOL, 7) == CopyReport(4, 4, 8, ())
    assert read(out) == whole


def test_the_manifest_is_incomplete_while_a_part_is_added_and_after_a_kill(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    protocol = Protocol("two", (("contrast", 3),))
    write_copies(source, out, protocol)
    assert json.loads((out / NAME).read_text())["status"] == "finished"
    (out / "contrast/3/a.png").unlink()
    seen: list[str] = []

    def look(done: int, total: int) -> None:
        seen.append(json.loads((out / NAME).read_text())["status"])
        if done == 2:
            raise Interrupted

    with pytest.raises(Interrupted):
        write_copies(source, out, protocol, on_progress=look)
    manifest = json.loads((out / NAME).read_text())
    assert [*seen, manifest["status"]] == ["incomplete"] * 3
    assert [row["source"] for row in manifest["images"]] == list(IMAGES)
    assert write_copies(source, out, protocol).written == 0
    assert json.loads((out / NAME).read_text())["status"] == "finished"


def test_copies_of_an_image_that_cannot_be_used_any_more_are_named(
    source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "whole"
    copies = ["gaussian_noise/1/city/b.png", "contrast/3/city/b.png", "contrast/5/city/b.png"]
    content = (source / "city/b.jpg").read_bytes()
    (source / "city/b.jpg").write_bytes(content[:-40])
    report = write_copies(source, out, PROTOCOL, 7)
    there = "it is cut short: copy or download it again; 3 copies that were made of it before are still there"
    assert report == CopyReport(3, 0, 9, (("city/b.jpg", there),))
    manifest = json.loads((out / NAME).read_text())
    reason = "it is cut short: copy or download it again"
    assert manifest["problems"] == [{"source": "city/b.jpg", "reason": reason, "copies": copies}]
    assert manifest["status"] == "incomplete"
    assert "city/b.jpg" not in [row["source"] for row in manifest["images"]]  # they are not of the image as it is
    (source / "city/b.jpg").write_bytes(content)
    assert write_copies(source, out, PROTOCOL, 7) == CopyReport(4, 3, 9, ())
    assert read(out) == whole


def test_an_image_that_cannot_be_read_for_once_keeps_its_copies(
    source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "whole"
    (source / "a.png").rename(tmp_path / "aside.png")
    (source / "a.png").symlink_to(source / "nowhere.png")
    report = write_copies(source, out, PROTOCOL, 7)
    assert [name for name, _ in report.problems] == ["a.png"]
    manifest = json.loads((out / NAME).read_text())
    assert (manifest["status"], len(manifest["problems"][0]["copies"])) == ("incomplete", 3)
    assert [row["source"] for row in manifest["images"]] == list(IMAGES)
    (source / "a.png").unlink()
    (tmp_path / "aside.png").rename(source / "a.png")
    assert write_copies(source, out, PROTOCOL, 7) == CopyReport(4, 0, 12, ())
    assert read(out) == whole


def test_an_image_that_changed_is_copied_anew_in_all_cells(
    source: Path, whole: dict[str, bytes], tmp_path: Path
) -> None:
    shutil.copy(source / "city/c.png", source / "a.png")
    report = write_copies(source, tmp_path / "whole", PROTOCOL, 7, cells=[("contrast", 3)])
    assert report == CopyReport(4, 3, 3, ())
    assert write_copies(source, tmp_path / "again", PROTOCOL, 7).problems == ()
    assert read(tmp_path / "whole") == read(tmp_path / "again")
    assert read(tmp_path / "again") != whole


def test_the_place_of_the_folder_plays_no_part(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "elsewhere" / "x")
    write_copies(tmp_path / "elsewhere" / "x", tmp_path / "out", PROTOCOL, 7)
    assert read(tmp_path / "out") == whole


@pytest.mark.parametrize("workers", [1, 2])
def test_images_that_cannot_be_used_are_listed_and_the_rest_is_done(
    source: Path, whole: dict[str, bytes], tmp_path: Path, workers: int
) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 40, 4), dtype=np.uint8)
    (source / "broken.png").write_bytes((source / "a.png").read_bytes()[:-40])
    (source / "gone.png").symlink_to(source / "nowhere.png")
    cv2.imwrite(str(source / "city" / "deep.png"), noise[..., :3].astype(np.uint16) * 257)
    cv2.imwrite(str(source / "clear.png"), noise)
    cv2.imwrite(str(source / "small.png"), noise[:31, :, :3])
    cv2.imwrite(str(source / "grey.png"), noise[..., 0])
    out = tmp_path / "out"
    report = write_copies(source, out, PROTOCOL, 7, workers=workers)
    assert (report.images, report.written) == (5, 15)
    assert [name for name, _ in report.problems] == [
        "broken.png",
        "city/deep.png",
        "clear.png",
        "gone.png",
        "small.png",
    ]
    reasons = dict(report.problems)
    assert "cut short" in reasons["broken.png"]
    assert "uint16" in reasons["city/deep.png"]
    assert "not opaque" in reasons["clear.png"]
    assert "No such file" in reasons["gone.png"]
    assert "40x31" in reasons["small.png"]
    manifest = json.loads((out / NAME).read_text())
    assert manifest["status"] == "incomplete"
    assert [problem["source"] for problem in manifest["problems"]] == [name for name, _ in report.problems]
    for name in reasons:
        (source / name).unlink()
    (source / "grey.png").unlink()
    shutil.rmtree(out)
    write_copies(source, out, PROTOCOL, 7)
    assert read(out) == whole


def test_a_corruption_that_fails_is_one_images_problem(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(image: np.ndarray, name: str, severity: int, seed: int, **options: str) -> np.ndarray:
        if seed == derive_seed(7, "d", "contrast", 5):
            raise ArithmeticError("on purpose")
        return corrupt(image, name, severity, seed, **options)

    monkeypatch.setattr(corruptions.copies, "corrupt", fail)
    report = write_copies(source, tmp_path / "out", PROTOCOL, 7)
    assert (report.images, report.written) == (3, 9)
    there = "; 2 copies that were made of it before are still there"
    assert report.problems == (("d.bmp", f"contrast at severity 5 failed (ArithmeticError: on purpose){there}"),)
    monkeypatch.undo()
    assert write_copies(source, tmp_path / "out", PROTOCOL, 7) == CopyReport(4, 1, 11, ())


def test_a_disk_that_is_full_ends_the_command_and_what_is_done_is_kept(
    source: Path, whole: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = corruptions.copies.write_whole
    left = [4]

    def fail(path: Path, content: bytes) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise CorruptionError(f"'{path}' cannot be written (No space left on device)")
        real(path, content)

    monkeypatch.setattr(corruptions.copies, "write_whole", fail)
    with pytest.raises(CorruptionError, match="No space left"):
        write_copies(source, tmp_path / "out", PROTOCOL, 7)
    monkeypatch.undo()
    assert write_copies(source, tmp_path / "out", PROTOCOL, 7) == CopyReport(4, 9, 3, ())
    assert read(tmp_path / "out") == whole


@pytest.mark.parametrize(
    ("protocol", "seed", "ids", "message"),
    [
        (PROTOCOL, 8, ImageIds(), "seed was 7, and is 8 now"),
        (Protocol("other", PROTOCOL.cells, "fast"), 7, ImageIds(), 'protocol was "mine", and is "other" now'),
        (PROTOCOL.with_backend("reference"), 7, ImageIds(), r'backends was \["fast"\], and is \["reference"\] now'),
        (Protocol("mine", PROTOCOL.cells[:2], "fast"), 7, ImageIds(), "its cells are others now"),
        (PROTOCOL, 7, ImageIds("path"), 'image_ids was {"kind": "name", .*}, and is {"kind": "path", .*} now'),
        (PROTOCOL, 7, ImageIds("name", ".png"), "image_ids was .*, and is .* now"),
    ],
)
def test_a_folder_of_other_copies_is_refused(
    source: Path, whole: dict[str, bytes], tmp_path: Path, protocol: Protocol, seed: int, ids: ImageIds, message: str
) -> None:
    with pytest.raises(CorruptionError, match=f"{message}.*give another folder, or remove that one"):
        write_copies(source, tmp_path / "whole", protocol, seed, ids=ids)
    assert read(tmp_path / "whole") == whole


def test_weather_is_the_same_with_either_backend_of_the_others(source: Path, tmp_path: Path) -> None:
    cells = (("weather_night", 2),)
    assert write_copies(source, tmp_path / "out", Protocol("night", cells)) == CopyReport(4, 4, 0, ())
    assert write_copies(source, tmp_path / "out", Protocol("night", cells, "reference")) == CopyReport(4, 0, 4, ())


def test_copies_of_other_images_are_refused(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    (source / "d.bmp").unlink()
    with pytest.raises(CorruptionError, match=r"holds copies of 1 images that .* does not hold, such as 'd\.bmp'"):
        write_copies(source, tmp_path / "whole", PROTOCOL, 7)


@pytest.mark.parametrize("place", ["", "out", "city/out"])
def test_a_folder_inside_the_images_is_refused(source: Path, place: str) -> None:
    before = read(source)
    with pytest.raises(CorruptionError, match=r"lies in .*images_corrupted"):
        write_copies(source, source / place, PROTOCOL)
    assert read(source) == before


def test_two_images_of_one_copy_are_refused(source: Path, tmp_path: Path) -> None:
    shutil.copy(source / "city/c.png", source / "city/b.png")
    with pytest.raises(CorruptionError, match=r"'city/b\.jpg' and 'city/b\.png' would have the same copies"):
        write_copies(source, tmp_path / "out", PROTOCOL)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("cells", "chosen", "message"),
    [
        ([("fgo", 1)], None, "did you mean 'fog'"),
        ([("fog", 6)], None, "severity 6 of fog is none of"),
        ([("fog", 1)], [("fog", 2)], r"protocol 'x' has no cell \('fog', 2\)"),
    ],
)
def test_cells_that_do_not_exist_are_refused(source: Path, tmp_path: Path, cells, chosen, message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        write_copies(source, tmp_path / "out", Protocol("x", tuple(cells)), cells=chosen)
    assert not (tmp_path / "out").exists()


def test_images_of_one_id_are_refused_and_the_path_tells_them_apart(source: Path, tmp_path: Path) -> None:
    shutil.copy(source / "d.bmp", source / "city/a.bmp")
    with pytest.raises(CorruptionError, match=r"'a\.png' and 'city/a\.bmp' have the same id 'a'.*--ids path"):
        write_copies(source, tmp_path / "out", PROTOCOL)
    assert not (tmp_path / "out").exists()
    write_copies(source, tmp_path / "out", PROTOCOL, ids=ImageIds("path"))
    manifest = json.loads((tmp_path / "out" / NAME).read_text())
    assert manifest["image_ids"] == {"kind": "path", "image_suffix": None}
    ids = {row["source"]: row["id"] for row in manifest["images"]}
    assert ids == {"a.png": "a", "city/a.bmp": "city/a", "city/b.jpg": "city/b", "city/c.png": "city/c", "d.bmp": "d"}
    seeds = {copy["seed"] for copy in manifest["images"][1]["copies"]}
    assert seeds == {derive_seed(0, "city/a", *cell) for cell in PROTOCOL.cells}


def test_files_without_the_image_suffix_are_left_out(source: Path, tmp_path: Path) -> None:
    for name in ("x_rgb.png", "x_label.png"):
        shutil.copy(source / "a.png", source / name)
    report = write_copies(source, tmp_path / "out", PROTOCOL, ids=ImageIds("name", "_rgb.png"))
    assert report == CopyReport(1, 3, 0, (), left_out=5)
    assert json.loads((tmp_path / "out" / NAME).read_text())["images"][0]["id"] == "x"
    assert (tmp_path / "out/contrast/3/x_rgb.png").exists()
    with pytest.raises(CorruptionError, match=r"none of 6 images ends in '_rbg\.png' \(the first is 'a\.png'\)"):
        write_copies(source, tmp_path / "none", PROTOCOL, ids=ImageIds("name", "_rbg.png"))


def test_a_name_that_is_no_text_is_listed(source: Path, whole: dict[str, bytes], tmp_path: Path) -> None:
    (source / os.fsdecode(b"caf\xe9.png")).write_bytes((source / "a.png").read_bytes())
    report = write_copies(source, tmp_path / "whole", PROTOCOL, 7)
    assert report == CopyReport(4, 0, 12, (("caf?.png", "its name is not UTF-8: rename it"),))


def test_a_protocol_that_corrupts_after_a_resize_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CorruptionError, match=r"'own' corrupts images at the size that a network sees"):
        write_copies(source, tmp_path / "out", Protocol("own", (("fog", 2),), insertion_point="after_resize"))


def test_doctests() -> None:
    results = doctest.testmod(corruptions.copies)
    assert results.attempted
    assert not results.failed
