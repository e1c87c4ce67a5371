"""The `train` stage: supervised training of a model on one labelled data set."""

from __future__ import annotations

from adapt import runtime
from adapt.data.catalog import describe_dataset
from adapt.data.layout import list_frames
from adapt.openmmlab.model import resolve_config
from adapt.training.runner import train_supervised
from experiments.schema import TrainStage
from experiments.task import Task
from orchestrator.stages.network import keep_network, require_model
from orchestrator.stages.stage import StageContext, StageResult, count_loader_workers, with_progress


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
    model = train_supervised(
        config,
        list_frames(dataset, context.roots[settings.dataset]),
        dataset,
        settings.training,
        settings.seed,
        context.scratch,
        with_progress(context.on_step, settings.training.iterations),
        weights=context.weights.get("model"),
        weights_of=bound.settings.weights_of,
        workers=count_loader_workers(context, device),
        device=device,
        cache=context.cache,
    )
    return StageResult(network=keep_network(task, context, config, model, classes), classes=classes)
