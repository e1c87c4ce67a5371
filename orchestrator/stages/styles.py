"""The `styles` stage: the styles of a network's source data, for the method `reservoir`."""

from __future__ import annotations

import torch

from adapt import runtime
from adapt.atomic import replace_atomically
from adapt.inference import forward_logits
from adapt.tta.reservoir.source_styles import measure_source_styles, save_source_styles
from adapt.tta.reservoir.style import build_extractor
from adapt.tta.reservoir.vgg19 import load_vgg19_start
from experiments.schema import StylesStage
from experiments.task import Task
from orchestrator.stages.network import load_network
from orchestrator.stages.source_frame import list_source_frames, read_batches
from orchestrator.stages.stage import StageContext, StageResult

STYLES_FILE = "styles.npz"
EXTRACTOR_FILE = "extractor.pth"  # the layers of VGG19 that are used: a stream needs no outside file


def run(task: Task, context: StageContext) -> StageResult:
    """Measure the mean style of source frames and the distance above which two frames are of different domains."""
    settings = task.settings
    if not isinstance(settings, StylesStage):
        raise TypeError(f"{task.name} is no styles task")
    device = runtime.configure(context.threads, settings.seed, context.gpus)
    model, classes, network = load_network(task, context, device)
    weights = context.weights.get("extractor")
    extract = build_extractor(settings.extractor, model, forward_logits, weights)
    frames = list_source_frames(task, context, settings)
    batches = read_batches(frames, task.datasets[settings.dataset].settings, model, context.on_step)
    statistics = measure_source_styles(
        extract, batches, settings.quantile, whiten=settings.extractor.distance == "mahalanobis"
    )
    save_source_styles(context.folder / STYLES_FILE, settings.extractor, statistics)
    if weights is not None:
        with replace_atomically(context.folder / EXTRACTOR_FILE) as draft, draft.open("wb") as file:
            torch.save(load_vgg19_start(weights).state_dict(), file)
    return StageResult(
        network=network,
        classes=classes,
        metrics={"samples": statistics.count, "threshold": statistics.threshold},
    )
