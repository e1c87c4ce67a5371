"""The `benchmark` stage: mIoU of a network under every corruption and severity of a protocol."""

from __future__ import annotations

import time

import numpy as np

from adapt import runtime
from adapt.data.layout import list_frames
from adapt.data.reading import read_frame
from adapt.inference import predict_classes
from adapt.scores.confusion import count_confusion
from corruptions.apply import corrupt
from corruptions.protocol import protocol as find_protocol
from corruptions.seeding import derive_seed
from experiments.schema import BenchmarkStage
from experiments.task import Task
from orchestrator.protocol import describe_protocol
from orchestrator.stages.evaluate import CELL as CLEAN
from orchestrator.stages.network import load_network
from orchestrator.stages.stage import StageContext, StageResult, make_cell, save_counts


def run(task: Task, context: StageContext) -> StageResult:
    """Corrupt, predict and count every frame in every cell; each frame is decoded once. The clean cell comes along."""
    settings = task.settings
    if not isinstance(settings, BenchmarkStage):
        raise TypeError(f"{task.name} is no benchmark task")
    device = runtime.configure(context.threads, seed=0)
    model, classes, network = load_network(task, context, device)
    dataset = task.datasets[settings.dataset].settings
    frames = list_frames(dataset, context.roots[settings.dataset])[: settings.limit]
    protocol = find_protocol(settings.protocol)
    counts = {
        name: np.zeros((len(frames), len(classes), len(classes)), np.int64)
        for name in (CLEAN, *(f"{corruption}/{severity}" for corruption, severity in protocol.cells))
    }
    seconds = 0.0
    for index, frame in enumerate(frames):
        image, label = read_frame(frame, dataset)
        seen = {CLEAN: image} | {
            f"{corruption}/{severity}": corrupt(
                image,
                corruption,
                severity,
                derive_seed(settings.seed, frame.name, corruption, severity),
                backend=protocol.backend,
                origin=str(frame.image),
            )
            for corruption, severity in protocol.cells
        }
        for name, pixels in seen.items():
            started = time.perf_counter()
            prediction = predict_classes(model, pixels, dataset.resize)
            seconds += time.perf_counter() - started
            counts[name][index] = count_confusion(label, prediction, len(classes))
        context.on_step(index + 1, {"progress": (index + 1) / len(frames)})
    save_counts(context.folder, [frame.name for frame in frames], counts)
    axes = {f"{corruption}/{severity}": (corruption, severity) for corruption, severity in protocol.cells}
    return StageResult(
        network=network,
        protocol=describe_protocol(task),
        classes=classes,
        cells=tuple(
            make_cell(name, {"corruption": axes[name][0], "severity": axes[name][1]} if name in axes else {}, values)
            for name, values in counts.items()
        ),
        metrics={"frames_per_second": len(frames) * len(counts) / seconds if seconds > 0 else None},
    )
