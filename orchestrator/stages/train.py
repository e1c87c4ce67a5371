"""The `train` stage: supervised training of a model on one labelled data set, whose labels may be wrong."""

from __future__ import annotations

from typing import Any

from adapt import runtime
from adapt.correction.train import train_on_noisy_labels
from adapt.data.catalog import describe_dataset
from adapt.data.layout import list_frames
from adapt.openmmlab.model import resolve_config
from adapt.training.runner import train_supervised
from experiments.schema import TrainStage
from experiments.task import Task
from orchestrator.stages.curve_file import keep_curve, write_curve
from orchestrator.stages.network import keep_network, require_model
from orchestrator.stages.noisy_labels import keep_noisy_training
from orchestrator.stages.stage import StageContext, StageResult, count_loader_workers, with_progress
from orchestrator.stages.validation import open_validation


def run(task: Task, context: StageContext) -> StageResult:
    """Train, and leave the network as `model.json` and `checkpoint.pth`."""
    settings = task.settings
    if not isinstance(settings, TrainStage):
        raise TypeError(f"{task.name} is no train task")
    device = runtime.configure(context.threads, settings.seed, context.gpus)
    dataset = task.datasets[settings.dataset].settings
    classes = describe_dataset(dataset).classes
    bound = require_model(task)
    config = resolve_config(bound.settings, len(classes))
    frames = list_frames(dataset, context.roots[settings.dataset])
    common: dict[str, Any] = {
        "weights": context.weights.get("model"),
        "weights_of": bound.settings.weights_of,
        "workers": count_loader_workers(context, device),
        "device": device,
        "cache": context.cache,
    }
    training, seed, on_step = (
        settings.training,
        settings.seed,
        keep_curve(context, with_progress(context.on_step, settings.training.iterations)),
    )
    metrics: dict[str, float | None] = {}
    if settings.noise or settings.loss or settings.correction or settings.validation:
        made = train_on_noisy_labels(
            config,
            frames,
            dataset,
            training,
            seed,
            context.scratch,
            on_step,
            settings.noise,
            settings.loss,
            settings.correction,
            open_validation(settings.validation, task, context),
            **common,
        )
        model = made.network
        metrics = keep_noisy_training(made, frames, dataset, context)
    else:
        model = train_supervised(config, frames, dataset, training, seed, context.scratch, on_step, **common)
    write_curve(context)
    network = keep_network(task, context, config, model, classes)
    return StageResult(network=network, classes=classes, metrics=metrics)
