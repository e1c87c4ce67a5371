"""The `uda` stage: unsupervised domain adaptation from a labelled source to an unlabelled target."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from adapt import runtime
from adapt.data.cache import ImageCache
from adapt.data.catalog import describe_dataset
from adapt.data.class_statistics import load_or_count
from adapt.data.layout import Frame, list_frames
from adapt.data.settings import DatasetSettings
from adapt.noise.class_counts import load_or_count_noisy
from adapt.openmmlab.model import resolve_config
from adapt.uda.train import configure_network, train_uda
from experiments.schema import UdaStage
from experiments.task import Task
from orchestrator.stages.curve_file import keep_curve, write_curve
from orchestrator.stages.network import keep_network, require_model
from orchestrator.stages.noisy_labels import keep_noisy_training
from orchestrator.stages.stage import StageContext, StageResult, count_loader_workers, with_progress
from orchestrator.stages.validation import open_validation, score_looks
from orchestrator.store import PICTURES

CLASS_COUNTS = "class_counts"  # of the scratch folder, where no image cache is configured: for a task that goes on
MOST_BYTES = 2**28  # of them; ours: GTA's 24,966 labels take 4 MB


def run(task: Task, context: StageContext) -> StageResult:
    """Adapt, and leave the network as `model.json` and `checkpoint.pth`; target labels are not what it learns from."""
    settings = task.settings
    if not isinstance(settings, UdaStage):
        raise TypeError(f"{task.name} is no uda task")
    device = runtime.configure(context.threads, settings.seed, context.gpus)
    source, target = task.datasets[settings.source].settings, task.datasets[settings.target].settings
    source_root = context.roots[settings.source]
    source_frames = list_frames(source, source_root)
    classes = describe_dataset(source).classes
    bound = require_model(task)
    config = configure_network(resolve_config(bound.settings, len(classes)), settings.method)
    counts = None
    if settings.method.rare_class is not None:
        counts = _count_classes(source_frames, source, source_root, settings, context)
    scores_labels = getattr(settings.method, "score_pseudo_labels", False)
    adapted = train_uda(
        config,
        source_frames,
        source,
        list_frames(target, context.roots[settings.target], require_labels=scores_labels),
        target,
        settings.training,
        settings.method,
        settings.seed,
        context.scratch,
        keep_curve(context, with_progress(context.on_step, settings.training.iterations)),
        weights=context.weights.get("model"),
        weights_of=bound.settings.weights_of,
        workers=count_loader_workers(context, device),
        device=device,
        class_counts=counts,
        cache=context.cache,
        pictures=context.folder / PICTURES,
        noise=settings.noise,
        correction=settings.correction,
        validation=open_validation(settings.validation, task, context),
    )
    metrics = score_looks(adapted.looks)
    if adapted.noisy is not None:
        metrics |= keep_noisy_training(adapted.noisy, source_frames, source, context)
    write_curve(context)
    network = keep_network(task, context, config, adapted.network, classes)
    return StageResult(network=network, classes=classes, metrics=metrics)


def _count_classes(
    frames: Sequence[Frame], source: DatasetSettings, root: Path, settings: UdaStage, context: StageContext
) -> NDArray[np.int64]:
    """Count the class pixels of the source labels as they are learnt, (N, K), unless that was done before."""
    if settings.noise is None:
        return load_or_count(frames, source, root, context.threads).counts
    cache = context.cache or ImageCache(context.scratch / CLASS_COUNTS, MOST_BYTES)
    return load_or_count_noisy(frames, source, root, settings.noise, cache, context.threads)
