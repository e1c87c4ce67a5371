"""`corrupt`: copies and previews from the command line, and every mistake with its remedy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from corruptions import PROTOCOLS


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
        return segshift("corrupt", source, tmp_path / out, "--backend", "fast", "--workers", "1", *arguments)

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
    late = segshift("corrupt", source, "--protocol", "quick", "--backend", "fast", tmp_path / "parts", "--workers", "2")
    assert "8 copies written, 4 were there." in late.out
    assert read(tmp_path / "parts") == read(tmp_path / "out")


def test_a_protocol_of_ones_own(corrupt, segshift, source: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nbackend: fast\ncells: {contrast: [5]}\n")
    outcome = segshift("corrupt", source, tmp_path / "out", "--protocol", path, "--workers", "1")
    assert outcome.code == 0
    assert "--backend fast" not in outcome.out
    assert set(read(tmp_path / "out")) == {"manifest.json", "contrast/5/b.png", "contrast/5/city/a.png"}
    path.write_text("name: mine\ncells: {contrst: [5]}\n")
    outcome = segshift("corrupt", source, tmp_path / "out", "--protocol", path, "--workers", "1")
    assert outcome.code == 2
    assert f"{path}:2: cells.contrst: unknown corruption 'contrst': did you mean 'contrast'?" in outcome.err


def test_the_reference_tells_of_the_fast_backend(segshift, source: Path, tmp_path: Path) -> None:
    outcome = segshift(
        "corrupt", source, tmp_path / "out", "--protocol", "quick", "--only", "contrast", "--workers", "1"
    )
    assert outcome.code == 0
    assert "--backend fast corrupts in a tenth of the time" in outcome.out
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["backends"] == ["reference"]


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
        (("--protocol", "quick", "--workers", "0"), "at least one process"),
        (("--protocol", "quick", "more"), "unrecognized arguments: more"),
    ],
)
def test_mistakes_are_named_before_anything_is_written(corrupt, tmp_path: Path, arguments, message: str) -> None:
    outcome = corrupt(*arguments)
    assert outcome.code == 2
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert not (tmp_path / "out").exists()


def test_images_that_cannot_be_used_are_listed(corrupt, source: Path, tmp_path: Path) -> None:
    (source / "broken.png").write_bytes(b"")
    cv2.imwrite(str(source / "small.png"), np.zeros((8, 8, 3), np.uint8))
    outcome = corrupt("--protocol", "quick", "--only", "contrast")
    assert outcome.code == 1
    assert "2 images in" in outcome.out
    assert "  broken.png: it is empty" in outcome.out
    assert "  small.png: it is 8x8 pixels, but corruptions need 32" in outcome.out


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
    page = cv2.imread(str(tmp_path / "one.png"))
    assert page.shape[1] == 200 + 2 * 244


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
    ):
        outcome = segshift("corrupt", *arguments)
        assert outcome.code == 2
        assert message in outcome.err
    assert read(source) == before
    assert not (tmp_path / "p.png").exists()


def test_help_teaches(segshift) -> None:
    outcome = segshift("corrupt", "--help")
    assert outcome.code == 0
    assert "segshift corrupt street.jpg --preview corruptions.png" in outcome.out
    assert "labels are not corrupted" in outcome.out
    for name in PROTOCOLS:
        assert name in outcome.out
