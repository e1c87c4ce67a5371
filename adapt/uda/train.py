"""Trains a network on a labelled source and an unlabelled target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from adapt.data.class_statistics import class_statistics
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SpecError
from adapt.hashing import hash_file
from adapt.model import WeightsOf
from adapt.openmmlab.checkpoint import load_weights
from adapt.openmmlab.model import build_model
from adapt.training.hooks import OnStep
from adapt.training.runner import run_training, set_training_size
from adapt.training.sample import LabelledDataset
from adapt.training.settings import TrainSettings
from adapt.uda.daformer import DAFormer
from adapt.uda.pairs import DomainPairs, RareClassDataset, UnlabelledTarget
from adapt.uda.settings import UdaSettings

METRICS = ("loss", "source_loss", "mix_loss", "q", "ema_alpha")


def train_uda(
    model_config: Mapping[str, Any],
    source_frames: Sequence[Frame],
    source: DatasetSettings,
    target_frames: Sequence[Frame],
    target: DatasetSettings,
    settings: TrainSettings,
    uda: UdaSettings,
    seed: int,
    workdir: Path,
    on_step: OnStep,
    weights: Path | None = None,
    weights_of: WeightsOf = "network",
    class_counts: NDArray[np.int64] | None = None,
    workers: int = 0,
    device: torch.device | None = None,
) -> nn.Module:
    """Adapt a network to the target; go on where an interrupted run of the same kind stopped.

    Args:
        model_config: What `resolve_config` returned.
        source_frames: Source frames, all with labels.
        source: The settings they were listed with.
        target_frames: Target frames; their labels are never opened.
        target: The settings they were listed with.
        settings: The run; a crop is needed, and `batch_size` counts images of each domain.
        uda: The method.
        seed: Decides initial weights, order, augmentation, mixing and drop-out.
        workdir: Holds the resume point and the log.
        on_step: Called with (iteration from 1, metrics `loss`, `source_loss`, `mix_loss`, `q`, `ema_alpha`, `lr`,
            `iteration_s`); see `Report`.
        weights: A checkpoint that student and teacher start from, or None.
        weights_of: What that checkpoint holds.
        class_counts: (N, K) pixels of each class in each source frame, for rare class sampling; counted when None.
        workers: Loader processes; the result does not depend on it.
        device: What to train on; None is the CPU, also where a GPU is visible.

    Returns:
        The network that `uda.evaluate_with` names, in eval mode, on `device`.

    Raises:
        SpecError: There is no crop, or the network cannot be trained by this method.
        PrerequisiteError: A file cannot be read.
        TaskError: A loss or a parameter is not finite.
    """
    if settings.augment.crop is None:
        raise SpecError(
            "The training settings have `augment.crop: null`, but self-training mixes source and target images of one "
            "size. Set `augment.crop` to (width, height), such as [512, 512]."
        )
    labelled: Dataset[dict[str, Any]]
    if uda.rare_class is None:
        labelled = LabelledDataset(source_frames, source, settings.augment, seed)
    else:
        counts = class_statistics(source_frames, source).counts if class_counts is None else class_counts
        labelled = RareClassDataset(source_frames, source, settings.augment, seed, uda.rare_class, counts)
    unlabelled = UnlabelledTarget(target_frames, target, settings.augment, seed)
    student = build_model(model_config, seed)
    if weights is not None:
        load_weights(student, weights, weights_of)
    set_training_size(student, settings.augment.crop)
    identity = {
        "method": uda.model_dump(mode="json", exclude={"evaluate_with"}),
        "model": model_config,
        "weights": hash_file(weights) if weights is not None else None,
        "source": {"frames": [frame.name for frame in source_frames], "dataset": source.model_dump(mode="json")},
        "target": {"frames": [frame.name for frame in target_frames], "dataset": target.model_dump(mode="json")},
    }
    model, samples = DAFormer(student, uda), DomainPairs(labelled, unlabelled)
    adapted: Any = run_training(model, samples, settings, seed, workdir, on_step, METRICS, identity, workers, device)
    return adapted.teacher if uda.evaluate_with == "teacher" else adapted.student
