"""Weather: severities that get worse, at any resolution, from the seed alone."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from corruptions import SEVERITIES, WEATHER, corrupt, derive_seed
from corruptions.weather.operations import OPERATIONS, _screen


def street(height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Sky, a graded textured road, houses and poles."""
    generator = np.random.default_rng(seed)
    picture = np.repeat(np.linspace(70, 150, height)[:, np.newaxis], width, axis=1)[..., np.newaxis].repeat(3, axis=2)
    picture[: height // 3] = (235, 240, 250)
    for _ in range(6):
        left, top = generator.integers(0, width * 3 // 4), generator.integers(0, height // 2)
        picture[top : height * 5 // 8, left : left + width // 5] = generator.integers(0, 256, 3)
    for left in generator.integers(0, width - 4, 3):
        picture[height // 6 : -height // 6, left : left + max(1, width // 80)] = 15
    return np.clip(picture + generator.normal(0, 6, picture.shape), 0, 255).astype(np.uint8)


def measure_psnr(image: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return float(10 * np.log10(255**2 / np.mean((image.astype(float) - other) ** 2)))


def mean_psnr(images: list[NDArray[np.uint8]], name: str, severity: int) -> float:
    seeds = [derive_seed(0, f"street_{index}", name, severity) for index in range(len(images))]
    pairs = zip(images, seeds, strict=True)
    return float(np.mean([measure_psnr(image, corrupt(image, name, severity, seed)) for image, seed in pairs]))


@pytest.mark.parametrize("name", list(WEATHER))
def test_psnr_falls_with_the_severity_by_a_visible_step(name: str) -> None:
    images = [street(128, 256, index) for index in range(12)]
    levels = [mean_psnr(images, name, severity) for severity in SEVERITIES]
    assert all(milder - worse > 0.5 for milder, worse in itertools.pairwise(levels)), levels
    assert 18 < levels[0] < 38
    assert 7 < levels[-1] < 18


@pytest.mark.parametrize("name", list(WEATHER))
def test_resolution_hardly_matters(name: str) -> None:
    large = [street(512, 1024, index) for index in range(6)]
    small = [cv2.resize(image, (256, 128), interpolation=cv2.INTER_AREA) for image in large]
    assert mean_psnr(large, name, 3) == pytest.approx(mean_psnr(small, name, 3), abs=2.5)


@pytest.mark.parametrize("shape", [(32, 32), (33, 47), (131, 33), (32, 640), (300, 41)])
@pytest.mark.parametrize("name", list(WEATHER))
def test_any_shape_at_every_severity_is_a_new_image(name: str, shape: tuple[int, int]) -> None:
    image = street(*shape, seed=1)
    kept = image.copy()
    for severity in SEVERITIES:
        result = corrupt(image, name, severity, seed=2**32 - severity)
        assert (result.dtype, result.shape) == (np.uint8, image.shape)
        assert not np.array_equal(result, image)
        result[...] = 0  # ours to write to, without touching the input
    np.testing.assert_array_equal(image, kept)


@pytest.mark.parametrize("name", list(WEATHER))
def test_seed_decides_and_nothing_else(name: str) -> None:
    image = street(64, 96, 0)
    first = corrupt(image, name, 3, seed=1)
    corrupt(image, name, 5, seed=7)
    np.testing.assert_array_equal(first, corrupt(image, name, 3, seed=1))
    np.testing.assert_array_equal(first, corrupt(image, name, 3, seed=1, backend="fast"))  # a choice for the 19
    np.testing.assert_array_equal(first, corrupt(np.dstack([image, image])[..., :3], name, 3, seed=1))  # a view
    assert not np.array_equal(first, corrupt(image, name, 3, seed=2))


@pytest.mark.parametrize("name", list(WEATHER))
def test_global_random_state_is_left_as_it_was(name: str) -> None:
    def draw() -> list[float]:
        return [random.random(), float(np.random.normal()), float(cv2.randn(np.zeros((1, 1)), 0, 1)[0, 0])]

    random.seed(3), np.random.seed(3), cv2.setRNGSeed(3)
    expected = draw()
    random.seed(3), np.random.seed(3), cv2.setRNGSeed(3)
    corrupt(street(40, 64, 0), name, 2, seed=4)
    assert draw() == expected


def test_threads_agree() -> None:
    image = street(64, 128, 0)
    tasks = [(name, 1 + seed % 5, seed) for seed in range(6) for name in WEATHER]
    expected = [corrupt(image, *task) for task in tasks]
    with ThreadPoolExecutor(8) as pool:
        for result, wanted in zip(pool.map(lambda task: corrupt(image, *task), tasks), expected, strict=True):
            np.testing.assert_array_equal(result, wanted)


def test_weather_knows_the_colours_of_an_rgb_image() -> None:
    """Grey drops, fog and gamma treat channels alike; a flare's blur is another for red and blue."""
    image = street(64, 128, 0)
    swapped = corrupt(np.ascontiguousarray(image[..., ::-1]), "weather_sun_flare", 4, seed=0)[..., ::-1]
    assert not np.array_equal(corrupt(image, "weather_sun_flare", 4, seed=0), swapped)


def test_screen_is_its_formula() -> None:
    generator = np.random.default_rng(0)
    image, layer = generator.integers(0, 256, (2, 40, 50, 3), dtype=np.uint8)
    expected = 255 - (255.0 - image) * (255.0 - layer) / 255
    assert np.abs(_screen(image, layer) - expected).max() <= 0.5 + 1e-9


def test_shadow_only_darkens_the_lower_two_thirds() -> None:
    image = street(90, 120, 0)
    result = corrupt(image, "weather_shadow", 3, seed=5)
    np.testing.assert_array_equal(result[:29], image[:29])
    assert (result <= image).all()
    changed = (result != image).any(axis=-1)
    ratio = result[changed].astype(float) / np.maximum(image[changed], 1)
    bright = image[changed].min(axis=-1) >= 64  # one shadow takes a half, three together at most seven eighths
    assert ratio[bright].min() > 0.1
    assert ratio[bright].max() == pytest.approx(0.5, abs=0.02)


def test_operations_take_their_constants() -> None:
    image = street(64, 96, 0)
    same = OPERATIONS["weather_fog"](image, (0.0, 0.0), 0)
    np.testing.assert_array_equal(same, image)
    white = OPERATIONS["weather_fog"](image, (1.0, 0.0), 0)
    assert white.min() == 255


def test_no_version_is_asked_of_the_network() -> None:
    code = (
        "import os, numpy as np; from corruptions import corrupt\n"
        "corrupt(np.zeros((32, 32, 3), np.uint8), 'weather_fog', 1, 0)\n"
        "assert os.environ['NO_ALBUMENTATIONS_UPDATE'] == '1'\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "NO_ALBUMENTATIONS_UPDATE"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
