"""Corrupted images: those of the reference, whatever the process, the order or the thread, and nothing else changed."""

from __future__ import annotations

import doctest
import functools
import hashlib
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import imagecorruptions
import numpy as np
import pytest
from numpy.typing import NDArray

import corruptions.apply
from corruptions import CORRUPTIONS, SEVERITIES, WEATHER, CorruptionError, corrupt, derive_seed
from corruptions.apply import BACKENDS, Backend
from corruptions.protocol import protocol

corrupt_by_reference = functools.partial(corrupt, backend="reference")
CELLS = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]


def scene(height: int, width: int) -> NDArray[np.uint8]:
    """A smooth picture with edges, in which the three channels differ."""
    y, x = np.mgrid[0:height, 0:width]
    picture = np.stack([x * 255 // width, y * 255 // height, (x + 2 * y) % 256], axis=-1)
    picture[height // 3 : height // 2, width // 4 : width // 2] = (200, 30, 90)
    return picture.astype(np.uint8)


def seeded_reference(image: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """The reference as the package's own front door gives it."""
    np.random.seed(seed)
    arguments = {"seed": seed} if name in ("impulse_noise", "glass_blur") else {}
    return np.asarray(imagecorruptions.corrupt(image, severity, name, **arguments))


@pytest.mark.parametrize("shape", [(45, 67), (131, 33)])
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_odd_sizes_at_every_severity_equal_the_reference(name: str, shape: tuple[int, int]) -> None:
    image = scene(*shape)
    kept = image.copy()
    for severity in SEVERITIES:
        result = corrupt_by_reference(image, name, severity, seed=severity)
        assert result.dtype == np.uint8
        assert result.shape == image.shape
        assert not np.array_equal(result, image)
        np.testing.assert_array_equal(result, seeded_reference(image, name, severity, severity))
        result[...] = 0  # ours to write to, without touching the input
    np.testing.assert_array_equal(image, kept)


def test_fast_is_the_default_and_a_backend_may_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[str] = []

    def listen(backend: str) -> Backend:
        return lambda image, name, severity, seed: (called.append(backend), image)[1]

    monkeypatch.setattr(corruptions.apply, "BACKENDS", {backend: listen(backend) for backend in BACKENDS})
    corrupt(scene(32, 32), "fog", 2, 5)
    corrupt(scene(32, 32), "fog", 2, 5, backend=protocol("michaelis").backend)
    corrupt(scene(32, 32), "fog", 2, 5, backend=protocol("michaelis").with_backend("reference").backend)
    corrupt(scene(32, 32), "weather_fog", 2, 5, backend="reference")
    assert called == ["fast", "fast", "reference", "albumentations"]


RANDOM = [
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "glass_blur", "motion_blur"),
    *("snow", "frost", "fog", "spatter", "elastic_transform"),
]


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_seed_decides_what_is_random_and_nothing_else(name: str) -> None:
    image = scene(48, 56)
    first = corrupt_by_reference(image, name, 3, seed=1)
    np.random.default_rng()  # other generators and calls in between change nothing
    corrupt_by_reference(image, "gaussian_noise", 1, seed=9)
    np.testing.assert_array_equal(first, corrupt_by_reference(image, name, 3, seed=1))
    assert np.array_equal(first, corrupt_by_reference(image, name, 3, seed=2)) == (name not in RANDOM)


def test_whole_range_of_seeds_works() -> None:
    image = scene(32, 32)
    for name in CORRUPTIONS:
        corrupt_by_reference(image, name, 1, seed=2**32 - 1)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_global_random_state_is_left_as_it_was(name: str) -> None:
    np.random.seed(11)
    np.random.normal()  # leaves a second normal draw cached in the state
    expected = [np.random.normal(), np.random.normal(), np.random.randint(1000)]
    np.random.seed(11)
    np.random.normal()
    corrupt_by_reference(scene(33, 40), name, 2, seed=4)
    assert [np.random.normal(), np.random.normal(), np.random.randint(1000)] == expected


def test_global_random_state_is_left_as_it_was_by_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(image: object, severity: int) -> None:
        np.random.uniform()
        raise RuntimeError("on purpose")

    monkeypatch.setitem(imagecorruptions.corruption_dict, "fog", fail)
    np.random.seed(3)
    expected = np.random.uniform()
    np.random.seed(3)
    with pytest.raises(RuntimeError, match="on purpose"):
        corrupt_by_reference(scene(33, 40), "fog", 2, seed=4)
    assert np.random.uniform() == expected


CHILD = """
import hashlib, json, sys
import numpy as np
from corruptions import corrupt, derive_seed
image = np.frombuffer(bytes.fromhex(sys.argv[1]), dtype=np.uint8).reshape(37, 41, 3)
names = json.loads(sys.argv[2])
seeds = {name: derive_seed(0, "frame", name, 3) for name in names}
digests = {name: hashlib.sha256(corrupt(image, name, 3, seeds[name], backend="reference").tobytes()).hexdigest() for name in names}
print(json.dumps(digests))
"""


@pytest.mark.slow
def test_processes_and_orders_agree() -> None:
    image = scene(37, 41)
    names = list(CORRUPTIONS)
    digests = {
        name: hashlib.sha256(
            corrupt_by_reference(image, name, 3, derive_seed(0, "frame", name, 3)).tobytes()
        ).hexdigest()
        for name in names
    }
    for hash_seed, order in (("1", names), ("2", names[::-1])):
        output = subprocess.run(
            [sys.executable, "-c", CHILD, image.tobytes().hex(), json.dumps(order)],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"PYTHONHASHSEED": hash_seed},
        )
        assert json.loads(output.stdout) == digests


def test_threads_agree() -> None:
    image = scene(64, 64)
    expected = [corrupt_by_reference(image, "gaussian_noise", 2, seed) for seed in range(24)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda seed: corrupt_by_reference(image, "gaussian_noise", 2, seed), range(24)))
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_spatter_without_a_drop_leaves_the_image() -> None:
    image = np.full((32, 32, 3), 100, dtype=np.uint8)
    with np.errstate(invalid="ignore"):
        black = seeded_reference(image, "spatter", 1, 35)
    assert not np.array_equal(black, image)  # the trap: a cast of nan
    np.testing.assert_array_equal(corrupt_by_reference(image, "spatter", 1, 35), image)


@pytest.mark.parametrize("value", [0, 255])
def test_uniform_images_stay_images(value: int) -> None:
    image = np.full((34, 39, 3), value, dtype=np.uint8)
    for name, severity in CELLS:
        assert corrupt_by_reference(image, name, severity, seed=0).shape == image.shape


def test_channels_are_taken_as_rgb() -> None:
    image = scene(48, 48)
    for name in ("frost", "snow", "spatter", "jpeg_compression"):
        swapped = corrupt_by_reference(np.ascontiguousarray(image[..., ::-1]), name, 4, seed=0)[..., ::-1]
        assert not np.array_equal(corrupt_by_reference(image, name, 4, seed=0), swapped)


@pytest.mark.parametrize("name", ["frost", "pixelate"])
def test_bgr_turns_the_channels_round_before_and_after(name: str) -> None:
    image = scene(48, 48)
    bgr = corrupt(image, name, 4, seed=0, channel_order="BGR")
    swapped = corrupt(np.ascontiguousarray(image[..., ::-1]), name, 4, seed=0)[..., ::-1]
    np.testing.assert_array_equal(bgr, swapped)
    assert bgr.flags.c_contiguous
    assert np.array_equal(corrupt(image, name, 4, seed=0), bgr) == (name == "pixelate")


# What BGR changes, as `Protocol.channel_order` and docs/corruptions.md say it: much, by 1 grey level here and there.
MUCH = {
    *("gaussian_noise", "shot_noise", "impulse_noise", "speckle_noise", "snow", "frost", "jpeg_compression", "spatter"),
    *("weather_snow", "weather_sun_flare", "weather_night"),
}
BY_ONE = {"brightness", "saturate"}


@pytest.mark.parametrize("name", [*CORRUPTIONS, *WEATHER])
def test_what_the_order_of_channels_changes_is_what_is_said(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    found = 0
    for image in (noise, scene(64, 80)):
        for severity in SEVERITIES:
            rgb, bgr = (corrupt(image, name, severity, 3, channel_order=order) for order in ("RGB", "BGR"))
            found = max(found, int(np.abs(rgb.astype(int) - bgr).max()))
    assert found > 1 if name in MUCH else found == (name in BY_ONE)


def test_views_that_are_not_contiguous_are_read_right() -> None:
    image = scene(40, 64)
    view = image[:, ::-1]
    np.testing.assert_array_equal(
        corrupt_by_reference(view, "pixelate", 2, seed=0),
        corrupt_by_reference(np.ascontiguousarray(view), "pixelate", 2, seed=0),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fogg", 1, 0), r"unknown corruption 'fogg': did you mean 'fog'\?"),
        (("fog", 0, 0), r"severity 0 of fog is none of \(1, 2, 3, 4, 5\)"),
        (("fog", 6, 0), "severity 6"),
        (("fog", 1, -1), "seed -1 of fog"),
        (("fog", 1, 2**32), "seed 4294967296 of fog"),
        (("fog", True, 0), r"severity True of fog is none of \(1, 2, 3, 4, 5\)"),
        (("fog", 1.0, 0), "severity 1.0 of fog"),
        (("fog", "1", 0), "severity '1' of fog"),
        (("fog", [1], 0), r"severity \[1\] of fog"),
        (("fog", 1, 1.5), r"seed 1.5 of fog is no whole number in \[0, 2\*\*32\)"),
        (("fog", 1, "1"), "seed '1' of fog"),
        (("fog", 1, True), "seed True of fog"),
        (("fog", 1, None), "seed None of fog"),
        ((["fog"], 1, 0), "unknown corruption"),
        ((7, 1, 0), "unknown corruption '7'"),
    ],
)
def test_other_arguments_are_refused(arguments: tuple[Any, Any, Any], message: str) -> None:
    with pytest.raises(CorruptionError, match=message):
        corrupt(scene(32, 32), *arguments)


def test_numbers_of_numpy_are_numbers() -> None:
    for backend in ("fast", "reference"):
        expected = corrupt(scene(32, 32), "fog", 2, 7, backend=backend)
        found = corrupt(scene(32, 32), "fog", np.int64(2), np.uint32(7), backend=backend)  # type: ignore[arg-type]
        np.testing.assert_array_equal(found, expected)


def test_unknown_backend_is_refused() -> None:
    with pytest.raises(CorruptionError, match=r"unknown channel order 'rgb'"):
        corrupt(scene(32, 32), "fog", 1, seed=0, channel_order="rgb")  # type: ignore[arg-type]
    with pytest.raises(
        CorruptionError,
        match=r"unknown corruption backend 'refrence': did you mean 'reference'\? known are fast, reference",
    ):
        corrupt(scene(32, 32), "fog", 1, seed=0, backend="refrence")
    with pytest.raises(CorruptionError, match="unknown corruption backend '3'"):
        corrupt(scene(32, 32), "fog", 1, seed=0, backend=3)  # type: ignore[arg-type]


def test_doctests() -> None:
    results = doctest.testmod(corruptions.apply)
    assert results.attempted
    assert not results.failed
