"""Source and target samples by position."""

from __future__ import annotations

import collections
import dataclasses
import math
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from adapt.data.cache import ImageCache
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError
from adapt.training.settings import AugmentSettings
from adapt.uda.pairs import DomainPairs, RareClassDataset, UnlabelledTarget, augment_rare_class
from adapt.uda.settings import RareClassSettings

Domains = tuple[tuple[Frame, ...], tuple[Frame, ...]]


def test_target_is_uniform_and_never_labelled(domains: Domains, target: DatasetSettings) -> None:
    samples = UnlabelledTarget(domains[1], target, AugmentSettings(crop=(16, 16)), seed=1)
    drawn = [samples[position]["data_samples"] for position in range(400)]

    counts = collections.Counter(sample.img_path for sample in drawn)

    assert len(counts) == 4
    assert all(60 < count < 140 for count in counts.values())
    assert not any("gt_sem_seg" in sample for sample in drawn)


def test_rare_class_draws_follow_the_probabilities(domains: Domains, source: DatasetSettings) -> None:
    frames = domains[0][:3]
    counts = np.zeros((3, 11), np.int64)
    counts[0, 0], counts[1, 1], counts[2, 2] = 100, 60, 40
    rare = RareClassSettings(temperature=0.25, min_pixels=10, min_crop_pixels=0, max_tries=0)
    samples = RareClassDataset(frames, source, AugmentSettings(crop=(16, 16)), 1, rare, counts)

    paths = collections.Counter(samples[position]["data_samples"].img_path for position in range(500))

    weights = [math.exp((1 - share) / 0.25) for share in (0.5, 0.3, 0.2)]
    for frame, weight in zip(frames, weights, strict=True):
        assert paths[str(frame.image)] / 500 == pytest.approx(weight / sum(weights), abs=0.07)


def make_code(height: int, width: int) -> np.ndarray:
    rows, columns = np.mgrid[:height, :width]
    return np.stack([rows, columns, rows * 0], axis=-1).astype(np.uint8)


def test_crops_are_redrawn_until_the_class_shows() -> None:
    label = np.zeros((32, 64), np.uint8)
    label[10:14, 20:24] = 5
    augmentation = AugmentSettings(crop=(16, 16), flip=0, cat_max_ratio=1)
    image = make_code(32, 64)

    def share_found(tries: int, pixels: int = 15) -> float:
        rare = RareClassSettings(min_crop_pixels=pixels, max_tries=tries)
        found = 0
        for seed in range(200):
            generator = np.random.default_rng(seed)
            crop, crop_label = augment_rare_class(image, label, 5, augmentation, rare, generator)
            assert crop_label is not None
            assert np.array_equal(crop_label, label[crop[..., 0], crop[..., 1]])
            found += int((crop_label == 5).sum() > pixels)
        return found / 200

    # All 16 pixels show in 11 of 17 row offsets (0 to 10) x 13 of 49 column offsets (8 to 20).
    chance = (11 * 13) / (17 * 49)
    assert share_found(0) == pytest.approx(chance, abs=0.07)
    assert share_found(10) == pytest.approx(1 - (1 - chance) ** 11, abs=0.07)
    assert share_found(10, pixels=16) == 0


def test_pair_is_fixed_by_its_position(domains: Domains, source: DatasetSettings, target: DatasetSettings) -> None:
    def make() -> DomainPairs:
        counts = np.ones((5, 11), np.int64)
        rare = RareClassSettings(min_pixels=0, min_crop_pixels=10)
        augmentation = AugmentSettings(crop=(16, 16))
        return DomainPairs(
            RareClassDataset(domains[0], source, augmentation, 1, rare, counts),
            UnlabelledTarget(domains[1], target, augmentation, 1),
        )

    first, second = make(), make()
    first[0], first[1]

    for domain in ("source", "target"):
        assert torch.equal(first[9][domain]["inputs"], second[9][domain]["inputs"])
        assert not torch.equal(first[9][domain]["inputs"], first[8][domain]["inputs"])


def test_a_rare_class_sample_names_its_class(domains: Domains, source: DatasetSettings) -> None:
    counts = np.zeros((3, 11), np.int64)
    counts[0, 4], counts[1, 7], counts[2, 9] = 100, 100, 100
    rare = RareClassSettings(temperature=1, min_pixels=10, min_crop_pixels=0, max_tries=0)
    samples = RareClassDataset(domains[0][:3], source, AugmentSettings(crop=(16, 16)), 1, rare, counts)

    named = {(sample.img_path, sample.rare_class) for sample in (samples[index]["data_samples"] for index in range(40))}

    assert named == {(str(frame.image), train_id) for frame, train_id in zip(domains[0], (4, 7, 9), strict=False)}


@pytest.mark.parametrize("damage", ["missing", "garbage", "label of another size"])
def test_target_label_files_are_not_read(
    domains: Domains, target: DatasetSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    label = tmp_path / "label.png"
    if damage == "garbage":
        label.write_bytes(b"no label")
    elif damage != "missing":
        cv2.imwrite(str(label), np.zeros((3, 3), np.uint8))
    frame = dataclasses.replace(domains[1][0], label=label)
    opened: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: (opened.append(path.name), original(path))[1])
    cache = ImageCache(tmp_path / "cache", 10**6)

    for kept in (None, cache, cache):
        samples = UnlabelledTarget([frame], target, AugmentSettings(crop=(16, 16)), 1, (1, 1, 1, 1), cache=kept)
        assert "gt_sem_seg" not in samples[0]["data_samples"]

    assert set(opened) == {frame.image.name}


def write_coded_target(folder: Path, count: int = 1) -> tuple[Frame, ...]:
    """Write 64x32 images whose first two channels are row and column, with labels that one class dominates."""
    label = np.full((32, 64), 3, np.uint8)
    label[:, 60:] = 5
    frames = []
    for index in range(count):
        image = make_code(32, 64)
        image[..., 2] = index
        cv2.imwrite(str(folder / f"{index}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / f"{index}_label.png"), label)
        frames.append(Frame(str(index), folder / f"{index}.png", folder / f"{index}_label.png"))
    return tuple(frames)


def test_margins_of_the_whole_image_are_cut_as_the_image_is(target: DatasetSettings, tmp_path: Path) -> None:
    top, bottom, left, right = margins = (3, 9, 12, 1)
    samples = UnlabelledTarget(write_coded_target(tmp_path), target, AugmentSettings(crop=(24, 16)), 1, margins)
    flipped, shares = set(), set()
    for position in range(40):
        packed = samples[position]
        rows, columns = packed["inputs"][2].int(), packed["inputs"][1].int()  # BGR
        valid = packed["data_samples"].pseudo_valid.data
        assert valid.dtype == torch.bool
        assert valid.shape == (1, 16, 24)
        expected = (rows >= top) & (rows < 32 - bottom) & (columns >= left) & (columns < 64 - right)
        assert torch.equal(valid[0], expected)
        flipped.add(bool(columns[0, 0] > columns[0, 1]))
        shares.add(int(valid.sum()))
    assert flipped == {False, True}
    assert len(shares) > 5


def test_margins_are_at_the_size_of_the_data_set(tmp_path: Path) -> None:
    small = DatasetSettings(type="camvid", split="test", resize=(32, 16))
    augmentation = AugmentSettings(crop=(32, 16), flip=0)
    (sample,) = [UnlabelledTarget(write_coded_target(tmp_path), small, augmentation, 1, (2, 0, 0, 5))[0]]
    valid = sample["data_samples"].pseudo_valid.data[0]
    assert not valid[:2].any()
    assert not valid[:, 27:].any()
    assert valid[2:, :27].all()


def test_padding_is_not_valid(target: DatasetSettings, tmp_path: Path) -> None:
    # The preprocessor pads below and to the right, after the flip.
    augmentation = AugmentSettings(crop=(80, 40), flip=1)
    packed = UnlabelledTarget(write_coded_target(tmp_path), target, augmentation, 1, (4, 0, 6, 0))[0]
    expected = np.zeros((40, 80), bool)
    expected[4:32, : 64 - 6] = True
    assert packed["inputs"].shape == (3, 32, 64)
    assert np.array_equal(packed["data_samples"].pseudo_valid.data[0].numpy(), expected)


def test_margins_that_leave_nothing_leave_nothing(target: DatasetSettings, tmp_path: Path) -> None:
    frames = write_coded_target(tmp_path)
    for margins in ((20, 20, 0, 0), (0, 0, 70, 0), (0, 40, 0, 0)):
        packed = UnlabelledTarget(frames, target, AugmentSettings(crop=(8, 8)), 1, margins)[0]
        assert not packed["data_samples"].pseudo_valid.data.any()


def test_without_margins_there_is_no_mask(domains: Domains, target: DatasetSettings) -> None:
    assert (
        "pseudo_valid" not in UnlabelledTarget(domains[1], target, AugmentSettings(crop=(16, 16)), 1)[0]["data_samples"]
    )


def test_labels_that_are_asked_for_change_no_draw(target: DatasetSettings, tmp_path: Path) -> None:
    frames = write_coded_target(tmp_path, count=3)
    # With these labels nearly every crop would be drawn anew, if they steered it.
    augmentation = AugmentSettings(crop=(16, 16), cat_max_ratio=0.5)
    blind = UnlabelledTarget(frames, target, augmentation, 1, (1, 2, 3, 4))
    scored = UnlabelledTarget(frames, target, augmentation, 1, (1, 2, 3, 4), with_labels=True)
    classes = set()
    for position in range(30):
        first, second = blind[position], scored[position]
        assert torch.equal(first["inputs"], second["inputs"])
        assert torch.equal(first["data_samples"].pseudo_valid.data, second["data_samples"].pseudo_valid.data)
        assert "gt_sem_seg" not in first["data_samples"]
        label = second["data_samples"].gt_sem_seg.data[0]
        assert torch.equal(label, torch.where(second["inputs"][1] < 60, 3, 5))  # column < 60
        classes |= set(label.unique().tolist())
    assert classes == {3, 5}


def test_a_target_without_labels_cannot_be_scored(domains: Domains, target: DatasetSettings) -> None:
    with pytest.raises(PrerequisiteError, match="label"):
        UnlabelledTarget(domains[1], target, AugmentSettings(crop=(16, 16)), 1, with_labels=True)[0]


def test_samples_do_not_depend_on_the_cache(
    domains: Domains, source: DatasetSettings, target: DatasetSettings, tmp_path: Path
) -> None:
    def make(cache: ImageCache | None) -> DomainPairs:
        rare = RareClassSettings(min_pixels=0, min_crop_pixels=10)
        augmentation = AugmentSettings(crop=(16, 16))
        return DomainPairs(
            RareClassDataset(domains[0], source, augmentation, 1, rare, np.ones((5, 11), np.int64), cache),
            UnlabelledTarget(domains[1], target, augmentation, 1, cache=cache),
        )

    plain, cached = make(None), make(ImageCache(tmp_path / "cache", 10**7))
    for position in (0, 1, 2, 0, 1, 2):
        for domain in ("source", "target"):
            first, second = plain[position][domain], cached[position][domain]
            assert torch.equal(first["inputs"], second["inputs"])
            if domain == "source":
                assert torch.equal(first["data_samples"].gt_sem_seg.data, second["data_samples"].gt_sem_seg.data)
    assert len(list((tmp_path / "cache").glob("??/*"))) > 1
