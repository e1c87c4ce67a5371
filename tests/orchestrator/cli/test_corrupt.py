"""`corrupt`: copies and previews from the command line, and every mistake with its remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import corruptions
from adapt.data.layout import list_frames
from adapt.data.settings import DatasetSettings
from corruptions import CORRUPTIONS, PROTOCOLS, WEATHER, derive_seed


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    (folder / "city").mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in ("city/a.jpg", "b.png"):
        cv2.imwrite(str(folder / name), generator.integers(0, 256, (40, 48, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def corrupt(segshift, source: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run `corrupt` on the two images, on one process."""

    def run(*arguments: str | Path, out: str = "out") -> Any:
        return segshift("corrupt", source, tmp_path / out, "--workers", "1", *arguments)

    return run


def read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_copies_are_written_and_stay(corrupt, tmp_path: Path) -> None:
    first = corrupt("--protocol", "quick", "--seed", "3")
    assert (first.code, first.err) == (0, "")
    assert f"2 images in {tmp_path / 'out'}: 12 copies written, 0 were there." in first.out
    assert {"frost/2/city/a.png", "gaussian_noise/1/b.png"} <= set(read(tmp_path / "out"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["protocol"], manifest["backends"], manifest["seed"]) == ("quick", ["fast"], 3)
    again = corrupt("--protocol", "quick", "--seed", "3")
    assert "0 copies written, 12 were there." in again.out


def test_parts_processes_and_the_order_of_arguments_change_nothing(corrupt, segshift, source, tmp_path: Path) -> None:
    corrupt("--protocol", "quick")
    parts = ("--protocol", "quick", "--severity", "3", "--only", "contrast", "brightness")
    assert "4 copies written" in corrupt(*parts, out="parts").out
    late = segshift("corrupt", source, "--protocol", "quick", tmp_path / "parts", "--workers", "2")
    assert "8 copies written, 4 were there." in late.out
    assert read(tmp_path / "parts") == read(tmp_path / "out")


def test_a_protocol_of_ones_own(corrupt, segshift, source: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nbackend: reference\nchannel_order: BGR\ncells: {frost: [5]}\n")
    outcome = segshift("corrupt", source, tmp_path / "out", "--protocol", path, "--workers", "1")
    assert outcome.code == 0
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["backends"], manifest["channel_order"]) == (["reference"], "BGR")
    assert set(read(tmp_path / "out")) == {"manifest.json", "frost/5/b.png", "frost/5/city/a.png"}
    image, copy = cv2.imread(str(source / "b.png")), cv2.imread(str(tmp_path / "out" / "frost/5/b.png"))  # BGR, both
    assert np.array_equal(
        copy, corruptions.corrupt(image, "frost", 5, derive_seed(0, "b", "frost", 5), backend="reference")
    )
    path.write_text("name: mine\ncells: {contrst: [5]}\n")
    outcome = segshift("corrupt", source, tmp_path / "out", "--protocol", path, "--workers", "1")
    assert outcome.code == 2
    assert f"{path}:2: cells.contrst: unknown corruption 'contrst': did you mean 'contrast'?" in outcome.err


def test_the_reference_may_be_chosen(corrupt, tmp_path: Path) -> None:
    assert corrupt("--protocol", "quick", "--only", "contrast", "--backend", "reference").code == 0
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["backends"] == ["reference"]
    other = corrupt("--protocol", "quick", "--only", "contrast")
    assert other.code == 2
    assert '(backends was ["reference"], and is ["fast"] now):' in other.err


def test_copies_are_what_a_benchmark_sees_of_the_frames(segshift, tmp_path: Path) -> None:
    root, suffix = tmp_path / "cityscapes", "_leftImg8bit.png"
    for index, name in enumerate(("munster/munster_000000_000019", "frankfurt/frankfurt_000000_000294")):
        path = root / "leftImg8bit" / "val" / f"{name}{suffix}"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), np.random.default_rng(index).integers(0, 256, (40, 48, 3), dtype=np.uint8))
    outcome = segshift(
        *("corrupt", root / "leftImg8bit" / "val", tmp_path / "out", "--image-suffix", suffix),
        *("--protocol", "quick", "--seed", "3", "--workers", "1"),
    )
    assert (outcome.code, outcome.err) == (0, "")
    frames = list_frames(DatasetSettings(type="cityscapes", split="val"), root, require_labels=False)
    assert [frame.name for frame in frames] == ["frankfurt_000000_000294", "munster_000000_000019"]
    for frame in frames:
        image = cv2.imread(str(frame.image))[..., ::-1]
        for name, severity in PROTOCOLS["quick"].cells:
            seen = corruptions.corrupt(image, name, severity, derive_seed(3, frame.name, name, severity))
            place = frame.image.relative_to(root / "leftImg8bit" / "val")
            copy = cv2.imread(str(tmp_path / "out" / name / str(severity) / place))[..., ::-1]
            np.testing.assert_array_equal(copy, seen)


def test_images_of_one_name_need_another_rule_which_is_kept_to(corrupt, source: Path, tmp_path: Path) -> None:
    (source / "a.png").write_bytes((source / "b.png").read_bytes())
    few = ("--protocol", "quick", "--only", "gaussian_noise")
    outcome = corrupt(*few)
    assert outcome.code == 2
    assert "'a.png' and 'city/a.jpg' have the same id 'a'" in outcome.err
    assert "rename one of them, or take the path inside the folder as id (`--ids path`" in outcome.err
    assert not (tmp_path / "out").exists()
    assert corrupt(*few, "--ids", "path").code == 0
    (source / "a.png").rename(source / "c.png")
    outcome = corrupt(*few)
    assert outcome.code == 2
    assert 'image_ids was {"kind": "path", "image_suffix": null}, and is {"kind": "name"' in outcome.err


def test_other_files_than_the_data_set_s_images_are_left_out(corrupt, source: Path, tmp_path: Path) -> None:
    (source / "b_label.png").write_bytes((source / "b.png").read_bytes())
    outcome = corrupt("--protocol", "quick", "--only", "contrast", "--image-suffix", "_label.png")
    assert outcome.code == 0
    assert "1 images in" in outcome.out
    assert "2 image files whose names do not end in _label.png were left out." in outcome.out
    assert set(read(tmp_path / "out")) == {"manifest.json", "contrast/3/b_label.png"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Which corruptions? Give --protocol michaelis, segformer"),
        (("--protocol", "quik"), "unknown protocol 'quik': did you mean 'quick'?"),
        (("--protocol", "none.yaml"), "none.yaml: the protocol cannot be read (No such file"),
        (("--protocol", "quick", "--severity", "0"), "severity 0 does not exist: severities are 1, 2, 3, 4, 5."),
        (("--protocol", "quick", "--severity", "3", "6"), "severity 6 does not exist"),
        (("--protocol", "quick", "--severity", "high"), "invalid int value: 'high'"),
        (("--protocol", "quick", "--only", "fgo"), "unknown corruption 'fgo': did you mean 'fog'?"),
        (("--protocol", "quick", "--only", "fog"), "'fog' is not in protocol 'quick'"),
        (("--protocol", "quick", "--only", "frost", "--severity", "1"), "has frost at severity 2 only"),
        (("--protocol", "quick", "--backend", "quick"), "invalid choice: 'quick'"),
        (("--protocol", "quick", "--ids", "paths"), "invalid choice: 'paths'"),
        (("--protocol", "quick", "--image-suffix", "_rgb"), "image suffix '_rgb' has no extension"),
        (("--protocol", "quick", "--image-suffix", "_x.png"), "none of 2 images ends in '_x.png'"),
        (("--protocol", "quick", "--workers", "0"), "at least one process"),
        (("--protocol", "quick", "--seed", "-5"), "--seed -5: a seed is 0 or more"),
        (("--protocol", "quick", "more"), "unrecognized arguments: more"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(corrupt, tmp_path: Path, arguments, message: str) -> None:
    outcome = corrupt(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_images_that_show_the_same_in_rgb_are_taken_so(corrupt, source: Path, tmp_path: Path) -> None:
    pixels = cv2.imread(str(source / "b.png"))
    cv2.imwrite(str(source / "grey.png"), pixels[..., 0])
    cv2.imwrite(str(source / "grey3.png"), np.repeat(pixels[..., :1], 3, axis=2))
    cv2.imwrite(str(source / "opaque.png"), np.dstack([pixels, np.full(pixels.shape[:2], 255, np.uint8)]))
    outcome = corrupt("--protocol", "quick", "--only", "contrast")
    assert (outcome.code, outcome.err) == (0, "")
    copies = read(tmp_path / "out")
    assert copies["contrast/3/grey.png"] == copies["contrast/3/grey3.png"]
    assert copies["contrast/3/opaque.png"] == copies["contrast/3/b.png"]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_images_that_cannot_be_used_are_listed_and_the_rest_is_done(
    corrupt, source: Path, tmp_path: Path, workers: str
) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (40, 48, 4), dtype=np.uint8)
    (source / "aa_broken.png").write_bytes((source / "b.png").read_bytes()[:-40])
    (source / "empty.png").touch()
    cv2.imwrite(str(source / "float.tiff"), (pixels[..., :3] / np.float32(255)).astype(np.float32))
    cv2.imwrite(str(source / "deep.png"), pixels[..., :3].astype(np.uint16) * 257)
    cv2.imwrite(str(source / "clear.png"), pixels)
    cv2.imwrite(str(source / "small.png"), pixels[:31, :, :3])
    (source / "gone.png").symlink_to(tmp_path / "nowhere.png")
    outcome = corrupt("--protocol", "quick", "--only", "contrast", "--workers", workers)
    assert outcome.code == 1
    assert "2 images in" in outcome.out
    assert "2 copies written" in outcome.out
    listed = dict(line.strip().split(": ", 1) for line in outcome.out.splitlines() if line.startswith("  "))
    for name, reason in {
        "aa_broken.png": "it is cut short: copy or download it again",
        "clear.png": "it is RGBA and not opaque (alpha from 0 to 255): lay it on a background first",
        "deep.png": "it has dtype uint16",
        "empty.png": "it is empty",
        "float.tiff": "it has dtype float32",
        "gone.png": "it cannot be read (No such file or directory)",
        "small.png": "it is 48x31 pixels, but corruptions need 32",
    }.items():
        assert listed.pop(name).startswith(reason)
    assert not listed
    assert "numpy" not in outcome.out
    assert "image[" not in outcome.out
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["status"] == "incomplete"


def test_a_folder_of_another_protocol_is_refused(corrupt, tmp_path: Path) -> None:
    assert corrupt("--protocol", "quick", "--only", "contrast").code == 0
    before = read(tmp_path / "out")
    outcome = corrupt("--protocol", "semsegbench", "--only", "contrast")
    assert outcome.code == 2
    assert '(protocol was "quick", and is "semsegbench" now):' in outcome.err
    assert "give another folder, or remove that one." in outcome.err
    assert read(tmp_path / "out") == before


def test_a_long_list_is_cut(corrupt, source: Path) -> None:
    for index in range(60):
        (source / f"x{index}.png").touch()
    outcome = corrupt("--protocol", "quick", "--only", "contrast")
    assert outcome.out.count("it is empty") == 50
    assert "... and 10 more; all stand in manifest.json" in outcome.out


def test_other_copies_and_wrong_folders_are_refused(corrupt, segshift, source: Path, tmp_path: Path) -> None:
    assert corrupt("--protocol", "quick", "--only", "contrast").code == 0
    outcome = corrupt("--protocol", "quick", "--seed", "1")
    assert outcome.code == 2
    assert "seed was 0, and is 1 now" in outcome.err
    assert "give another folder, or remove that one." in outcome.err
    inside = corrupt("--protocol", "quick", out="images/out")
    assert inside.code == 2
    assert "where copies would be taken for images" in inside.err
    one = segshift("corrupt", source / "b.png", tmp_path / "new", "--protocol", "quick")
    assert one.code == 2
    assert "give its folder, or --preview FILE.png" in one.err
    nowhere = segshift("corrupt", source, "--protocol", "quick")
    assert nowhere.code == 2
    assert "segshift corrupt SRC OUT --protocol NAME" in nowhere.err
    nothing = segshift("corrupt", tmp_path / "nothing", tmp_path / "new", "--protocol", "quick")
    assert nothing.code == 2
    assert "is no folder" in nothing.err


def test_a_preview_of_an_image_and_of_a_folder_are_the_same_grid(segshift, source: Path, tmp_path: Path) -> None:
    few = ("--only", "fog", "contrast", "--severity", "1", "5")
    for name, path in (("one", source / "b.png"), ("first", source)):
        outcome = segshift("corrupt", path, "--preview", tmp_path / f"{name}.png", *few)
        assert outcome.code == 0, outcome.err
        assert f"{source / 'b.png'} under 4 corruptions and severities" in outcome.out
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "first.png").read_bytes()
    suffixed = segshift("corrupt", source, "--preview", tmp_path / "city.png", *few, "--image-suffix", "a.jpg")
    assert f"{source / 'city' / 'a.jpg'} under 4 corruptions" in suffixed.out
    page = cv2.imread(str(tmp_path / "one.png"))
    assert page.shape[1] == 216 + 3 * 244


def test_a_preview_shows_everything_unless_told_otherwise(segshift, source: Path, tmp_path: Path) -> None:
    outcome = segshift("corrupt", source / "b.png", "--preview", tmp_path / "all.png")
    assert " under 125 corruptions" in outcome.out
    narrow = segshift("corrupt", source / "b.png", "--preview", tmp_path / "few.png", "--protocol", "quick")
    assert " under 6 corruptions" in narrow.out


def test_a_preview_with_mistakes_is_refused(segshift, source: Path, tmp_path: Path) -> None:
    broken = source / "city" / "broken.png"
    broken.write_bytes(b"no image")
    image = source / "b.png"
    before = read(source)
    for arguments, message in (
        ((image, tmp_path / "out", "--preview", "p.png"), "Leave one of them out"),
        ((image, "--preview", "p.jpg"), "Give a name that ends in .png"),
        ((image, "--preview", tmp_path / "none" / "p.png"), "the folder does not exist"),
        ((tmp_path / "none.png", "--preview", tmp_path / "p.png"), "does not exist"),
        ((broken, "--preview", tmp_path / "p.png"), "cannot be decoded as an image"),
        ((image, "--preview", image), "is the image itself"),
        ((image, "--preview", tmp_path / "p.png", "--only", "fgo"), "did you mean 'fog'?"),
        ((image, "--preview", tmp_path / "p.png", "--severity", "6"), "severity 6 does not exist"),
        ((image, "--preview", tmp_path / "p.png", "--seed", "-1"), "--seed -1: a seed is 0 or more"),
    ):
        outcome = segshift("corrupt", *arguments)
        assert outcome.code == 2
        assert message in outcome.err
    assert read(source) == before
    assert not (tmp_path / "p.png").exists()


def test_the_list_needs_no_images_and_names_everything(segshift) -> None:
    outcome = segshift("corrupt", "--list")
    assert (outcome.code, outcome.err) == (0, "")
    for name in (*CORRUPTIONS, *WEATHER, *PROTOCOLS):
        assert f"\n{name} " in outcome.out
    nothing = segshift("corrupt", "--protocol", "quick")
    assert nothing.code == 2
    assert "Which images? segshift corrupt SRC OUT --protocol NAME" in nothing.err
    swallowed = segshift("corrupt", "--protocol", "quick", "--only", "fog", "images", "out")
    assert "SRC stands before --only and --severity" in swallowed.err


def test_help_teaches(segshift) -> None:
    outcome = segshift("corrupt", "--help")
    assert outcome.code == 0
    assert "segshift corrupt street.jpg --preview corruptions.png" in outcome.out
    assert "labels are not corrupted" in outcome.out
    for name in PROTOCOLS:
        assert name in outcome.out
