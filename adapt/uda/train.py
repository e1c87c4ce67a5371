"""Trains a network on a labelled source and an unlabelled target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.data import Dataset

from adapt.correction.counts import LabelCounts
from adapt.correction.feasibility import check_correction
from adapt.correction.hook import FollowLabels
from adapt.correction.labels import Progress
from adapt.correction.occurrence import check_occurrence
from adapt.correction.settings import RelabellingSettings
from adapt.correction.train import (
    NoisyTraining,
    build_labels,
    choose_curve,
    describe_noisy_labels,
)
from adapt.data.cache import ImageCache
from adapt.data.catalog import describe_dataset
from adapt.data.class_statistics import class_statistics
from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.data.size import require_crop_fits, require_equal_sizes
from adapt.errors import SpecError
from adapt.hashing import hash_file
from adapt.model import WeightsOf
from adapt.networks.multi_resolution_config import wrap_multi_resolution
from adapt.noise.class_counts import count_noisy_classes
from adapt.noise.settings import NoiseSettings
from adapt.openmmlab import Hook
from adapt.openmmlab.checkpoint import load_weights
from adapt.openmmlab.model import build_model
from adapt.training.hooks import OnStep
from adapt.training.runner import identify_run, run_training, set_training_size
from adapt.training.sample import LabelledDataset
from adapt.training.settings import TrainSettings
from adapt.training.validation import Validate, Validation, describe_validation
from adapt.uda.entropy_minimisation import EntropyMinimisation
from adapt.uda.pairs import DomainPairs, RareClassDataset, UnlabelledTarget
from adapt.uda.pictures import SavePictures
from adapt.uda.self_training import SelfTraining
from adapt.uda.settings import MinEntSettings, SelfTrainingSettings, UdaSettings


@dataclass(frozen=True)
class Adapted:
    """What an adaptation gives.

    Attributes:
        network: In eval mode.
        noisy: What became of noisy source labels; None where the labels are taken as they are.
        looks: (iteration, mIoU) of the validation; empty without one.
    """

    network: nn.Module
    noisy: NoisyTraining | None = None
    looks: tuple[tuple[int, float], ...] = ()


def configure_network(model_config: Mapping[str, Any], uda: UdaSettings) -> dict[str, Any]:
    """Turn a network's config into the one that a method trains: HRDA's two resolutions around it, or itself.

    Args:
        model_config: What `resolve_config` returned.
        uda: The method.

    Returns:
        The config of the network that `train_uda` returns.
    """
    config = dict(model_config)
    parts = getattr(uda, "multi_resolution", None)
    return config if parts is None or config["type"] == "MultiResolution" else wrap_multi_resolution(config, parts)


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
    cache: ImageCache | None = None,
    pictures: Path | None = None,
    noise: NoiseSettings | None = None,
    correction: RelabellingSettings | None = None,
    validation: Validation | None = None,
) -> Adapted:
    """Adapt a network to the target; go on where an interrupted run of the same kind stopped.

    Args:
        model_config: What `resolve_config` returned; see `configure_network`.
        source_frames: Source frames, all with labels.
        source: The settings they were listed with.
        target_frames: Target frames; their labels are never opened but to score pseudo-labels where that is asked for.
        target: The settings they were listed with.
        settings: The run; a crop is needed, and `batch_size` counts images of each domain.
        uda: The method.
        seed: Decides initial weights, order, augmentation, mixing and drop-out.
        workdir: Holds the resume point and the log.
        on_step: Called with (iteration from 1, metrics): the method's own scalars, the learning rates, times, and what the
            method's monitor counted; see `Report` and `Monitor`.
        weights: A checkpoint that student and teacher start from, or None.
        weights_of: What that checkpoint holds.
        class_counts: (N, K) pixels of each class in each source frame, for rare class sampling; counted when None.
        workers: Loader processes; the result does not depend on it.
        device: What to train on; None is the CPU, also where a GPU is visible.
        cache: Keeps decoded images, or None.
        pictures: A folder for debug pictures every `settings.picture_interval` iterations, or None.
        noise: Made in the source's labels as they are read; None takes them as they are.
        correction: What is done about wrong labels of the source, without consistency: the student trains on the single scale.
        validation: Looked at while the network trains, with the one that `uda.evaluate_with` names; nothing depends on it.

    Returns:
        The network that `uda.evaluate_with` names, in eval mode, on `device`; and what became of noisy labels.

    Raises:
        SpecError: There is no crop, it does not fit the images, the feature distance has no ImageNet weights to refer to, or
            the network cannot be trained by this method.
        PrerequisiteError: A file cannot be read.
        TaskError: A loss or a parameter is not finite.
    """
    if settings.augment.crop is None:
        raise SpecError(
            "The training settings have `augment.crop: null`, but self-training mixes source and target images of one "
            "size. Set `augment.crop` to (width, height), such as [512, 512]."
        )
    require_reference(uda, weights, weights_of)
    for frames, dataset in ((source_frames, source), (target_frames, target)):
        require_crop_fits(frames[0], dataset, settings.augment.crop)
    config = configure_network(model_config, uda)
    identity = {
        "method": uda.model_dump(mode="json", exclude={"evaluate_with", "score_pseudo_labels"}),
        "model": config,
        "weights": hash_file(weights) if weights is not None else None,
        "source": {"frames": [frame.name for frame in source_frames], "dataset": source.model_dump(mode="json")},
        "target": {"frames": [frame.name for frame in target_frames], "dataset": target.model_dump(mode="json")},
        **describe_noisy_labels(noise, correction=correction),
    }
    if validation is not None:  # its looks are kept with the resume point, so they are part of what a run is
        identity["validation"] = {
            **describe_validation(validation),
            "evaluate_with": getattr(uda, "evaluate_with", "student"),
        }
    labels, counts = None, None
    classes = describe_dataset(source).classes
    progress = Progress(len(source_frames), settings.batch_size * settings.accumulate)
    if noise is not None or correction is not None:
        require_equal_sizes(source_frames)
        if correction is not None and correction.consistency is not None:
            raise SpecError(
                "`correction.consistency` is a loss over scales, but in an adaptation the student trains on the single "
                "scale. Set `correction.consistency: null`."
            )
        check_correction(correction, settings.iterations, progress.frames, progress.per_iteration)
        check_occurrence(noise, correction, source_frames, source)
        run = identify_run(settings, seed, identity)
        labels = build_labels(source, noise, correction, progress, source_frames, workdir, run, cache)
        counts = LabelCounts(len(classes), choose_curve(correction, progress).against)
    labelled: Dataset[dict[str, Any]]
    if uda.rare_class is None:
        labelled = LabelledDataset(source_frames, source, settings.augment, seed, cache, labels)
    else:
        pixels = count_source_classes(source_frames, source, noise) if class_counts is None else class_counts
        labelled = RareClassDataset(
            source_frames, source, settings.augment, seed, uda.rare_class, pixels, cache, labels
        )
    margins, with_labels = (0, 0, 0, 0), False
    if isinstance(uda, SelfTrainingSettings):
        margins, with_labels = uda.image_margins, uda.score_pseudo_labels
    unlabelled = UnlabelledTarget(target_frames, target, settings.augment, seed, margins, with_labels, cache)
    student = build_model(config, seed)
    if weights is not None:
        load_weights(student, weights, weights_of)
    set_training_size(student, settings.augment.crop)
    model: SelfTraining | EntropyMinimisation
    hooks: list[Hook] = []
    if isinstance(uda, MinEntSettings):
        model = EntropyMinimisation(student, uda, classes, counts)
    else:
        model = SelfTraining(student, uda, seed, classes, counts)
        if pictures is not None and settings.picture_interval:
            hooks.append(SavePictures(pictures, settings.picture_interval, describe_dataset(source).palette))
    follow = None
    if labels is not None and counts is not None:
        curve = choose_curve(correction, progress)
        follow = FollowLabels(
            student, counts, source_frames, labels, correction, curve.point_iterations, classes, on_step
        )
        hooks.append(follow)
    learner: Any = model
    network = learner.teacher if getattr(uda, "evaluate_with", "student") == "teacher" else learner.student
    validate = None if validation is None else Validate(network, validation, on_step)
    if validate is not None:
        hooks.append(validate)
    samples = DomainPairs(labelled, unlabelled)
    run_training(model, samples, settings, seed, workdir, on_step, model.metrics, identity, workers, device, hooks)
    looks = () if validate is None else tuple(validate.history)
    if follow is None or labels is None:
        return Adapted(network, looks=looks)
    return Adapted(network, NoisyTraining(network, follow.history, looks, labels), looks)


def count_source_classes(
    frames: Sequence[Frame], source: DatasetSettings, noise: NoiseSettings | None, workers: int = 1
) -> NDArray[np.int64]:
    """Count the class pixels of source labels, with the noise in them: (N, K) int64."""
    if noise is None:
        return class_statistics(frames, source, workers).counts
    return count_noisy_classes(frames, source, noise, workers)


def require_reference(uda: UdaSettings, weights: object, weights_of: WeightsOf) -> None:
    """Refuse an ImageNet feature distance whose model does not start from the weights of a backbone.

    Args:
        uda: The method.
        weights: What the model starts from, or None.
        weights_of: What these weights are of.

    Raises:
        SpecError: The feature distance needs an explicit choice.
    """
    distance = getattr(uda, "feature_distance", None)
    if distance is None or distance.reference == "start" or (weights is not None and weights_of == "backbone"):
        return
    raise SpecError(
        "method.feature_distance keeps the backbone near its ImageNet features, but the model does not start from the weights "
        "of a backbone. Give it such weights (`weights: FILE`, `weights_of: backbone`), or choose `feature_distance: null` "
        "(none), or `feature_distance: {reference: start}` (near whatever it starts from)."
    )
