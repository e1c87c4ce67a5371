"""The pixels of a benchmark's frames, in this process and in others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from adapt.benchmark import feed as module
from adapt.benchmark.feed import FeedSettings, Sample, Source, open_feed
from adapt.benchmark.unit import Unit, list_cells, plan_units
from adapt.data.reading import read_frame
from adapt.data.resize import resize_image
from adapt.errors import PrerequisiteError
from corruptions.apply import corrupt
from corruptions.errors import CorruptionError
from corruptions.protocol import Protocol
from corruptions.seeding import derive_seed

GRID = [("gaussian_noise", 1), ("gaussian_noise", 4), ("glass_blur", 2)]


def plan(block: int = 3) -> tuple[Unit, ...]:
    return plan_units(list_cells("val", GRID), {"val": 4}, block)


def go_through(feed: FeedSettings, workers: int = 0, units: tuple[Unit, ...] | None = None) -> list[Sample]:
    left = iter(plan() if units is None else units)
    return list(open_feed(feed, lambda: next(left, None), workers))


@pytest.mark.parametrize("workers", [0, 2])
def test_every_frame_of_every_unit_comes_in_order_with_the_pixels_that_its_seed_decides(
    feed: FeedSettings, source: Source, workers: int
):
    samples = go_through(feed, workers)
    assert [(sample.unit, sample.place) for sample in samples] == [
        (unit, index) for unit in plan() for index in range(unit.first, unit.last)
    ]
    for sample in samples:
        frame = source.frames[sample.place]
        image, label = read_frame(frame, source.settings)
        assert np.array_equal(sample.label.numpy(), label)
        for cell, pixels in zip(sample.unit.cells, sample.images, strict=True):
            expected = image
            if cell.corruption is not None:
                seed = derive_seed(3, frame.name, cell.corruption, cell.severity)
                expected = corrupt(image, cell.corruption, cell.severity, seed, backend="fast")
            assert np.array_equal(pixels.numpy(), resize_image(expected, source.settings.resize))


def test_an_image_is_decoded_once_for_all_severities_of_a_corruption(
    feed: FeedSettings, monkeypatch: pytest.MonkeyPatch
):
    read: list[str] = []
    real = module.read_frame
    monkeypatch.setattr(
        module, "read_frame", lambda frame, settings: (read.append(frame.name), real(frame, settings))[1]
    )
    go_through(feed)
    assert len(read) == 3 * 4  # clean, gaussian_noise with two severities, glass_blur


def test_the_backend_and_the_seed_reach_the_pixels(feed: FeedSettings, monkeypatch: pytest.MonkeyPatch):
    one, other = go_through(feed), go_through(replace(feed, seed=4))
    assert torch.equal(one[0].images, other[0].images)  # clean
    assert not torch.equal(one[4].images, other[4].images)
    used: list[str] = []
    real = module.corrupt
    monkeypatch.setattr(
        module, "corrupt", lambda *args, **named: (used.append(named["backend"]), real(*args, **named))[1]
    )
    go_through(replace(feed, protocol=Protocol("r", (), "reference")))
    assert set(used) == {"reference"}


def test_channels_are_turned_round_and_images_resized_first_where_a_protocol_has_it_so(
    feed: FeedSettings, source: Source
):
    units = plan_units(list_cells("val", [("frost", 4)]), {"val": 1})
    (_, sample) = go_through(replace(feed, protocol=Protocol("p", (), "fast", "BGR", "after_resize")), units=units)
    frame = source.frames[0]
    small = resize_image(read_frame(frame, source.settings)[0], source.settings.resize)
    seed = derive_seed(3, frame.name, "frost", 4)
    expected = corrupt(np.ascontiguousarray(small[..., ::-1]), "frost", 4, seed)[..., ::-1]
    assert np.array_equal(sample.images[0].numpy(), expected)
    assert not np.array_equal(corrupt(small, "frost", 4, seed), expected)


def test_frames_are_prepared_as_they_are_needed(feed: FeedSettings):
    claimed: list[str] = []
    left = iter(plan(block=1))

    def claim() -> Unit | None:
        unit = next(left, None)
        claimed.append("none" if unit is None else unit.name)
        return unit

    samples = open_feed(feed, claim, workers=0)
    next(samples)
    assert claimed == ["clean-0-1"]


@pytest.mark.parametrize("workers", [0, 1])
def test_a_broken_file_is_named(feed: FeedSettings, source: Source, workers: int):
    source.frames[2].image.write_bytes(b"not an image")
    with pytest.raises(PrerequisiteError, match=r"f2\.png': it cannot be decoded as an image"):
        go_through(feed, workers)


def test_an_image_that_is_too_small_is_named(feed: FeedSettings, source: Source, tmp_path: Path):
    for file in (source.frames[0].image, source.frames[0].label):
        assert file is not None
        cv2.imwrite(str(file), cv2.imread(str(file), cv2.IMREAD_UNCHANGED)[:31])
    with pytest.raises(CorruptionError, match=r"f0\.png is 56x31 pixels, but corruptions need 32"):
        go_through(feed, units=plan()[2:])


def test_torch_s_random_state_stays_as_it_was(feed: FeedSettings):
    before = torch.random.get_rng_state()
    go_through(feed)
    assert torch.equal(torch.random.get_rng_state(), before)
