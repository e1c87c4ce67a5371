"""The `evaluate` stage: clean mIoU of a network on a labelled data set."""

from __future__ import annotations

import time

import numpy as np

from adapt import runtime
from adapt.benchmark.unit import CLEAN
from adapt.data.catalog import describe_dataset
from adapt.data.layout import list_frames
from adapt.data.reading import read_frame
from adapt.inference import predict_classes
from adapt.scores.confusion import count_confusion, mean_iou
from experiments.schema import EvaluateStage
from experiments.task import Task
from orchestrator.protocol import describe_protocol
from orchestrator.stages.counts_file import save_counts
from orchestrator.stages.frame_pictures import FramePictures, choose_frames
from orchestrator.stages.network import load_network
from orchestrator.stages.stage import StageContext, StageResult, make_cell


def run(task: Task, context: StageContext) -> StageResult:
    """Score a network on every frame (or the first `limit`) of a data set, at the label's own size."""
    settings = task.settings
    if not isinstance(settings, EvaluateStage):
        raise TypeError(f"{task.name} is no evaluate task")
    device = runtime.configure(context.threads, 0, context.gpus)
    model, classes, network = load_network(task, context, device)
    dataset = task.datasets[settings.dataset].settings
    frames = list_frames(dataset, context.roots[settings.dataset])[: settings.limit]
    counts = np.zeros((len(frames), len(classes), len(classes)), np.int64)
    pictures = FramePictures(context.folder, describe_dataset(dataset).palette)
    pictured = choose_frames(len(frames))
    seconds = 0.0
    for index, frame in enumerate(frames):
        image, label = read_frame(frame, dataset)
        started = time.perf_counter()
        prediction = predict_classes(model, image, dataset.resize)
        seconds += time.perf_counter() - started
        counts[index] = count_confusion(label, prediction, len(classes))
        if index in pictured:
            pictures.add(frame.name, CLEAN, image, label, prediction)
        if (index + 1) % 10 == 0 or index + 1 == len(frames):
            context.on_step(index + 1, {"progress": (index + 1) / len(frames), "miou": mean_iou(counts.sum(0)) or 0.0})
    pictures.close()
    save_counts(context.folder, [frame.name for frame in frames], {CLEAN: counts})
    return StageResult(
        network=network,
        protocol=describe_protocol(task),
        classes=classes,
        cells=(make_cell(CLEAN, {}, counts),),
        metrics={"frames_per_second": len(frames) / seconds if seconds > 0 else None},
    )
