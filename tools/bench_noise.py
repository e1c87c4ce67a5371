"""`make bench`: what training on noisy labels costs: ADELE's step beside plain ones at its scales, and a correction of all labels.

python tools/bench_noise.py      on the CPU: CGNet, crops of 256x192, one thread; seconds are those of the processor
python tools/bench_noise.py gpu  on a GPU: MiT-B5 (SegFormer's backbone) with DAFormer's head, crops of 512x512
"""

from __future__ import annotations

import copy
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from adapt import runtime
from adapt.correction.counts import LabelCounts
from adapt.correction.hook import FollowLabels
from adapt.correction.label_store import LabelStore
from adapt.correction.labels import Progress, TrainingLabels
from adapt.correction.learner import NoisyLearner
from adapt.correction.settings import ConsistencySettings, SelfCorrectionSettings
from adapt.data import reading
from adapt.data.catalog import CAMVID_CLASSES
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.inference import forward_logits
from adapt.model import ModelSettings
from adapt.openmmlab import PixelData, SegDataSample
from adapt.openmmlab.model import build_model, resolve_config
from adapt.training.step import StepWrapper

NETWORKS = {"cpu": "cgnet_camvid", "gpu": "daformer_mit-b5"}
CROPS = {"cpu": (192, 256), "gpu": (512, 512)}
REPEATS = {"cpu": 7, "gpu": 20}
FRAMES = {"cpu": 12, "gpu": 60}
BATCH = 4


def make_learner(config: str, device: torch.device, consistency: ConsistencySettings | None) -> NoisyLearner:
    """Build a network with random weights and what trains it."""
    network = build_model(resolve_config(ModelSettings(config=config), len(CAMVID_CLASSES)), seed=0)
    learner = NoisyLearner(network, LabelCounts(len(CAMVID_CLASSES), "original"), consistency=consistency)
    return learner.to(device).train()


def time_step(learner: NoisyLearner, wrapper: StepWrapper, size: tuple[int, int], device: torch.device) -> float:
    """Return the seconds of one training step on a batch of blocks."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (BATCH, 3, *size), generator=generator, dtype=torch.uint8)
    labels = torch.randint(0, len(CAMVID_CLASSES), (BATCH, 3, *size), generator=generator)
    samples = []
    for label in labels:
        sample = SegDataSample(metainfo={"img_shape": size})
        sample.gt_sem_seg = PixelData(data=label)
        samples.append(sample)
    clock = time.perf_counter if device.type == "cuda" else time.process_time  # what else the machine does is no matter
    started = clock()
    learner.train_step({"inputs": list(images), "data_samples": samples}, wrapper)
    if device.type == "cuda":
        torch.cuda.synchronize()
    return clock() - started


def bench_step(place: str, device: torch.device) -> None:
    """Time ADELE's step and plain steps at each of its scales by turns."""
    settings, (height, width) = ConsistencySettings(), CROPS[place]
    cases = {"adele": (settings, (height, width))} | {
        f"plain at {scale:g}": (None, (int(height * scale), int(width * scale))) for scale in settings.scales
    }
    learners = {name: make_learner(NETWORKS[place], device, consistency) for name, (consistency, _) in cases.items()}
    wrappers = {
        name: StepWrapper(torch.optim.SGD(learner.parameters(), lr=1e-4), device=device)
        for name, learner in learners.items()
    }
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for repeat in range(REPEATS[place] + 1):
        for name, (_, size) in cases.items():
            taken = time_step(learners[name], wrappers[name], size, device)
            if repeat:  # the first warms up
                seconds[name].append(taken)
    parts = [sum(times) for times in zip(*(seconds[name] for name in cases if name != "adele"), strict=True)]
    for name, times in seconds.items():
        print(f"{name:<14} {1000 * statistics.median(times):9.1f} ms")
    ratios = [whole / part for whole, part in zip(seconds["adele"], parts, strict=True)]
    plain = [whole / part for whole, part in zip(seconds["adele"], seconds["plain at 1"], strict=True)]
    print(
        f"adele / sum of plain steps at its scales: {statistics.median(ratios):.3f} [{min(ratios):.3f} .. {max(ratios):.3f}, "
        f"n={len(ratios)}]  target 1.1;  adele / plain: {statistics.median(plain):.2f}"
    )


def write_frames(folder: Path, count: int) -> tuple[Frame, ...]:
    """Write frames of blocks with labels."""
    generator = np.random.default_rng(0)
    frames = []
    for index in range(count):
        image = np.kron(generator.integers(0, 256, (18, 24, 3)), np.ones((20, 20, 1))).astype(np.uint8)
        label = np.kron(generator.integers(0, 11, (18, 24)), np.ones((20, 20))).astype(np.uint8)
        files = folder / f"{index}.png", folder / f"{index}_label.png"
        for file, pixels in zip(files, (image, label), strict=True):
            cv2.imwrite(str(file), pixels)
        frames.append(Frame(str(index), *files))
    return tuple(frames)


def bench_correction(place: str, device: torch.device) -> None:
    """Time the correction of all labels beside bare predictions, and count the images that it decodes."""
    decoded: list[Path] = []
    read = reading.read_image

    def counting(path: Path, *more: object) -> np.ndarray:
        decoded.append(path)
        return read(path, *more)  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        frames = write_frames(folder, FRAMES[place])
        labels = TrainingLabels(
            DatasetSettings(type="camvid", split="train"),
            None,
            Progress(len(frames), BATCH),
            LabelStore(folder / "labels", "bench", [frame.name for frame in frames]),
        )
        assert labels.store is not None
        labels.store.open()
        learner = make_learner(NETWORKS[place], device, None)
        settings = SelfCorrectionSettings(epoch=1)
        hook = FollowLabels(
            learner.student, learner.counts, frames, labels, settings, 100, CAMVID_CLASSES, lambda step, values: None
        )
        clock = time.perf_counter if device.type == "cuda" else time.process_time
        reading.read_image = counting
        started = clock()
        hook._correct(1, 1, frozenset(range(11)))
        corrected = clock() - started
        reading.read_image = read
        batch = torch.zeros((1, 3, 360, 480), device=device)
        started = clock()
        predict_bare(learner, batch, settings.scales, len(frames))
        bare = clock() - started
    print(
        f"correction of {len(frames)} labels of 480x360: {corrected / len(frames):.3f} s an image, {corrected / bare:.2f} x bare "
        f"forward passes at its scales; images decoded: {len(decoded)}, of which twice: {len(decoded) - len(set(decoded))}"
    )


@torch.no_grad()
def predict_bare(learner: NoisyLearner, batch: Tensor, scales: tuple[float, ...], repeats: int) -> None:
    """Run the network alone at each scale."""
    network = copy.deepcopy(learner.student).eval()
    for _ in range(repeats):
        for scale in scales:
            forward_logits(network, torch.nn.functional.interpolate(batch, scale_factor=scale))
    if batch.is_cuda:
        torch.cuda.synchronize()


def main() -> None:
    """Measure both."""
    place = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    device = runtime.configure(1, 0, 1.0 if place == "gpu" else 0.0)
    print(f"{NETWORKS[place]}, batch {BATCH}, crop {'x'.join(map(str, reversed(CROPS[place])))}")
    bench_step(place, device)
    bench_correction(place, device)


if __name__ == "__main__":
    main()
