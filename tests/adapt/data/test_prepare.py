"""Labels are converted once, all or nothing, and what cannot be is named at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adapt.data import prepare as prepare_module
from adapt.data.layout import list_frames
from adapt.data.prepare import prepare
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError, SpecError

MakeRoot = Callable[[str], Path]


def snapshot(root: Path) -> dict[str, tuple[bytes, int]]:
    files = sorted(path for path in root.rglob("*") if path.is_file())
    return {path.relative_to(root).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def first_row(path: Path) -> list[int]:
    image = Image.open(path)
    assert image.mode == "L"
    return np.asarray(image)[0].tolist()


@pytest.mark.parametrize("workers", [1, 2])
def test_gta(make_root: MakeRoot, workers: int) -> None:
    root = make_root("gta")
    progress: list[tuple[int, int]] = []
    report = prepare("gta", root, workers, lambda done, total: progress.append((done, total)))
    assert (report.converted, report.up_to_date, report.counted, report.problems) == (3, 0, 3, ())
    assert progress == [(1, 3), (2, 3), (3, 3)] * 2
    # written as 7, 8, 34, 26 / 33, 0, 11 / 7 in turn
    assert first_row(root / "labels" / "00001_labelTrainIds.png") == [0, 1, 255, 13, 0, 1]
    assert first_row(root / "labels" / "00002_labelTrainIds.png") == [18, 255, 2, 18, 255, 2]
    samples = json.loads((root / "sample_class_stats.json").read_text())
    assert samples == [
        {"0": 6, "1": 6, "13": 6, "file": "labels/00001_labelTrainIds.png"},
        {"2": 8, "18": 8, "file": "labels/00002_labelTrainIds.png"},
        {"0": 24, "file": "labels/00003_labelTrainIds.png"},
    ]


def test_synthia(make_root: MakeRoot) -> None:
    root = make_root("synthia")
    assert prepare("synthia", root).converted == 2
    assert first_row(root / "GT" / "LABELS" / "0000000_labelTrainIds.png") == [0, 10, 255, 0, 10, 255]
    assert first_row(root / "GT" / "LABELS" / "0000001_labelTrainIds.png") == [255, 18, 17, 255, 18, 17]


def test_cityscapes_converts_every_split_and_counts_the_training_one(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    report = prepare("cityscapes", root)
    assert (report.converted, report.counted) == (3, 2)
    settings = DatasetSettings(type="cityscapes", split="val")
    (frame,) = list_frames(settings, root)
    assert read_label(frame, settings)[0].tolist() == [11, 12, 11, 12, 11, 12]


def test_acdc(make_root: MakeRoot) -> None:
    report = prepare("acdc", make_root("acdc"))
    assert (report.converted, report.counted, report.problems) == (8, 4, ())


def test_types_without_conversion_or_training_labels(make_root: MakeRoot) -> None:
    camvid = prepare("camvid", make_root("camvid"))
    assert (camvid.converted, camvid.up_to_date, camvid.counted) == (0, 0, 3)
    zurich = prepare("dark_zurich", make_root("dark_zurich"))
    assert (zurich.converted, zurich.counted, zurich.problems) == (0, 0, ())


def test_the_validation_split_alone(make_root: MakeRoot) -> None:
    root = make_root("cityscapes")
    for folder in ("leftImg8bit", "gtFine"):
        (root / folder / "train").rename(root / f"{folder}-train")
    report = prepare("cityscapes", root)
    assert (report.converted, report.counted, report.problems) == (1, 0, ())


@pytest.mark.parametrize("type_name", ["gta", "synthia", "cityscapes", "acdc", "dark_zurich", "camvid"])
def test_a_second_run_changes_nothing(make_root: MakeRoot, type_name: str) -> None:
    root = make_root(type_name)
    first = prepare(type_name, root)
    before = snapshot(root)
    second = prepare(type_name, root)
    assert snapshot(root) == before
    assert (second.converted, second.counted) == (0, 0)
    assert second.up_to_date == first.converted


def test_an_interrupted_run_is_continued(make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root("gta")
    write, written = prepare_module.write_atomically, 0

    def write_two(path: Path, data: bytes) -> None:
        nonlocal written
        if written == 2:
            raise KeyboardInterrupt
        written += 1
        write(path, data)

    monkeypatch.setattr(prepare_module, "write_atomically", write_two)
    with pytest.raises(KeyboardInterrupt):
        prepare("gta", root)
    monkeypatch.undo()
    before = snapshot(root)
    report = prepare("gta", root)
    assert (report.converted, report.up_to_date) == (1, 2)
    after = snapshot(root)
    assert {name: after[name] for name in before} == before
    assert set(after) - set(before) == {
        "labels/00003_labelTrainIds.png",
        "sample_class_stats.json",
        "sample_class_stats_dict.json",
        "samples_with_class.json",
    }


def test_a_write_that_breaks_off_leaves_no_label(make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root("gta")

    def break_off(self: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", break_off)
    before = snapshot(root)
    with pytest.raises(KeyboardInterrupt):
        prepare("gta", root)
    assert snapshot(root) == before


def test_labels_cut_short_by_another_converter_are_made_anew(make_root: MakeRoot) -> None:
    root = make_root("gta")
    prepare("gta", root)
    broken = root / "labels" / "00002_labelTrainIds.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-10])
    report = prepare("gta", root)
    assert (report.converted, report.up_to_date) == (1, 2)
    assert broken.read_bytes() == whole


def test_a_newer_label_is_converted_and_counted_anew(
    make_root: MakeRoot, palette_writer: Callable[..., None], fill: Callable[..., np.ndarray]
) -> None:
    root = make_root("gta")
    prepare("gta", root)
    # Time stands still for the earlier files, so that the edit is newer on any file system.
    for path in root.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    palette_writer(root / "labels" / "00003.png", fill(8))
    report = prepare("gta", root)
    assert (report.converted, report.up_to_date, report.counted) == (1, 2, 3)
    assert json.loads((root / "samples_with_class.json").read_text())["0"] == [["labels/00001_labelTrainIds.png", 6]]


def test_unreadable_labels_are_all_named_and_the_rest_done(make_root: MakeRoot) -> None:
    root = make_root("gta")
    for name in ("00001.png", "00003.png"):
        (root / "labels" / name).write_bytes(b"no image")
    report = prepare("gta", root)
    assert report.converted == 1
    assert [problem.file.name for problem in report.problems] == ["00001.png", "00003.png"]
    assert all("cannot be decoded" in problem.reason for problem in report.problems)
    assert (root / "labels" / "00002_labelTrainIds.png").is_file()
    assert not (root / "sample_class_stats.json").exists()


def test_a_training_split_with_missing_images_is_converted_but_not_counted(make_root: MakeRoot) -> None:
    root = make_root("gta")
    (root / "images" / "00002.png").unlink()
    report = prepare("gta", root)
    assert (report.converted, report.counted) == (3, 0)
    assert [problem.file for problem in report.problems] == [root]
    assert "00002" in report.problems[0].reason


def test_a_failed_write_is_named(make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root("gta")

    def fail(path: Path, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(prepare_module, "write_atomically", fail)
    report = prepare("gta", root)
    assert report.converted == 0
    assert len(report.problems) == 3
    assert "No space left on device" in str(report.problems[0])
    assert "00001_labelTrainIds.png" in str(report.problems[0])


@pytest.mark.parametrize("type_name", ["gta", "camvid"])
def test_a_root_that_cannot_be_written_to(make_root: MakeRoot, type_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root(type_name)
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # chmod does not bind an administrator
    with pytest.raises(PrerequisiteError, match="cannot be written to"):
        prepare(type_name, root)
    assert not list(root.rglob("*labelTrainIds*"))


def test_a_read_only_root_that_is_ready_is_fine(make_root: MakeRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_root("gta")
    prepare("gta", root)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert prepare("gta", root).up_to_date == 3


def test_wrong_type_and_wrong_root(make_root: MakeRoot, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="closest is 'gta'"):
        prepare("gta5", tmp_path)
    with pytest.raises(PrerequisiteError, match="does not look like"):
        prepare("gta", make_root("camvid"))
    with pytest.raises(PrerequisiteError, match="does not exist"):
        prepare("gta", tmp_path / "nowhere")


def test_statistics_that_do_not_describe_the_labels_are_written_anew(make_root: MakeRoot) -> None:
    root = make_root("gta")
    prepare("gta", root)
    path = root / "sample_class_stats.json"
    right = path.read_text()
    path.write_text(right.replace('"2": 8', '"2": 9'))
    assert path.read_text() != right
    report = prepare("gta", root)
    assert (report.converted, report.counted, report.problems) == (0, 3, ())
    assert path.read_text() == right


def test_a_label_that_breaks_after_counting_is_reported(make_root: MakeRoot) -> None:
    root = make_root("camvid")
    prepare("camvid", root)
    label = root / "trainannot" / "0001TP_006690.png"
    label.write_bytes(b"broken")
    os.utime(label, (1, 1))
    (problem,) = prepare("camvid", root).problems
    assert problem.file == root
    assert label.name in problem.reason
