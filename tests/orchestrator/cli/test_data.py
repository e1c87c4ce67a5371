"""`data`: prepare and check on a small miniature in the real layouts."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from adapt.data.miniature.settings import MiniatureSettings
from adapt.data.miniature.write import write_miniature


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("miniature") / "m"
    counts = {"source_train": 2, "target_train": 2, "target_val": 2, "acdc_per_condition": 0, "clip_frames": 0}
    write_miniature(root, MiniatureSettings(size=(64, 32), **counts))
    return root


@pytest.fixture
def gta(drawn: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(drawn / "gta", tmp_path / "gta"))


def test_prepare_converts_once_and_check_is_content(segshift, gta: Path) -> None:
    first = segshift("data", "prepare", "gta", "--root", gta, "--workers", "1")
    assert first.code == 0
    assert "2 labels converted, 0 were up to date, 2 counted" in first.out
    second = segshift("data", "prepare", "gta", "--root", gta, "--workers", "1")
    assert "0 labels converted, 2 were up to date" in second.out
    checked = segshift("data", "check", "gta", "--root", gta, "--workers", "1")
    assert (checked.code, checked.out.strip()) == (0, f"{gta}: everything is in order.")


def test_check_names_what_is_wrong(segshift, gta: Path) -> None:
    segshift("data", "prepare", "gta", "--root", gta, "--workers", "1")
    image = sorted((gta / "images").rglob("*.png"))[0]
    image.write_bytes(image.read_bytes()[:100])
    outcome = segshift("data", "check", "gta", "--root", gta, "--workers", "1")
    assert outcome.code == 1
    assert image.name in outcome.out


def test_a_folder_that_is_no_data_set(segshift, tmp_path: Path) -> None:
    outcome = segshift("data", "prepare", "gta", "--root", tmp_path, "--workers", "1")
    assert outcome.code == 2
    assert "Traceback" not in outcome.err
    assert str(tmp_path) in outcome.err


@pytest.mark.parametrize("action", ["prepare", "check"])
def test_a_folder_of_ones_own_needs_neither(segshift, tmp_path: Path, action: str) -> None:
    outcome = segshift("data", action, "folder", "--root", tmp_path, "--workers", "1")
    assert outcome.code == 2
    assert outcome.err.startswith("segshift: 'folder' is a data set of your own")
    assert "nothing to prepare" in outcome.err
    assert "`segshift plan FILE` then names" in outcome.err
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_type_is_refused(segshift, tmp_path: Path) -> None:
    outcome = segshift("data", "check", "kitti", "--root", tmp_path)
    assert outcome.code == 2
    assert "cityscapes" in outcome.err
