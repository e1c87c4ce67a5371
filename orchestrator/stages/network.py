"""The network that a stage scores: a trained one from the store, or a model with outside weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from adapt.data.catalog import describe_dataset
from adapt.hashing import hash_file
from adapt.openmmlab.checkpoint import WEIGHTS_FILE, load_artifact, load_weights, save_artifact
from adapt.openmmlab.model import build_model, resolve_config
from experiments.task import BoundModel, Task
from orchestrator.record import Network
from orchestrator.stages.stage import StageContext


def load_network(
    task: Task, context: StageContext, device: torch.device
) -> tuple[torch.nn.Module, tuple[str, ...], Network]:
    """Load the network that a task scores.

    Returns:
        The model in eval mode on `device`, its class names, and its description for the record.

    Raises:
        PrerequisiteError: the checkpoint is damaged or does not fit the model.
    """
    if "checkpoint" in context.inputs:
        folder = context.inputs["checkpoint"]
        model, classes = load_artifact(folder)
        network = describe_network(model, folder / WEIGHTS_FILE, trained_by=task.inputs["checkpoint"])
    else:
        bound = require_model(task)
        classes = describe_dataset(next(iter(task.datasets.values())).settings).classes
        model = build_model(resolve_config(bound.settings, len(classes)), seed=0)
        weights = context.weights.get("model")
        if weights is not None:
            load_weights(model, weights, bound.settings.weights_of)
        network = describe_network(model, weights, weights=bound.settings.weights)
    return model.to(device).eval(), tuple(classes), network


def require_model(task: Task) -> BoundModel:
    """Return the model of a task whose kind always has one."""
    if task.model is None:
        raise ValueError(f"task {task.name} has no model")
    return task.model


def keep_network(
    task: Task, context: StageContext, config: Mapping[str, Any], model: torch.nn.Module, classes: Sequence[str]
) -> Network:
    """Save a trained network into its task's folder, and describe it for the record."""
    save_artifact(context.folder, config, model, classes)
    weights = task.model.settings.weights if task.model is not None else None
    return describe_network(model, context.folder / WEIGHTS_FILE, trained_by=task.key, weights=weights)


def describe_network(
    model: torch.nn.Module, checkpoint: Path | None, trained_by: str | None = None, weights: str | None = None
) -> Network:
    """Describe a network for the record."""
    backbone, head = getattr(model, "backbone", model), getattr(model, "decode_head", None)
    parts = [type(part).__name__ for part in (backbone, head) if part is not None]
    return Network(
        architecture=" + ".join(parts),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        checkpoint_sha256=hash_file(checkpoint) if checkpoint is not None else None,
        trained_by=trained_by,
        weights=weights,
    )
