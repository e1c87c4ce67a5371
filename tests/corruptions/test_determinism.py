"""Pixels depend on (seed, image id, corruption, severity) alone: not on order, process, hash seed or number of threads.

All operations of the fast backend and all weather, at every severity; the parent corrupts each cell once, one after the
other, and processes that go about it otherwise must find the same digests.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from numpy.typing import NDArray

from corruptions import CORRUPTIONS, SEVERITIES, WEATHER, corrupt, derive_seed

IMAGES = ("aachen_000000_000019", "straße/0001")
NAMES = (*CORRUPTIONS, *WEATHER)
CELLS = list(itertools.product(IMAGES, NAMES, SEVERITIES))

CHILD = """
import json, random, sys
from concurrent.futures import ThreadPoolExecutor
import cv2
import numpy as np
sys.path.insert(0, sys.argv[1])
import test_determinism as parent
order, threads = int(sys.argv[2]), int(sys.argv[3])
cells = list(parent.CELLS)
random.Random(order).shuffle(cells)
np.random.seed(order)
random.seed(order)
cv2.setRNGSeed(order)
cv2.setNumThreads(threads)
with ThreadPoolExecutor(threads) as pool:
    digests = list(pool.map(lambda cell: parent.digest_cell(*cell), cells))
print(json.dumps({parent.name_cell(*cell): digest for cell, digest in zip(cells, digests)}))
"""


def picture(name: str) -> NDArray[np.uint8]:
    """A picture for each name, with edges: a small one, and one so large that OpenCV shares it among its threads."""
    height, width = (45, 83) if name == IMAGES[0] else (380, 421)
    y, x = np.mgrid[0:height, 0:width]
    planes = [x * 200 // width + 20, y * 200 // height + 30, (x * 3 + y * 2) % 200 + 10]
    result = np.stack(planes, axis=-1).astype(np.uint8)
    result[height // 3 : height // 2, width // 4 : width // 2] = (200, 30, 90)
    return result


def name_cell(image: str, name: str, severity: int) -> str:
    return f"{image}|{name}|{severity}"


def digest_cell(image: str, name: str, severity: int, seed: int = 0) -> str:
    """The SHA-256 of one corrupted image."""
    pixels = corrupt(picture(image), name, severity, derive_seed(seed, image, name, severity), backend="fast")
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def digest_cells(cells: Iterable[tuple[str, str, int]]) -> dict[str, str]:
    return {name_cell(*cell): digest_cell(*cell) for cell in cells}


@pytest.fixture(scope="module")
def digests() -> dict[str, str]:
    return digest_cells(CELLS)


def test_every_cell_is_there_and_differs(digests: dict[str, str]) -> None:
    assert len(digests) == 2 * 25 * 5
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize(
    ("order", "threads"),
    [(3, 8), pytest.param(1, 1, marks=pytest.mark.slow), pytest.param(2, 3, marks=pytest.mark.slow)],
)
def test_processes_orders_and_threads_agree(digests: dict[str, str], order: int, threads: int) -> None:
    environment = os.environ | {
        "PYTHONHASHSEED": str(order),
        "OMP_NUM_THREADS": str(threads),
        "NUMBA_NUM_THREADS": str(threads),
    }
    output = subprocess.run(
        [sys.executable, "-c", CHILD, os.path.dirname(__file__), str(order), str(threads)],
        check=True,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert json.loads(output.stdout) == digests


def test_threads_of_one_process_agree(digests: dict[str, str]) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda cell: digest_cell(*cell), reversed(CELLS)))
    assert dict(zip((name_cell(*cell) for cell in reversed(CELLS)), found, strict=True)) == digests


RANDOM = sorted(
    {*NAMES}
    - {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}
    - {"gaussian_blur", "saturate"}
)


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_what_is_random(digests: dict[str, str], name: str) -> None:
    other = digest_cell(IMAGES[0], name, 3, seed=1)
    assert (other != digests[name_cell(IMAGES[0], name, 3)]) == (name in RANDOM)
