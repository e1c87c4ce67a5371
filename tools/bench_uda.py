"""`make bench` and `make bench-gpu`: what a training step of DAFormer costs, beside its parts measured alone in the same run.

python tools/bench_uda.py      on the CPU: MiT-B0, crops of 128, one thread
python tools/bench_uda.py gpu  on a GPU: the paper's configuration (MiT-B5, crops of 512, 2 + 2 images) in every precision
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from adapt import runtime
from adapt.data.cache import ImageCache
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.model import ModelSettings
from adapt.openmmlab import PixelData, SegDataSample
from adapt.openmmlab.model import build_model, resolve_config
from adapt.training.batch import Batch
from adapt.training.optimizer import build_optimizer
from adapt.training.predictions import compute_supervised_loss, predict_labels_from, run_network
from adapt.training.preparation import prepare_network
from adapt.training.settings import AugmentSettings, TrainSettings
from adapt.training.step import StepWrapper
from adapt.uda.feature_distance import compute_feature_distance, make_thing_mask
from adapt.uda.self_training import SelfTraining
from adapt.uda.settings import DaformerSettings, FeatureDistanceSettings, RareClassSettings
from adapt.uda.train import train_uda

CLASSES = 19
PUBLISHED = "published: 16 h for 40,000 iterations (1.44 s each) and 9.8 GB, fp32 on an RTX 2080 Ti"
METHOD = DaformerSettings(feature_distance=FeatureDistanceSettings(reference="start"), ignore_top=15, ignore_bottom=120)


def make_domain(images: int, crop: int) -> dict[str, Any]:
    """Make a batch of noise with labels in tiles of 64 pixels, so that cells of one class occur."""
    generator = np.random.default_rng(0)
    samples = []
    for _ in range(images):
        tiles = generator.integers(0, CLASSES, (crop // 64, crop // 64))
        label = torch.from_numpy(np.kron(tiles, np.ones((64, 64), np.int64)))
        samples.append(SegDataSample(metainfo={"img_shape": (crop, crop)}, gt_sem_seg=PixelData(data=label[None])))
    pixels = [torch.from_numpy(generator.integers(0, 256, (3, crop, crop), dtype=np.uint8)) for _ in range(images)]
    return {"inputs": pixels, "data_samples": samples}


def time_once(device: torch.device, function: Callable[[], Any]) -> float:
    """Return the seconds of a call, the GPU's work included."""
    started = time.perf_counter()
    function()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - started


def bench_step(config: str, crop: int, device: torch.device, settings: TrainSettings, repeats: int) -> None:
    """Print the step's time, its parts' sum and their ratio, and on a GPU the peak memory."""
    plain = resolve_config(ModelSettings(config=config), CLASSES)
    model: Any = SelfTraining(build_model(plain, seed=0), METHOD).train()
    batch: Any = Batch({"source": make_domain(2, crop), "target": make_domain(2, crop)})
    if device.type == "cuda":
        batch = batch.pin_memory()
    with prepare_network(model, settings, device):
        wrapper = StepWrapper(build_optimizer(model, settings.optimizer), settings.precision, device=device)
        data = model.data_preprocessor(batch["source"], training=True)
        images = data["inputs"]
        label = torch.stack([sample.gt_sem_seg.data[0] for sample in data["data_samples"]])

        def run_student() -> Any:
            with wrapper.optim_context(model):
                features, predictions = run_network(model.student, images, None)
                loss = compute_supervised_loss(predictions, label)
            wrapper.backward(loss)
            return features

        def run_teacher() -> None:
            with torch.no_grad(), wrapper.optim_context(model):
                predict_labels_from(model.teacher, images)

        def run_reference() -> None:
            with torch.no_grad(), wrapper.optim_context(model):
                wanted = model.reference_backbone(images)[-1]
                own = features[-1].detach()
                mask = make_thing_mask(label, tuple(own.shape[2:]), METHOD.feature_distance.classes, 0.75)
                compute_feature_distance(own, wanted, mask)

        features = run_student()
        for _ in range(3):  # warm up, compile
            model.train_step(batch, wrapper)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        seconds: dict[str, list[float]] = {name: [] for name in ("step", "student", "teacher", "distance")}
        for _ in range(repeats):  # interleaved: what slows the machine down slows all of them
            seconds["step"].append(time_once(device, lambda: model.train_step(batch, wrapper)))
            wrapper.zero_grad()
            seconds["student"].append(time_once(device, run_student) + time_once(device, run_student))
            seconds["teacher"].append(time_once(device, run_teacher))
            seconds["distance"].append(time_once(device, run_reference))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    parts = medians["student"] + medians["teacher"] + medians["distance"]
    ratios = [
        step / (student + teacher + distance)
        for step, student, teacher, distance in zip(*seconds.values(), strict=True)
    ]
    flags = ", ".join([settings.precision] + [name for name in ("compile", "channels_last") if getattr(settings, name)])
    memory = f", peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GB" if device.type == "cuda" else ""
    print(
        f"DAFormer step ({config}, {crop}x{crop}, 2 + 2, {flags}): {medians['step']:.3f} s; two student passes "
        f"{medians['student']:.3f}, teacher {medians['teacher']:.3f}, distance {medians['distance']:.3f}: {parts:.3f} s; "
        f"ratio {statistics.median(ratios):.3f} [{min(ratios):.3f} .. {max(ratios):.3f}, n={repeats}], target 1.08{memory}",
        flush=True,
    )  # fmt: skip


def write_frames(folder: Path, count: int) -> tuple[Frame, ...]:
    """Write frames of GTA's size that compress as photographs do."""
    generator = np.random.default_rng(1)
    frames = []
    for index in range(count):
        coarse = generator.integers(0, 256, (33, 60, 3), dtype=np.uint8)
        noise = generator.normal(0, 4, (1052, 1914, 3))
        image = np.clip(cv2.resize(coarse, (1914, 1052), interpolation=cv2.INTER_CUBIC) + noise, 0, 255).astype(
            np.uint8
        )
        label = cv2.resize(
            generator.integers(0, CLASSES, (33, 60), dtype=np.uint8), (1914, 1052), interpolation=cv2.INTER_NEAREST
        )
        frame = Frame(name=f"{index}", image=folder / f"{index}.png", label=folder / f"{index}_label.png")
        cv2.imwrite(str(frame.image), image)
        cv2.imwrite(str(frame.label), label)
        frames.append(frame)
    return tuple(frames)


def bench_loading(config: str, crop: int, device: torch.device, precision: str, iterations: int, workers: int) -> None:
    """Print which share of an iteration waits for data, with and without the cache of decoded images."""
    plain = resolve_config(ModelSettings(config=config), CLASSES)
    dataset = DatasetSettings(type="cityscapes", split="train", resize=(1280, 720))
    settings = TrainSettings(
        iterations=iterations, augment=AugmentSettings(crop=(crop, crop)), checkpoint_interval=10**9,
        log_interval=iterations // 2, precision=precision,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as text:
        folder = Path(text)
        frames = write_frames(folder, 16)
        uda = METHOD.model_copy(update={"rare_class": RareClassSettings(min_pixels=0, min_crop_pixels=0)})
        cache = ImageCache(folder / "cache", 2**31)
        for name, used in (("decoding every frame", None), ("filling the cache", cache), ("from the cache", cache)):
            seen: dict[int, dict[str, float]] = {}
            train_uda(
                plain, frames, dataset, frames, dataset, settings, uda, 0, folder / name, seen.__setitem__,
                device=device, workers=workers, cache=used,
            )  # fmt: skip
            last = seen[iterations]  # the mean of the second half: workers and caches are warm
            print(
                f"waiting for data ({config}, {name}, {workers} loader processes): {last['data_s']:.3f} of "
                f"{last['iteration_s']:.3f} s an iteration, {100 * last['data_s'] / last['iteration_s']:.1f} %",
                flush=True,
            )


def bench_cpu() -> None:
    """Measure a small DAFormer on one core."""
    device = runtime.configure(1, 0, 0)
    bench_step("daformer_mit-b0", 128, device, TrainSettings(), repeats=5)
    bench_loading("daformer_mit-b0", 128, device, "fp32", iterations=8, workers=0)


def bench_gpu() -> None:
    """Measure the paper's configuration on a GPU."""
    device = runtime.configure(4, 0, 1)  # with a seed, as every training run: cuDNN keeps to deterministic algorithms
    print(f"{torch.cuda.get_device_name()}; {PUBLISHED}")
    choices: list[dict[str, Any]] = [
        {}, {"precision": "bf16"}, {"precision": "bf16", "channels_last": True}, {"precision": "fp16"},
        {"compile": True}, {"precision": "bf16", "compile": True},
    ]  # fmt: skip
    for choice in choices:
        torch.cuda.empty_cache()
        bench_step("daformer_mit-b5", 512, device, TrainSettings(**choice), repeats=20)
    workers = max(1, min(16, (os.cpu_count() or 2) - 1))
    for precision in ("fp32", "bf16"):
        bench_loading("daformer_mit-b5", 512, device, precision, iterations=60, workers=workers)


if __name__ == "__main__":
    bench_gpu() if sys.argv[1:] == ["gpu"] else bench_cpu()
