"""Trains a network on labels that may be wrong, and says what became of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from adapt.correction.co_teaching import CoTeaching
from adapt.correction.counts import LabelCounts
from adapt.correction.feasibility import check_correction
from adapt.correction.history import History
from adapt.correction.hook import FollowLabels
from adapt.correction.label_store import LabelStore
from adapt.correction.labels import Progress, TrainingLabels
from adapt.correction.learner import NoisyLearner
from adapt.correction.occurrence import check_occurrence
from adapt.correction.settings import (
    AdeleSettings,
    CorrectionSettings,
    CoTeachingSettings,
    CurveSettings,
    LossSettings,
    RelabellingSettings,
)
from adapt.data.cache import ImageCache
from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.data.size import require_crop_fits, require_equal_sizes
from adapt.hashing import hash_file
from adapt.model import WeightsOf
from adapt.noise.settings import NoiseSettings
from adapt.openmmlab.checkpoint import load_weights
from adapt.openmmlab.model import build_model
from adapt.training.hooks import OnStep
from adapt.training.runner import identify_run, run_training, set_training_size
from adapt.training.sample import LabelledDataset
from adapt.training.settings import TrainSettings
from adapt.training.validation import Validate, Validation, describe_validation

LABELS = "labels"  # folder of the corrected labels, under the working folder


@dataclass(frozen=True)
class NoisyTraining:
    """What a training on noisy labels leaves.

    Attributes:
        network: In eval mode.
        history: Curves, corrections and verdicts.
        looks: (iteration, mIoU) of the validation; empty without one.
        labels: Reads the labels as they are in the end.
    """

    network: nn.Module
    history: History
    looks: tuple[tuple[int, float], ...]
    labels: TrainingLabels


def train_on_noisy_labels(
    model_config: Mapping[str, Any],
    frames: Sequence[Frame],
    dataset: DatasetSettings,
    settings: TrainSettings,
    seed: int,
    workdir: Path,
    on_step: OnStep,
    noise: NoiseSettings | None = None,
    loss: LossSettings | None = None,
    correction: CorrectionSettings | None = None,
    validation: Validation | None = None,
    weights: Path | None = None,
    weights_of: WeightsOf = "network",
    workers: int = 0,
    device: torch.device | None = None,
    cache: ImageCache | None = None,
) -> NoisyTraining:
    """Train a network; go on where an interrupted run of the same kind stopped.

    Args:
        model_config: What `resolve_config` returned.
        frames: The training frames, all with labels.
        dataset: The settings they were listed with.
        settings: The run, on one worker.
        seed: Decides initial weights, order, augmentation and drop-out; the noise has a seed of its own.
        workdir: Holds the resume point, the log, and the corrected labels while they change.
        on_step: Called with (iteration from 1, metrics); see `Report`, `FollowLabels` and `Validate`.
        noise: Made in the labels as they are read; None takes them as they are.
        loss: Takes the place of the one that the heads are configured with.
        correction: What is done about wrong labels.
        validation: Looked at while the network trains.
        weights: A checkpoint to start from, or None.
        weights_of: What that checkpoint holds.
        workers: Loader processes; the result does not depend on it.
        device: What to train on; None is the CPU.
        cache: Keeps decoded images and noisy labels, or None.

    Raises:
        SpecError: The settings do not fit the data or each other.
        PrerequisiteError: A file cannot be read.
        TaskError: A loss or a parameter is not finite.
    """
    if settings.augment.crop is not None:
        require_crop_fits(frames[0], dataset, settings.augment.crop)
    require_equal_sizes(frames)
    classes = describe_dataset(dataset).classes
    progress = Progress(len(frames), settings.batch_size * settings.accumulate)
    check_correction(correction, settings.iterations, progress.frames, progress.per_iteration)
    check_occurrence(noise, correction, frames, dataset)
    identity = {
        "model": dict(model_config),
        "weights": hash_file(weights) if weights is not None else None,
        "frames": [frame.name for frame in frames],
        "dataset": dataset.model_dump(mode="json"),
        **describe_noisy_labels(noise, loss, correction),
        "validation": None if validation is None else describe_validation(validation),
    }
    relabelling = None if isinstance(correction, CoTeachingSettings) else correction
    labels = build_labels(
        dataset, noise, relabelling, progress, frames, workdir, identify_run(settings, seed, identity), cache
    )
    curve = choose_curve(correction, progress)
    counts = LabelCounts(len(classes), curve.against)

    def build(number: int) -> nn.Module:
        network = build_model(model_config, seed + number)
        if weights is not None:
            load_weights(network, weights, weights_of)
        set_training_size(network, settings.augment.crop)
        return network

    model: CoTeaching | NoisyLearner
    if isinstance(correction, CoTeachingSettings):
        model = CoTeaching(build(0), build(1), correction, progress.iterations_per_epoch, loss, counts)
    else:
        model = NoisyLearner(build(0), counts, loss, getattr(relabelling, "consistency", None))
    follow = FollowLabels(model.student, counts, frames, labels, relabelling, curve.point_iterations, classes, on_step)
    hooks = [follow]
    validate = None if validation is None else Validate(model.student, validation, on_step)
    run_training(
        model,
        LabelledDataset(frames, dataset, settings.augment, seed, cache, labels),
        settings,
        seed,
        workdir,
        on_step,
        model.metrics,
        identity,
        workers,
        device,
        [*hooks, *([] if validate is None else [validate])],
    )
    looks = () if validate is None else tuple(validate.history)
    return NoisyTraining(model.student, follow.history, looks, labels)


def describe_noisy_labels(
    noise: NoiseSettings | None,
    loss: LossSettings | None = None,
    correction: CorrectionSettings | None = None,
) -> dict[str, Any]:
    """Describe what tells a training on noisy labels from others, as JSON-able data; nothing where all are None."""
    parts = {"noise": noise, "loss": loss, "correction": correction}
    return {name: part.model_dump(mode="json") for name, part in parts.items() if part is not None}


def choose_curve(correction: CorrectionSettings | None, progress: Progress) -> CurveSettings:
    """Return how the curves are made: as ADELE's settings say; elsewhere, where nobody fits them, at least once an epoch."""
    if isinstance(correction, AdeleSettings):
        return correction.curve
    return CurveSettings(point_iterations=min(100, math.ceil(progress.iterations_per_epoch)))


def build_labels(
    dataset: DatasetSettings,
    noise: NoiseSettings | None,
    correction: RelabellingSettings | None,
    progress: Progress,
    frames: Sequence[Frame],
    workdir: Path,
    run: str,
    cache: ImageCache | None,
) -> TrainingLabels:
    """Build what reads the labels, with a store for corrected ones where there are to be any.

    Args:
        dataset: The settings that the frames were listed with.
        noise: See `TrainingLabels`.
        correction: None needs no store.
        progress: See `TrainingLabels`.
        frames: All that are trained on.
        workdir: The store's folder is `labels` under it.
        run: Tells the run from others, of which the store takes no labels.
        cache: See `TrainingLabels`.

    Raises:
        SpecError: The store is another run's.
    """
    store = None
    if correction is not None:
        workdir.mkdir(parents=True, exist_ok=True)
        store = LabelStore(workdir / LABELS, run, [frame.name for frame in frames])
        store.open()
    return TrainingLabels(dataset, noise, progress, store, cache)
