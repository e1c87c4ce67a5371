"""The transform in real albumentations pipelines: the benchmark's pixels, whatever Compose's own random state."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import albumentations
import numpy as np
import pytest

from corruptions import CorruptionError, corrupt, derive_seed
from corruptions.albumentations_transform import CommonCorruption

IMAGE = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
MASK = np.arange(48 * 80, dtype=np.uint8).reshape(48, 80)


@pytest.mark.parametrize("name", ["gaussian_noise", "frost", "weather_rain"])
@pytest.mark.parametrize("backend", ["fast", "reference"])
def test_compose_gives_the_benchmark_s_pixels_and_leaves_labels(name: str, backend: Any) -> None:
    expected = corrupt(IMAGE, name, 2, derive_seed(7, "frame", name, 2), backend=backend)
    for random_state in (None, 1, 2):
        pipeline = albumentations.Compose(
            [CommonCorruption(name, 2, seed=7, backend=backend), albumentations.HorizontalFlip(p=1.0)],
            seed=random_state,
            strict=True,
        )
        for image in ("frame", "other", "frame"):
            result = pipeline(image=IMAGE, mask=MASK, image_id=image)
            assert np.array_equal(result["image"][:, ::-1], expected) == (image == "frame")
            np.testing.assert_array_equal(result["mask"][:, ::-1], MASK)
            assert result["image_id"] == image


def test_protocol_gives_the_backend_and_is_kept_to() -> None:
    result = CommonCorruption("frost", 2, protocol="quick")(image=IMAGE, image_id="a")["image"]
    np.testing.assert_array_equal(result, corrupt(IMAGE, "frost", 2, derive_seed(0, "a", "frost", 2), backend="fast"))
    with pytest.raises(CorruptionError, match="protocol 'quick' has no severity 3 of frost"):
        CommonCorruption("frost", 3, protocol="quick")
    with pytest.raises(CorruptionError, match="has the backend 'fast', not 'reference'"):
        CommonCorruption("frost", 2, backend="reference", protocol="quick")


def test_a_protocol_of_ones_own_gives_backend_and_order_of_channels(tmp_path: Path) -> None:
    mine = {"name": "mine", "cells": {"frost": 2}, "backend": "reference", "channel_order": "BGR"}
    (tmp_path / "mine.yaml").write_text(json.dumps(mine))
    seed = derive_seed(0, "a", "frost", 2)
    expected = corrupt(IMAGE, "frost", 2, seed, backend="reference", channel_order="BGR")
    for options in (
        {"protocol": mine},
        {"protocol": str(tmp_path / "mine.yaml")},
        {"backend": "reference", "channel_order": "BGR"},
    ):
        transform = CommonCorruption("frost", 2, **options)  # type: ignore[arg-type]
        read = albumentations.from_dict(json.loads(json.dumps(albumentations.to_dict(transform))))
        for each in (transform, read):
            np.testing.assert_array_equal(each(image=IMAGE, image_id="a")["image"], expected)
    with pytest.raises(CorruptionError, match="'mine' corrupts images at the size that a network sees"):
        CommonCorruption("frost", 2, protocol=mine | {"insertion_point": "after_resize"})


def test_pipelines_are_written_read_pickled_and_replayed() -> None:
    pipeline = albumentations.Compose([CommonCorruption("spatter", 4, seed=5, backend="fast")], seed=3)
    expected = pipeline(image=IMAGE, image_id="a")["image"]
    read = albumentations.from_dict(albumentations.to_dict(pipeline))
    for other in (read, pickle.loads(pickle.dumps(pipeline))):
        np.testing.assert_array_equal(other(image=IMAGE, image_id="a")["image"], expected)
    assert "name='spatter'" in repr(pipeline)
    assert "seed=5" in repr(pipeline)


def test_probability_decides_whether_and_not_what() -> None:
    pipeline = albumentations.Compose([CommonCorruption("fog", 3, backend="fast", p=0.5)], seed=0)
    corrupted = corrupt(IMAGE, "fog", 3, derive_seed(0, "a", "fog", 3), backend="fast")
    results = [pipeline(image=IMAGE, image_id="a")["image"] for _ in range(20)]
    assert {result.tobytes() for result in results} == {IMAGE.tobytes(), corrupted.tobytes()}


def test_what_is_refused() -> None:
    with pytest.raises(CorruptionError, match="unknown corruption 'fogg': did you mean 'fog'"):
        CommonCorruption("fogg", 3)
    with pytest.raises(CorruptionError, match="severity 6 of fog"):
        CommonCorruption("fog", 6)
    with pytest.raises(ValueError, match="backend"):
        CommonCorruption("fog", 3, backend="slow")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channel_order"):
        CommonCorruption("fog", 3, channel_order="GBR")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="image_id"):
        albumentations.Compose([CommonCorruption("fog", 3)])(image=IMAGE)
    with pytest.raises(CorruptionError, match="frame_1 has dtype float32"):
        CommonCorruption("fog", 3)(image=IMAGE.astype(np.float32), image_id="frame_1")
