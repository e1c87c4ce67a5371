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
    device = runtime.configure(context.threads, 0, context.gpus)
    model, classes, network = load_network(task, context, device)
    dataset = task.datasets[settings.dataset].settings
    frames = list_frames(dataset, context.roots[settings.dataset])[: settings.limit]
    protocol = find_protocol(settings.protocol)
    cells: dict[str, tuple[str, int] | None] = {CLEAN: None} | {f"{cell[0]}/{cell[1]}": cell for cell in protocol.cells}
    counts = {name: np.zeros((len(frames), len(classes), len(classes)), np.int64) for name in cells}
    seconds = 0.0
    for index, frame in enumerate(frames):
        image, label = read_frame(frame, dataset)
        for name, cell in cells.items():
            pixels = image
            if cell is not None:
                seed = derive_seed(settings.seed, frame.name, *cell)
                pixels = corrupt(image, *cell, seed, backend=protocol.backend, origin=str(frame.image))
            started = time.perf_counter()
            prediction = predict_classes(model, pixels, dataset.resize)
            seconds += time.perf_counter() - started
            counts[name][index] = count_confusion(label, prediction, len(classes))
        context.on_step(index + 1, {"progress": (index + 1) / len(frames)})
    save_counts(context.folder, [frame.name for frame in frames], counts)
    return StageResult(
        network=network,
        protocol=describe_protocol(task),
        classes=classes,
        cells=tuple(
            make_cell(name, {} if cell is None else {"corruption": cell[0], "severity": cell[1]}, counts[name])
            for name, cell in cells.items()
        ),
        metrics={"frames_per_second": len(frames) * len(counts) / seconds if seconds > 0 else None},
    )
