"""`make bench`: frames a second of the benchmark stage beside the bare network on the same frames, and its memory.

python tools/bench_benchmark.py        CGNet at 480x360 on a CPU core, one process ahead of it
python tools/bench_benchmark.py gpu    SegFormer MiT-B0 at 2048x1024 on a GPU, with 4, 8 and 12 processes ahead of it
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch

from adapt import runtime
from adapt.benchmark.feed import FeedSettings, Source, open_feed
from adapt.benchmark.kept import Timing, load_unit
from adapt.benchmark.run import compute_units
from adapt.benchmark.unit import Unit, list_cells, plan_units
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.inference import forward_logits, normalise
from adapt.model import ModelSettings
from adapt.openmmlab.model import build_model, resolve_config
from corruptions import PROTOCOLS
from corruptions.protocol import protocol

GRID = [(name, 3) for name, _ in protocol("semsegbench").cells]  # the 15 common
TARGET = 0.9
REPEATS = 3


@dataclass(frozen=True)
class Case:
    """What is measured: a network, a size (height, width), how many frames, and how many processes are tried."""

    config: str
    size: tuple[int, int]
    frames: int
    workers: tuple[int, ...]
    gpus: int


CPU = Case("cgnet_camvid", (360, 480), 4, (0, 1), 0)
GPU = Case("segformer_mit-b0_8xb1-160k_cityscapes-1024x1024", (1024, 2048), 16, (4, 8, 12), 1)


def write_frames(folder: Path, count: int, size: tuple[int, int]) -> FeedSettings:
    """Write images of blocks and texture with labels of 11 classes."""
    generator = np.random.default_rng(0)
    frames = []
    for index in range(count):
        blocks = generator.integers(0, 11, (size[0] // 8, size[1] // 8, 1), dtype=np.uint8)
        label = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
        image = (label * 20 + generator.integers(0, 30, (*size, 3))).astype(np.uint8)
        frame = Frame(f"f{index}", folder / f"f{index}.png", folder / f"f{index}_label.png")
        cv2.imwrite(str(frame.image), image)
        cv2.imwrite(str(frame.label), label)
        frames.append(frame)
    return FeedSettings(
        {"val": Source(DatasetSettings(type="camvid", split="test"), tuple(frames))}, PROTOCOLS["quick"], seed=0
    )


def plan(count: int) -> tuple[Unit, ...]:
    """Return the units of the 15 common corruptions at severity 3."""
    return plan_units(list_cells("val", GRID), {"val": count})


def build(case: Case) -> torch.nn.Module:
    """Build the network with random weights, ready to predict."""
    device = runtime.configure(1, 0, case.gpus)
    model = build_model(resolve_config(ModelSettings(config=case.config), 11), seed=0)
    return model.to(device).eval()


@torch.no_grad()
def time_bare(model: torch.nn.Module, feed: FeedSettings, count: int) -> float:
    """Return the seconds of the bare forward passes of all frames in all cells, which are in memory already."""
    left = iter(plan(count))
    images = [image for sample in open_feed(feed, lambda: next(left, None), 0) for image in sample.images]
    batches = [normalise(model, image) for image in images]
    started = time.perf_counter()
    for batch in batches:
        forward_logits(model, batch)
    if batches[0].is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - started


def time_stage(model: torch.nn.Module, feed: FeedSettings, count: int, workers: int) -> tuple[float, Timing]:
    """Return the seconds of the benchmark's loop after its first frame, when the processes are at work, for all frames."""
    left = iter(plan(count))
    with tempfile.TemporaryDirectory() as folder:
        compute_units(model, 11, feed, lambda: next(left, None), Path(folder), workers=workers)
        timings = [counts.timing for unit in plan(count) if (counts := load_unit(Path(folder), unit)) is not None]
    # The first unit waits for the processes to start.
    timing = sum(timings[1:], Timing())
    return (timing.network + timing.waiting) * len(timings) / (len(timings) - 1), timing


def compare(case: Case) -> None:
    """Print the frames a second of the stage as a share of those of the bare network."""
    model = build(case)
    count = case.frames
    with tempfile.TemporaryDirectory() as folder:
        feed = write_frames(Path(folder), count, case.size)
        time_stage(model, feed, 1, 0)  # compiles
        images = len(GRID) * count + count
        for workers in case.workers:
            shares, bare_rates, stage_rates, timing = [], [], [], Timing()
            for _ in range(REPEATS):
                bare = time_bare(model, feed, count)
                stage, timing = time_stage(model, feed, count, workers)
                shares.append(bare / stage)
                bare_rates.append(images / bare)
                stage_rates.append(images / stage)
            waited = timing.waiting / (timing.waiting + timing.network)
            print(
                f"benchmark of {case.config} at {case.size[1]}x{case.size[0]}, {workers} processes ahead: "
                f"{np.median(stage_rates):.2f} frames/s, bare network {np.median(bare_rates):.2f}    share "
                f"{np.median(shares):.2f} [{min(shares):.2f} .. {max(shares):.2f}]; waited {waited:.0%} of the time    "
                f"target {TARGET} where the network is the slower part",
                flush=True,
            )


def measure_memory(count: int) -> int:
    """Return the bytes that a process holds after a benchmark of so many frames, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure_memory, (count,))


def _measure_memory(count: int) -> int:
    case = Case("cgnet_small", (96, 128), count, (0,), 0)
    model = build(case)
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as out:
        feed = write_frames(Path(folder), count, case.size)
        left = iter(plan_units(list_cells("val", PROTOCOLS["quick"].cells), {"val": count}))
        compute_units(model, 11, feed, lambda: next(left, None), Path(out))
    return psutil.Process(os.getpid()).memory_info().rss


if __name__ == "__main__":
    if "gpu" in sys.argv[1:]:
        compare(GPU)
    else:
        compare(CPU)
        few, many = measure_memory(20), measure_memory(200)
        print(f"memory of a benchmark: {few / 2**20:.0f} MiB after 20 frames, {many / 2**20:.0f} MiB after 200")
