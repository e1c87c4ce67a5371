"""The `fisher` stage: the Fisher information of a network on its source data, for the method `eata`."""

from __future__ import annotations

import torch

from adapt import runtime
from adapt.atomic import replace_atomically
from adapt.inference import forward_logits
from adapt.tta.fisher import estimate_fisher
from adapt.tta.parameters import collect_norm_parameters
from experiments.schema import FisherStage
from experiments.task import Task
from orchestrator.stages.network import load_network
from orchestrator.stages.source_frame import list_source_frames, read_batches
from orchestrator.stages.stage import StageContext, StageResult

FISHER_FILE = "fisher.pth"


def run(task: Task, context: StageContext) -> StageResult:
    """Measure how much each affine parameter of the normalisation layers matters to predictions on source frames."""
    settings = task.settings
    if not isinstance(settings, FisherStage):
        raise TypeError(f"{task.name} is no fisher task")
    device = runtime.configure(context.threads, settings.seed, context.gpus)
    model, classes, network = load_network(task, context, device)
    parameters = collect_norm_parameters(model)
    frames = list_source_frames(task, context, settings)
    batches = read_batches(frames, task.datasets[settings.dataset].settings, model, context.on_step)
    fisher = estimate_fisher(model, forward_logits, batches, parameters, settings.batch_norm)
    with replace_atomically(context.folder / FISHER_FILE) as draft, draft.open("wb") as file:
        torch.save({name: values.cpu() for name, values in fisher.items()}, file)
    return StageResult(
        network=network,
        classes=classes,
        metrics={
            "samples": len(frames),
            "parameters": sum(values.numel() for values in fisher.values()),
        },
    )
