"""Noisy labels of a whole data set: files, manifest, hashes, refusals, and the folder as a data set of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from adapt.data.catalog import describe_dataset
from adapt.data.layout import list_frames
from adapt.data.reading import read_frame, read_label
from adapt.data.settings import DatasetSettings, FolderSettings
from adapt.errors import PrerequisiteError, SpecError
from adapt.hashing import hash_file
from adapt.noise.catalog import add_noise
from adapt.noise.settings import DropSettings, FlipSettings, MorphologySettings
from adapt.noise.write import write_noisy_labels

CAMVID = DatasetSettings(type="camvid", split="train")
DROP = DropSettings(rate=0.4, seed=5, max_share=0.3)
COUNT = 6


@pytest.fixture
def camvid(tmp_path: Path, make_street: Callable[[int], np.ndarray]) -> Path:
    """Frames in CamVid's layout; its files say 11 where we say 255."""
    root = tmp_path / "camvid"
    for number in range(COUNT):
        label = make_street(number)
        label[label == 255] = 11
        for folder, pixels in (("train", np.repeat(label[..., None], 3, axis=2)), ("trainannot", label)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            assert cv2.imwrite(str(root / folder / f"0001TP_{number}.png"), pixels)
    return root


def read_manifest(out: Path) -> Any:
    return json.loads((out / "manifest.json").read_text())


def hash_tree(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): hash_file(path) for path in sorted(root.rglob("*")) if path.is_file()}


def test_labels_masks_and_manifest(camvid: Path, tmp_path: Path) -> None:
    before, out = hash_tree(camvid), tmp_path / "out"
    steps: list[tuple[int, int]] = []
    report = write_noisy_labels(CAMVID, camvid, DROP, out, on_progress=lambda done, total: steps.append((done, total)))
    assert hash_tree(camvid) == before
    assert steps == [(done, COUNT) for done in range(1, COUNT + 1)]
    manifest = read_manifest(out)
    assert manifest["status"] == "finished"
    assert manifest["noise"] == DROP.model_dump(mode="json")
    assert manifest["dataset"] == {"type": "camvid", "split": "train", "subset": [], "every": 1}
    classes = tuple(manifest["read_as"]["classes"])
    pixels, changed, units, hit = np.zeros(11, int), np.zeros(11, int), 0, 0
    for frame, row in zip(list_frames(CAMVID, camvid), manifest["images"], strict=True):
        clean = read_label(frame, CAMVID)
        expected = add_noise(clean, DROP, frame.name, classes)
        label = cv2.imread(str(out / "labels" / f"{frame.name}.png"), cv2.IMREAD_UNCHANGED)
        mask = cv2.imread(str(out / "mask" / f"{frame.name}.png"), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(label, expected.label)
        np.testing.assert_array_equal(mask, np.where(label == clean, 0, 255))
        assert (row["name"], row["units"], row["hit"]) == (frame.name, expected.units, expected.hit)
        assert camvid / row["clean"] == frame.label
        assert row["sha256"] == hash_file(out / "labels" / f"{frame.name}.png")
        assert row["changed_share"] == pytest.approx((label != clean).sum() / (clean != 255).sum())
        for class_id in range(11):
            pixels[class_id] += (clean == class_id).sum()
            changed[class_id] += ((clean == class_id) & (label != clean)).sum()
        units, hit = units + expected.units, hit + expected.hit
    totals = manifest["totals"]
    assert (
        (totals["images"], totals["units"], totals["hit"]) == (COUNT, units, hit) == (COUNT, report.units, report.hit)
    )
    assert totals["hit_share"] == pytest.approx(hit / units)
    assert totals["changed_share"] == pytest.approx(changed.sum() / pixels.sum()) == report.changed_share
    assert changed.sum() > 0
    for class_id, name in enumerate(classes):
        share = totals["classes"][name]["changed_share"]
        assert totals["classes"][name]["pixels"] == pixels[class_id]
        assert share is None if not pixels[class_id] else share == pytest.approx(changed[class_id] / pixels[class_id])
    assert totals["classes"]["Bicyclist"] == {"pixels": 0, "changed_share": None}


def test_the_folder_is_a_data_set(camvid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_noisy_labels(CAMVID, camvid, DROP, out)
    settings = FolderSettings.model_validate(read_manifest(out)["read_as"])
    frames = list_frames(settings, out)
    originals = list_frames(CAMVID, camvid)
    assert [frame.name for frame in frames] == [frame.name for frame in originals]
    for frame, original in zip(frames, originals, strict=True):
        image, label = read_frame(frame, settings)
        clean_image, clean = read_frame(original, CAMVID)
        np.testing.assert_array_equal(image, clean_image)
        np.testing.assert_array_equal(label, add_noise(clean, DROP, original.name, settings.classes).label)
        assert frame.image.is_symlink()


def test_suffixes_and_folders_in_folders(tmp_path: Path, make_street: Callable[[int], np.ndarray]) -> None:
    root = tmp_path / "own"
    for name in ("a/1", "b/2"):
        for folder, suffix in (("images", "_rgb.jpg"), ("labels", ".png")):
            path = root / folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            label = make_street(int(name[-1]))
            cv2.imwrite(str(path), label if folder == "labels" else np.repeat(label[..., None], 3, axis=2))
    own = FolderSettings(classes=("a", "b", "c", "d", "e"), image_suffix="_rgb.jpg")
    noise = FlipSettings(rate=0.5, unit="pixel")
    write_noisy_labels(own, root, noise, tmp_path / "out")
    settings = FolderSettings.model_validate(read_manifest(tmp_path / "out")["read_as"])
    frames = list_frames(settings, tmp_path / "out")
    assert [frame.name for frame in frames] == ["1", "2"]
    label = read_frame(frames[1], settings)[1]
    np.testing.assert_array_equal(label, add_noise(make_street(2), noise, "2", own.classes).label)


def test_two_processes_write_the_same_bytes_and_so_does_a_second_run(camvid: Path, tmp_path: Path) -> None:
    noise = MorphologySettings(rate=0.5)
    write_noisy_labels(CAMVID, camvid, noise, tmp_path / "one")
    write_noisy_labels(CAMVID, camvid, noise, tmp_path / "two", workers=2)
    once = hash_tree(tmp_path / "one")
    assert hash_tree(tmp_path / "two") == once
    (tmp_path / "one" / "labels" / "0001TP_2.png").write_bytes(b"damaged")
    (tmp_path / "one" / "mask" / "0001TP_3.png").unlink()
    write_noisy_labels(CAMVID, camvid, noise, tmp_path / "one")
    assert hash_tree(tmp_path / "one") == once


def test_a_run_that_was_stopped_is_not_taken_for_a_whole_one(camvid: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_noisy_labels(CAMVID, camvid, DROP, tmp_path / "out", on_progress=stop)
    assert read_manifest(tmp_path / "out")["status"] == "running"
    write_noisy_labels(CAMVID, camvid, DROP, tmp_path / "out")
    assert read_manifest(tmp_path / "out")["status"] == "finished"


def test_a_folder_of_other_noise_or_data_is_refused(camvid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    write_noisy_labels(CAMVID, camvid, DROP, out)
    before = hash_tree(out)
    with pytest.raises(SpecError, match=r'made otherwise \(noise was \{.*"seed": 5.*Give another --out'):
        write_noisy_labels(CAMVID, camvid, DROP.model_copy(update={"seed": 6}), out)
    with pytest.raises(SpecError, match=r"dataset was .*fingerprint was"):
        write_noisy_labels(CAMVID.model_copy(update={"every": 2}), camvid, DROP, out)
    assert hash_tree(out) == before


@pytest.mark.parametrize("content", ["hello", '{"version": 1}', "[]"])
def test_a_folder_of_something_else_is_refused(camvid: Path, tmp_path: Path, content: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(content)
    with pytest.raises(SpecError, match="is not empty and holds no noisy labels"):
        write_noisy_labels(CAMVID, camvid, DROP, tmp_path / "out")
    assert (tmp_path / "out" / "manifest.json").read_text() == content


def test_the_originals_are_out_of_reach(camvid: Path, tmp_path: Path) -> None:
    before = hash_tree(camvid)
    for place in ("train", "trainannot", "trainannot/noisy"):
        with pytest.raises(SpecError, match=r"whose files are the data set's own.*camvid_noisy"):
            write_noisy_labels(CAMVID, camvid, DROP, camvid / place)
    with pytest.raises(SpecError, match="is not empty"):
        write_noisy_labels(CAMVID, camvid, DROP, camvid)
    with pytest.raises(SpecError, match="is a file"):
        write_noisy_labels(CAMVID, camvid, DROP, camvid / "train" / ".." / "trainannot" / ".." / ".." / "file")
    assert hash_tree(camvid) == before


@pytest.fixture(autouse=True)
def a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()


def test_files_that_cannot_be_used_are_listed_and_the_others_done(camvid: Path, tmp_path: Path) -> None:
    broken = camvid / "trainannot" / "0001TP_1.png"
    broken.write_bytes(broken.read_bytes()[:60])
    cv2.imwrite(str(camvid / "trainannot" / "0001TP_4.png"), np.zeros((3, 5), np.uint8))
    report = write_noisy_labels(CAMVID, camvid, DROP, tmp_path / "out")
    assert [problem.file for problem in report.problems] == [broken, camvid / "trainannot" / "0001TP_4.png"]
    assert "cut short" in report.problems[0].reason
    assert "is 5x3 pixels but its image" in report.problems[1].reason
    assert report.images == COUNT - 2
    manifest = read_manifest(tmp_path / "out")
    assert manifest["status"] == "incomplete"
    assert [problem["file"] for problem in manifest["problems"]] == [str(problem.file) for problem in report.problems]
    settings = FolderSettings.model_validate(manifest["read_as"])
    assert len(list_frames(settings, tmp_path / "out")) == COUNT - 2  # images without a label are not linked either


@pytest.mark.parametrize(
    ("noise", "key"),
    [
        (FlipSettings(rate=1.0, target="pair", pairs={"Bicyclist": "Sky", "Sky": "Building"}), "pairs"),
        (DropSettings(rate=1.0, background="Bicyclist"), "background"),
    ],
)
def test_named_classes_that_never_occur_are_refused_before_anything_is_written(
    camvid: Path, tmp_path: Path, noise: Any, key: str
) -> None:
    message = f"`{key}` names 'Bicyclist', which no label of data set type 'camvid', split 'train' holds"
    with pytest.raises(SpecError, match=message):
        write_noisy_labels(CAMVID, camvid, noise, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    # It need not occur in every label.
    label = camvid / "trainannot" / "0001TP_5.png"
    pixels = cv2.imread(str(label), cv2.IMREAD_UNCHANGED)
    pixels[0, 0] = list(describe_dataset(CAMVID).classes).index("Bicyclist")
    cv2.imwrite(str(label), pixels)
    assert write_noisy_labels(CAMVID, camvid, noise, tmp_path / "out").hit > 0


def test_where_nothing_can_be_hit_there_is_no_share(camvid: Path, tmp_path: Path) -> None:
    report = write_noisy_labels(CAMVID, camvid, DropSettings(rate=1.0, max_share=1e-9), tmp_path / "out")
    assert (report.units, report.hit, report.changed_share) == (0, 0, 0.0)
    assert read_manifest(tmp_path / "out")["totals"]["hit_share"] is None


def test_what_is_refused_before_anything_is_written(camvid: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(SpecError, match="closest is 'Road'"):
        write_noisy_labels(CAMVID, camvid, DROP.model_copy(update={"background": "road"}), out)
    with pytest.raises(PrerequisiteError, match="does not exist"):
        write_noisy_labels(CAMVID, tmp_path / "nowhere", DROP, out)
    (camvid / "trainannot" / "0001TP_1.png").unlink()
    with pytest.raises(PrerequisiteError, match="without counterpart"):
        write_noisy_labels(CAMVID, camvid, DROP, out)
    dark = tmp_path / "dark" / "rgb_anon" / "train" / "night"
    dark.mkdir(parents=True)
    (dark / "1_rgb_anon.png").touch()
    with pytest.raises(SpecError, match="never published"):
        write_noisy_labels(DatasetSettings(type="dark_zurich", split="train"), tmp_path / "dark", DROP, out)
    assert not out.exists()
