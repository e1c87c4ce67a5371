"""Every fast operation against the reference, pixel by pixel, and what surrounds it: state, threads, processes."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecorruptions
import numpy as np
import pytest
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, SEVERITIES, CorruptionError, corrupt
from corruptions.fast import frost as frost_module
from corruptions.fast.operations import OPERATIONS
from tests.corruptions.fast.conftest import street

# The largest share of samples that may be 1 grey level away, as their files say; all others are equal everywhere.
DEVIATING = {"zoom_blur": 0.005, "defocus_blur": 0.005, "contrast": 0.005}
SIZES = [(33, 47), (360, 480), (375, 1242)]


def seeded_reference(image: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.uint8]:
    """The reference as the package's own front door gives it."""
    np.random.seed(seed)
    arguments = {"seed": seed} if name in ("impulse_noise", "glass_blur") else {}
    return np.asarray(imagecorruptions.corrupt(image, severity, name, **arguments))


def difference(image: NDArray[np.uint8], name: str, severity: int, seed: int) -> NDArray[np.int16]:
    fast = corrupt(image, name, severity, seed, backend="fast")
    assert fast.dtype == np.uint8
    assert fast.shape == image.shape
    return fast.astype(np.int16) - seeded_reference(image, name, severity, seed)


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_every_severity_equals_the_reference(name: str, size: tuple[int, int]) -> None:
    image = street(*size)
    kept = image.copy()
    for severity in SEVERITIES:
        found = difference(image, name, severity, seed=severity + 7)
        assert np.abs(found).max() <= 1, f"severity {severity}"
        assert np.count_nonzero(found) <= DEVIATING.get(name, 0) * found.size, f"severity {severity}"
    np.testing.assert_array_equal(image, kept)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(512, 1024), (1024, 2048)], ids=str)
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_large_images_equal_the_reference(name: str, size: tuple[int, int]) -> None:
    assert np.abs(difference(street(*size), name, 3, seed=1)).max() <= (name in DEVIATING)


EDGES = {
    "black": np.zeros((41, 64, 3), np.uint8),
    "white": np.full((64, 41, 3), 255, np.uint8),
    "grey": np.full((32, 32, 3), 128, np.uint8),
    "red": np.zeros((40, 33, 3), np.uint8) + np.array([200, 0, 0], np.uint8),
    "tall": street(130, 33),
    "not contiguous": street(80, 90)[::2, ::-1],
    "transposed": street(50, 70).transpose(1, 0, 2),
}


@pytest.mark.parametrize("kind", list(EDGES))
@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_edge_cases_equal_the_reference(name: str, kind: str) -> None:
    for severity in SEVERITIES:
        assert np.abs(difference(EDGES[kind], name, severity, seed=2**32 - severity)).max() <= (name in DEVIATING)


@pytest.mark.parametrize("name", ["frost", "glass_blur", "motion_blur", "shot_noise", "snow"])
def test_other_seeds_equal_the_reference(name: str) -> None:
    """Every photograph of frost, both directions of streaks, the boundaries between blocks of random numbers."""
    image = street(48, 70)
    for seed in range(20):
        assert not difference(image, name, 1 + seed % 5, seed).any()


def test_no_drop_of_spatter_leaves_the_image() -> None:
    image = np.full((32, 32, 3), 100, dtype=np.uint8)  # with this seed no drop falls
    np.testing.assert_array_equal(corrupt(image, "spatter", 1, 35, backend="fast"), image)


def test_every_corruption_has_an_operation() -> None:
    assert list(OPERATIONS) == list(CORRUPTIONS)


@pytest.mark.parametrize("name", list(CORRUPTIONS))
def test_global_random_states_are_left_alone(name: str) -> None:
    image = street(33, 40)
    corrupt(image, name, 2, seed=4, backend="fast")
    before = np.random.get_state(legacy=False)
    corrupt(image, name, 2, seed=4, backend="fast")
    after = np.random.get_state(legacy=False)
    np.testing.assert_array_equal(before["state"]["key"], after["state"]["key"])
    assert before["state"]["pos"] == after["state"]["pos"]
    assert before["has_gauss"] == after["has_gauss"]


def test_threads_side_by_side_agree_with_one() -> None:
    image = street(64, 90)
    tasks = [(name, 1 + seed % 5, seed) for seed in range(6) for name in CORRUPTIONS]
    expected = [corrupt(image, *task, backend="fast") for task in tasks]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda task: corrupt(image, *task, backend="fast"), tasks))
    for result, wanted in zip(results, expected, strict=True):
        np.testing.assert_array_equal(result, wanted)


CHILD = """
import hashlib, json, sys
import cv2
import numpy as np
from corruptions import CORRUPTIONS, corrupt
cv2.setNumThreads(int(sys.argv[1]))
image = np.load(sys.argv[3])
names = list(CORRUPTIONS)[:: int(sys.argv[2])]
found = {name: hashlib.sha256(corrupt(image, name, 3, 5, backend="fast").tobytes()).hexdigest() for name in names}
print(json.dumps(found))
"""


@pytest.mark.slow
def test_processes_orders_and_numbers_of_threads_agree(tmp_path: Path) -> None:
    image = street(375, 500)
    np.save(tmp_path / "image.npy", image)
    expected = {
        name: hashlib.sha256(corrupt(image, name, 3, 5, backend="fast").tobytes()).hexdigest() for name in CORRUPTIONS
    }
    for threads, order in (("1", "1"), ("4", "-1")):
        command = [sys.executable, "-c", CHILD, threads, order, str(tmp_path / "image.npy")]
        output = subprocess.run(command, check=True, capture_output=True, text=True)
        assert json.loads(output.stdout) == expected


def test_enlarged_frost_is_kept_only_while_small(monkeypatch: pytest.MonkeyPatch) -> None:
    image = street(40, 60)
    expected = corrupt(image, "frost", 3, 1, backend="fast")
    monkeypatch.setattr(frost_module, "LARGEST_KEPT", 0)
    kept = frost_module._enlarge_and_keep.cache_info()
    np.testing.assert_array_equal(corrupt(image, "frost", 3, 1, backend="fast"), expected)
    assert frost_module._enlarge_and_keep.cache_info() == kept


def test_missing_photographs_name_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frost_module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CorruptionError, match=r"frost needs frost\d\.\w+ of .* `pip install imagecorruptions-imaug`"):
        frost_module._read.__wrapped__(0)
