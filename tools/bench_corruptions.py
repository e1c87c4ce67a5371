"""`make bench`: what a corrupted image costs by each backend on one core, and what a second process brings to copies.

python tools/bench_corruptions.py            all 19 at severity 3, 2048x1024, and copies
python tools/bench_corruptions.py 5 fog snow these at severity 5
python tools/bench_corruptions.py copies 40  copies of 40 images by one process and by two
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from corruptions import CORRUPTIONS, PROTOCOLS, corrupt
from corruptions.copies import write_copies

SIZE = (1024, 2048)
REPEATS = 3
COMMON = list(CORRUPTIONS)[:15]
TARGETS = {"zoom_blur": 15.0, "brightness": 15.0}
TARGET_SUM = 5.0
COPIED_SIZE, COPIED, COPIED_PROTOCOL = (512, 1024), 32, "quick"
TARGET_COPIES = 1.8


def make_image(size: tuple[int, int]) -> np.ndarray:
    """Make an image of gradients, blocks and texture."""
    height, width = size
    generator = np.random.default_rng(0)
    y, x = np.mgrid[0:height, 0:width]
    image = np.stack([x * 255 / width, y * 255 / height, (x + 2 * y) % 256], axis=-1)
    blocks = np.kron(generator.integers(0, 2, (height // 64, width // 64, 1)), np.ones((64, 64, 1)))
    image = np.where(blocks > 0, image, 0.3 * image + 90) + generator.normal(0, 6, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def time_corruption(image: np.ndarray, name: str, severity: int, seed: int, backend: str) -> float:
    """Return the processor's seconds of one corrupted image."""
    started = time.process_time()  # what else the machine does is no matter
    corrupt(image, name, severity, seed, backend=backend)
    return time.process_time() - started


def time_copies(source: Path, workers: int) -> float:
    """Return the images per second of `segshift corrupt` once its processes are at work.

    Time runs from when each process has finished two images, so that starting and compiling are not in it, to the last.
    """
    times: list[float] = []
    with tempfile.TemporaryDirectory() as out:
        write_copies(
            source,
            Path(out),
            PROTOCOLS[COPIED_PROTOCOL],
            workers=workers,
            on_progress=lambda done, total: times.append(time.perf_counter()),
        )
    started = times[2 * workers - 1]
    return (len(times) - 2 * workers) / (times[-1] - started)


def compare_copies(count: int) -> None:
    """Print how many times as fast two processes are as one."""
    with tempfile.TemporaryDirectory() as folder:
        for index in range(count):
            image = np.roll(make_image(COPIED_SIZE), 16 * index, axis=1)
            cv2.imwrite(str(Path(folder, f"{index}.png")), image)
        rates = {workers: time_copies(Path(folder), workers) for workers in (1, 2)}
    height, width = COPIED_SIZE
    print(
        f"copies under {COPIED_PROTOCOL!r}, {count} images of {width}x{height}: {rates[1]:.2f} images/s by one process, "
        f"{rates[2]:.2f} by two    ratio {rates[2] / rates[1]:.2f}    target {TARGET_COPIES}"
    )


def main() -> None:
    """Measure what the command line asks for."""
    cv2.setNumThreads(1)  # as each of several processes
    arguments = sys.argv[1:]
    if arguments[:1] != ["copies"]:
        compare_backends(int(arguments[0]) if arguments else 3, arguments[1:] or list(CORRUPTIONS))
    if not arguments or arguments[0] == "copies":
        compare_copies(int(arguments[1]) if len(arguments) > 1 else COPIED)


def compare_backends(severity: int, names: list[str]) -> None:
    """Time both backends by turns, and print the ratio for each corruption and for the sum of the common ones."""
    image = make_image(SIZE)
    sums = {"fast": 0.0, "reference": 0.0}
    print(f"severity {severity}, {SIZE[1]}x{SIZE[0]}, one core; reference / fast, medians of {REPEATS} seeds")
    for name in names:
        seconds: dict[str, list[float]] = {backend: [] for backend in sums}
        for backend in sums:
            corrupt(image[:64, :64], name, severity, 0, backend=backend)  # compiled, loaded
        for seed in range(REPEATS):
            for backend, times in seconds.items():
                times.append(time_corruption(image, name, severity, seed, backend))
        ratios = [slow / quick for slow, quick in zip(seconds["reference"], seconds["fast"], strict=True)]
        middle = {backend: statistics.median(times) for backend, times in seconds.items()}
        if name in COMMON:
            sums = {backend: total + middle[backend] for backend, total in sums.items()}
        spread = f"[{min(ratios):.1f} .. {max(ratios):.1f}]"
        print(
            f"{name:<18} {1000 * middle['reference']:8.1f} / {1000 * middle['fast']:6.1f} ms   "
            f"ratio {statistics.median(ratios):6.1f} {spread:<18} target {TARGETS.get(name, 1.0):.0f}",
            flush=True,
        )
    if set(COMMON) <= set(names):
        ratio = sums["reference"] / sums["fast"]
        print(
            f"the 15 common ones {sums['reference']:8.2f} / {sums['fast']:6.2f} s    ratio {ratio:6.1f} "
            f"{'':<18} target {TARGET_SUM:.0f}"
        )


if __name__ == "__main__":
    main()
