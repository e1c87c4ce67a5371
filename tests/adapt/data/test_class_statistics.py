"""Counts against a naive loop, and the three files literally."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from adapt.data.class_statistics import (
    ClassStatistics,
    class_statistics,
    load_class_statistics,
    load_or_count,
    read_class_statistics,
    write_class_statistics,
)
from adapt.data.layout import list_frames
from adapt.data.reading import read_label
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError

MakeRoot = Callable[[str], Path]
CAMVID = DatasetSettings(type="camvid", split="train")


@pytest.fixture
def root(make_root: MakeRoot) -> Path:
    return make_root("camvid")


def count_by_hand(path: Path) -> list[int]:
    counts = [0] * 11
    for value in np.asarray(Image.open(path)).ravel().tolist():
        if value != 11:
            counts[value] += 1
    return counts


@pytest.mark.parametrize("workers", [1, 2])
def test_counts_against_a_loop(root: Path, workers: int) -> None:
    progress: list[tuple[int, int]] = []
    frames = list_frames(CAMVID, root)
    statistics = class_statistics(frames, CAMVID, workers, lambda done, total: progress.append((done, total)))
    assert statistics.counts.dtype == np.int64
    assert statistics.counts.tolist() == [count_by_hand(frame.label) for frame in frames if frame.label]
    assert progress == [(1, 3), (2, 3), (3, 3)]
    # 24 pixels a label; 0, 10, 11 (void) and the frame's index, six each.
    assert statistics.pixels == {0: 24, 1: 6, 2: 6, 10: 18}


def test_the_three_files_literally(tmp_path: Path) -> None:
    files = (f"{tmp_path}/labels/1_labelTrainIds.png", f"{tmp_path}/labels/2_labelTrainIds.png")
    counts = np.array([[4, 0, 9], [0, 0, 2]], dtype=np.int64)
    write_class_statistics(ClassStatistics(files, counts), tmp_path)
    one, two = "labels/1_labelTrainIds.png", "labels/2_labelTrainIds.png"
    assert {path.name: json.loads(path.read_text()) for path in tmp_path.iterdir()} == {
        "sample_class_stats.json": [{"0": 4, "2": 9, "file": one}, {"2": 2, "file": two}],
        "sample_class_stats_dict.json": {one: {"0": 4, "2": 9}, two: {"2": 2}},
        "samples_with_class.json": {"0": [[one, 4]], "2": [[one, 9], [two, 2]]},
    }
    again = read_class_statistics(tmp_path, 3)
    assert again.files == (one, two)
    assert again.counts.tolist() == counts.tolist()


def test_the_communitys_own_file_is_used(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = list_frames(CAMVID, root)
    # 24 pixels a label; 0, 10, 11 (void) and the frame's index, six each.
    shown = [{"0": 12, "10": 6}, {"0": 6, "1": 6, "10": 6}, {"0": 6, "2": 6, "10": 6}]
    samples = [
        {**row, "file": f"data/camvid/trainannot/{frame.name}.png"} for row, frame in zip(shown, frames, strict=True)
    ]
    (root / "sample_class_stats.json").write_text(json.dumps(samples[::-1]))
    monkeypatch.setattr("adapt.data.class_statistics.class_statistics", None)  # counting would now fail
    statistics = load_or_count(frames[1:], CAMVID, root)
    assert statistics.counts[:, :3].tolist() == [[6, 6, 0], [6, 0, 6]]
    assert statistics.counts.sum() == 36


@pytest.mark.parametrize("wrong", [{"0": 24}, {"0": 6, "1": 6, "10": 7}, {"0": 6, "1": 6, "3": 6, "10": 6}, {}])
def test_a_file_that_does_not_describe_the_labels_is_not_used(
    root: Path, caplog: pytest.LogCaptureFixture, wrong: dict[str, int]
) -> None:
    frames = list_frames(CAMVID, root)
    right = class_statistics(frames, CAMVID)
    write_class_statistics(right, root)
    path = root / "sample_class_stats.json"
    samples = json.loads(path.read_text())
    samples[1] = {**wrong, "file": samples[1]["file"]}
    path.write_text(json.dumps(samples))
    with caplog.at_level(logging.WARNING):
        assert load_class_statistics(frames, CAMVID, root) is None
    assert f"do not describe the label '{frames[1].label}'" in caplog.text
    assert f"segshift data prepare camvid --root {root}" in caplog.text
    assert load_or_count(frames, CAMVID, root).counts.tolist() == right.counts.tolist()


def test_a_few_labels_are_checked_evenly(root: Path, rgb_writer: Any, gray_writer: Any, monkeypatch: Any) -> None:
    for folder in ("train", "trainannot"):
        for path in (root / folder).iterdir():
            path.unlink()
    for index in range(20):
        rgb_writer(root / "train" / f"0001TP_{index:06d}.png")
        gray_writer(root / "trainannot" / f"0001TP_{index:06d}.png", np.full((4, 6), index % 11))
    frames = list_frames(CAMVID, root)
    write_class_statistics(class_statistics(frames, CAMVID), root)
    checked: list[str] = []
    monkeypatch.setattr(
        "adapt.data.class_statistics.read_label",
        lambda frame, settings: (checked.append(frame.name), read_label(frame, settings))[1],
    )
    assert load_class_statistics(frames, CAMVID, root) is not None
    # Eight positions from 0 to 19, 19 / 7 apart: 0, 2.7, 5.4, 8.1, 10.9, 13.6, 16.3, 19.
    assert [int(name[-6:]) for name in checked] == [0, 3, 5, 8, 11, 14, 16, 19]


def test_a_label_that_cannot_be_read_is_named(root: Path) -> None:
    frames = list_frames(CAMVID, root)
    write_class_statistics(class_statistics(frames, CAMVID), root)
    label = frames[0].label
    assert label is not None
    label.write_bytes(b"broken")
    os.utime(label, (1, 1))
    with pytest.raises(PrerequisiteError, match=label.name):
        load_class_statistics(frames, CAMVID, root)


def test_without_a_file_the_labels_are_counted_and_nothing_is_written(root: Path) -> None:
    frames = list_frames(CAMVID, root)
    assert load_class_statistics(frames, CAMVID, root) is None
    before = sorted(root.rglob("*"))
    assert load_or_count(frames, CAMVID, root).pixels == {0: 24, 1: 6, 2: 6, 10: 18}
    assert sorted(root.rglob("*")) == before


def test_a_file_that_does_not_tell_every_label_is_not_used(root: Path) -> None:
    frames = list_frames(CAMVID, root)
    write_class_statistics(class_statistics(frames[:2], CAMVID), root)
    assert load_class_statistics(frames[:2], CAMVID, root) is not None
    assert load_class_statistics(frames, CAMVID, root) is None


def test_a_file_that_tells_a_label_twice_is_not_used(root: Path) -> None:
    frames = list_frames(CAMVID, root)
    statistics = class_statistics([*frames, frames[0]], CAMVID)
    write_class_statistics(statistics, root)
    assert load_class_statistics(frames, CAMVID, root) is None


def test_a_file_older_than_a_label_is_not_used(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    frames = list_frames(CAMVID, root)
    write_class_statistics(class_statistics(frames, CAMVID), root)
    label = frames[0].label
    assert label is not None
    later = (root / "sample_class_stats.json").stat().st_mtime + 10
    os.utime(label, (later, later))
    with caplog.at_level(logging.WARNING):
        assert load_class_statistics(frames, CAMVID, root) is None
    assert f"segshift data prepare camvid --root {root}" in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "{}x",
        "[1]",
        '[{"0": 1}]',
        '[{"road": 1, "file": "a"}]',
        '[{"11": 1, "file": "a"}]',
        '[{"-1": 1, "file": "a"}]',
    ],
)
def test_a_file_of_another_format_is_named(root: Path, text: str) -> None:
    (root / "sample_class_stats.json").write_text(text)
    with pytest.raises(PrerequisiteError, match=r"sample_class_stats\.json.*Delete the file"):
        read_class_statistics(root, 11)
    assert load_class_statistics(list_frames(CAMVID, root), CAMVID, root) is None


def test_a_missing_file_is_named(root: Path) -> None:
    with pytest.raises(PrerequisiteError, match=r"sample_class_stats\.json.*No such file"):
        read_class_statistics(root, 11)


def test_frames_without_label_cannot_be_counted(make_root: MakeRoot) -> None:
    settings = DatasetSettings(type="dark_zurich", split="train")
    with pytest.raises(PrerequisiteError, match="has no label"):
        class_statistics(list_frames(settings, make_root("dark_zurich")), settings)


def test_no_frames_give_no_rows() -> None:
    statistics = class_statistics((), CAMVID)
    assert statistics.counts.shape == (0, 11)
    assert statistics.pixels == {}
