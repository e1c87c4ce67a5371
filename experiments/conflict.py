"""Conflicts: settings of a training stage that are each valid and cannot hold together, found before anything runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from adapt.correction.feasibility import (
    check_correction,
    find_rule_background,
    list_named_classes,
    require_rule_background,
)
from adapt.correction.settings import CoTeachingSettings
from adapt.errors import SpecError
from adapt.model import ModelSettings
from adapt.noise.class_names import list_named, require_present
from adapt.uda.settings import SUPERVISED_METHODS, FeatureDistanceSettings, SelfTrainingSettings
from experiments.binding import Facts
from experiments.schema import TrainStage, UdaStage

BACKGROUND = ("correction", "rule", "background")
NOISE = ("noise",)


class Conflict(NamedTuple):
    """Which key of a stage cannot stay as it is, and why, with the remedies."""

    key: tuple[str, ...]
    text: str


def find_supervised_method(raw: Mapping[str, Any]) -> Conflict | None:
    """Find a supervised training that is asked for as a method of adaptation.

    Args:
        raw: A `uda` stage as its file has it, references filled in.
    """
    method = raw.get("method")
    name = method.get("name") if isinstance(method, Mapping) else method
    if not isinstance(name, str) or name not in SUPERVISED_METHODS:
        return None
    data = "source" if name == "source_only" else "target"
    text = (
        f"'{name}' is supervised training and no adaptation. Write a stage of `kind: train` with `dataset:` the {data}."
    )
    return Conflict(("method",), text)


def list_conflicts(
    stage: TrainStage | UdaStage, model: ModelSettings, classes: Sequence[str], facts: Facts
) -> Iterator[Conflict]:
    """Go through the conflicts of a training stage.

    Args:
        stage: The validated stage.
        model: What it starts from.
        classes: What its network tells apart.
        facts: What is known of its data sets, which were bound.

    Yields:
        Each conflict; none where the stage can run.
    """
    training, gpus = stage.training, stage.resources.gpus
    if training.precision != "fp32" and gpus == 0:
        yield Conflict(
            ("training", "precision"),
            f"{training.precision} is for GPUs, and the stage asks for none. Write `precision: fp32`, or give it "
            "`resources: {gpus: 1}`.",
        )
    if training.workers > 1 and gpus != int(gpus):
        yield Conflict(
            ("resources", "gpus"),
            f"{training.workers} workers need whole GPUs each, got {gpus:g} for each. Write `gpus: 1`, or `workers: 1`.",
        )
    yield from _list_noise(stage, model)
    yield from _list_ineffective(stage, classes, facts)
    if isinstance(stage, UdaStage):
        if training.augment.crop is None:
            yield Conflict(
                ("training", "augment", "crop"),
                "an adaptation joins images of two domains in one batch, so it needs one size for both: (width, height), "
                "such as [512, 512], got null.",
            )
        elif isinstance(stage.method, SelfTrainingSettings):
            yield from _list_self_training(stage.method, training.augment.crop, model, len(classes))


def _list_noise(stage: TrainStage | UdaStage, model: ModelSettings) -> Iterator[Conflict]:
    training, correction = stage.training, stage.correction
    uses_learner = getattr(stage, "loss", None) or getattr(stage, "validation", None) or stage.noise or correction
    if uses_learner and training.workers > 1:
        yield Conflict(
            ("training", "workers"),
            f"noise, loss, correction and validation are for a training of one worker, got {training.workers}. Write "
            "`workers: 1`, and raise `accumulate` for larger batches.",
        )
    if isinstance(correction, CoTeachingSettings) and model.weights is not None and model.weights_of == "network":
        yield Conflict(
            ("correction",),
            "co-teaching needs two networks that start apart, but the model's weights are of a whole network: both would choose "
            "alike. Start from a backbone's weights (`weights_of: backbone`) or from none.",
        )
    if isinstance(stage, UdaStage) and stage.correction is not None and stage.correction.consistency is not None:
        yield Conflict(
            ("correction", "consistency"),
            "the loss over several scales is for `train`: an adaptation has losses of its own. Write `consistency: null`.",
        )


def _list_ineffective(stage: TrainStage | UdaStage, classes: Sequence[str], facts: Facts) -> Iterator[Conflict]:
    """Go through the classes that there are not, and what would do nothing, as far as the data is known."""
    training, noise, correction = stage.training, stage.noise, stage.correction
    name = stage.dataset if isinstance(stage, TrainStage) else stage.source
    unknown = list(_check(BACKGROUND, partial(find_rule_background, correction, classes)))
    if noise is not None:
        unknown += _check(NOISE, partial(list_named, noise, classes))
    yield from unknown
    known = facts.find_class_pixels(name) if not unknown and list_named_classes(noise, correction, classes) else None
    if known is not None:
        labels = f"data set '{name}' (says {known.file}: where it is wrong, delete it)"
        if noise is not None:
            yield from _check(NOISE, partial(require_present, noise, classes, known.pixels, labels))
        yield from _check(BACKGROUND, partial(require_rule_background, correction, classes, known.pixels, labels))
    frames = None if correction is None else facts.count_frames(name)
    if frames is not None:
        per_iteration = training.batch_size * training.accumulate
        yield from _check(
            ("correction",), partial(check_correction, correction, training.iterations, frames, per_iteration)
        )


def _check(key: tuple[str, ...], check: Callable[[], object]) -> Iterator[Conflict]:
    """Yield the conflict that a check finds, if it does."""
    try:
        check()
    except SpecError as error:
        yield Conflict(key, str(error))


def _list_self_training(
    method: SelfTrainingSettings, crop: tuple[int, int], model: ModelSettings, class_count: int
) -> Iterator[Conflict]:
    width, height = crop
    if method.ignore_top + method.ignore_bottom >= height:
        yield Conflict(
            ("method", "ignore_bottom" if method.ignore_bottom else "ignore_top"),
            f"ignore_top {method.ignore_top} and ignore_bottom {method.ignore_bottom} leave nothing of a crop that is "
            f"{height} high. Lower them, or enlarge `training.augment.crop`.",
        )
    parts = method.multi_resolution
    if parts is not None and (parts.detail_crop[0] > width or parts.detail_crop[1] > height):
        yield Conflict(
            ("method", "multi_resolution", "detail_crop"),
            f"the detail crop {list(parts.detail_crop)} does not fit into the training crop {list(crop)}. "
            "Lower it, or enlarge `training.augment.crop`.",
        )
    if parts is not None and (width % parts.offset_multiple or height % parts.offset_multiple):
        yield Conflict(
            ("training", "augment", "crop"),
            f"two resolutions need a crop in multiples of multi_resolution.offset_multiple, {parts.offset_multiple}, got "
            f"{list(crop)}.",
        )
    if method.feature_distance is not None:
        yield from _list_feature_distance(method.feature_distance, model, class_count)


def _list_feature_distance(
    distance: FeatureDistanceSettings, model: ModelSettings, class_count: int
) -> Iterator[Conflict]:
    if distance.reference == "imagenet" and (model.weights is None or model.weights_of != "backbone"):
        yield Conflict(
            ("method", "feature_distance"),
            "it keeps the backbone near its ImageNet features, but the model does not start from the weights of a backbone. "
            "Give the model such weights (`weights: FILE`, `weights_of: backbone`), or write `feature_distance: null` (none), "
            "or `feature_distance: {reference: start}` (near whatever it starts from).",
        )
    outside = [index for index in distance.classes if not 0 <= index < class_count]
    if outside:
        yield Conflict(
            ("method", "feature_distance", "classes"),
            f"the data has the train ids 0 to {class_count - 1}, not {', '.join(map(str, outside))}. List its things, or "
            "write `feature_distance: null`.",
        )
