"""The pixels of a stream's steps, in this process and in others."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError
from adapt.tta.feed import open_feed
from adapt.tta.stream import build_manifest, index_frames
from adapt.tta.stream_settings import DomainSettings, StreamSettings
from corruptions.apply import corrupt
from corruptions.errors import CorruptionError
from corruptions.seeding import derive_seed

DATASETS = {"day": DatasetSettings(type="cityscapes", split="val", resize=(24, 20))}
STREAM = StreamSettings(
    kind="continual",
    domains=(
        DomainSettings(dataset="day"),
        DomainSettings(dataset="day", corruption="gaussian_noise", severity=3),
    ),
    rounds=2,
)


def write_frame(folder: Path, name: str, image: np.ndarray, label: np.ndarray | None = None) -> Frame:
    paths = folder / f"{name}_leftImg8bit.png", folder / f"{name}_gtFine_labelTrainIds.png"
    cv2.imwrite(str(paths[0]), image[..., ::-1] if image.ndim == 3 else image)
    cv2.imwrite(str(paths[1]), np.zeros(image.shape[:2], np.uint8) if label is None else label)
    return Frame(name, *paths)


def write_frames(folder: Path, count: int = 3) -> list[Frame]:
    generator = np.random.default_rng(0)
    return [
        write_frame(
            folder,
            f"f{index}",
            generator.integers(0, 256, (40, 48, 3), dtype=np.uint8),
            generator.integers(0, 19, (40, 48), dtype=np.uint8),
        )
        for index in range(count)
    ]


def feed(frames: list[Frame], workers: int = 0, stream: StreamSettings = STREAM):
    manifest = build_manifest(stream, {"day": frames})
    return manifest, open_feed(manifest, index_frames({"day": frames}), DATASETS, workers)


def read_rgb(frame: Frame) -> np.ndarray:
    return cv2.imread(str(frame.image))[..., ::-1]


@pytest.mark.parametrize("workers", [0, 2])
def test_each_step_in_order_with_its_own_pixels(tmp_path, workers):
    frames = write_frames(tmp_path)
    manifest, samples = feed(frames, workers)
    samples = list(samples)
    assert tuple(step for step, _, _ in samples) == manifest
    for step, image, label in samples:
        frame = next(frame for frame in frames if frame.name == step.frame)
        expected = read_rgb(frame)
        if step.corruption is not None:
            expected = corrupt(expected, "gaussian_noise", 3, derive_seed(0, frame.name, "gaussian_noise", 3))
        assert isinstance(image, np.ndarray)
        assert (image.dtype, label.dtype) == (np.uint8, np.uint8)
        assert np.array_equal(image, expected)  # at its own size: `resize` belongs to the network
        assert np.array_equal(label, cv2.imread(str(frame.label), cv2.IMREAD_UNCHANGED))
    assert not np.array_equal(samples[0][1], samples[3][1])


@pytest.mark.parametrize("workers", [0, 1])
def test_the_random_state_stays_as_it_was(tmp_path, workers):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    list(feed(write_frames(tmp_path, 1), workers)[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_names_the_step_and_the_file(tmp_path, workers):
    frames = write_frames(tmp_path)
    frames[1].image.write_bytes(frames[1].image.read_bytes()[:200])
    _, samples = feed(frames, workers)
    assert next(samples)[0].frame == "f0"
    message = (
        r"^Step 1 of the stream \(round 0, domain 'day', frame 'f1'\): Cannot read '.*f1_leftImg8bit\.png': .*again\.$"
    )
    with pytest.raises(PrerequisiteError, match=message):
        next(samples)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_too_small_for_the_corruption_names_the_step_and_the_file(tmp_path, workers):
    frame = write_frame(tmp_path, "tiny", np.zeros((20, 48, 3), np.uint8))
    _, samples = feed([frame], workers)
    next(samples)  # as it is, it is read
    with pytest.raises(
        CorruptionError, match=r"^Step 1 .*gaussian_noise/3.*tiny_leftImg8bit\.png is 48x20.*before resizing"
    ):
        next(samples)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((40, 48), np.uint8), r"1 channel of uint8, but .*RGB"),
        (np.zeros((40, 48), np.uint16), r"1 channel of uint16"),
        (np.zeros((40, 48, 3), np.uint16), r"3 channels of uint16.*8-bit colour"),
    ],
)
def test_refuses_what_is_not_eight_bit_colour(tmp_path, image, message):
    frame = write_frame(tmp_path, "odd", image)
    with pytest.raises(PrerequisiteError, match=r"Step 0 .*odd_leftImg8bit\.png' has " + message):
        next(feed([frame])[1])


def test_refuses_a_label_of_another_size_and_a_frame_without_label(tmp_path):
    image = np.zeros((40, 48, 3), np.uint8)
    frame = write_frame(tmp_path, "odd", image, np.zeros((40, 47), np.uint8))
    with pytest.raises(PrerequisiteError, match=r"Step 0 .*TrainIds\.png' is 47x40 pixels but its image .* is 48x40"):
        next(feed([frame])[1])
    with pytest.raises(PrerequisiteError, match=r"Step 0 .*'odd' .* has no label.*Choose a split"):
        next(feed([Frame("odd", frame.image, None)])[1])


def test_an_empty_stream_ends_at_once():
    assert list(open_feed((), {}, {}, 0)) == []


@pytest.mark.timeout(60)
def test_processes_start_beside_the_threads_of_opencv(tmp_path, monkeypatch):
    """A fork of a process with such threads has none of them, and waited for them for ever."""

    def read(frame: Frame, settings: DatasetSettings) -> tuple[np.ndarray, np.ndarray]:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(2)
        return np.full((4, 4, 3), threads, np.uint8), np.zeros((4, 4), np.uint8)

    monkeypatch.setattr("adapt.tta.feed.read_frame", read)  # forks take it along
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        cv2.resize(np.zeros((3000, 3000, 3), np.uint8), (1999, 1999))  # starts them
        stream = StreamSettings(kind="single", domains=(DomainSettings(dataset="day"),))
        ((_, image, _),) = feed(write_frames(tmp_path, 1), 1, stream)[1]
        assert image.max() == 1
        assert cv2.getNumThreads() == 4
    finally:
        cv2.setNumThreads(before)
