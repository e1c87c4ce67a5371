"""Conflicts: settings of a training stage that are each valid and cannot hold together, found before anything runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from adapt.correction.settings import CoTeachingSettings
from adapt.errors import SpecError
from adapt.model import ModelSettings
from adapt.noise.class_names import list_named
from adapt.uda.settings import SUPERVISED_METHODS, FeatureDistanceSettings, SelfTrainingSettings
from experiments.schema import TrainStage, UdaStage


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


def list_conflicts(stage: TrainStage | UdaStage, model: ModelSettings, classes: Sequence[str]) -> Iterator[Conflict]:
    """Go through the conflicts of a training stage.

    Args:
        stage: The validated stage.
        model: What it starts from.
        classes: What its network tells apart.

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
    yield from _list_noise(stage, model, classes)
    if isinstance(stage, UdaStage):
        if training.augment.crop is None:
            yield Conflict(
                ("training", "augment", "crop"),
                "an adaptation joins images of two domains in one batch, so it needs one size for both: (width, height), "
                "such as [512, 512], got null.",
            )
        elif isinstance(stage.method, SelfTrainingSettings):
            yield from _list_self_training(stage.method, training.augment.crop, model, len(classes))


def _list_noise(stage: TrainStage | UdaStage, model: ModelSettings, classes: Sequence[str]) -> Iterator[Conflict]:
    training, correction = stage.training, stage.correction
    if stage.noise is not None:
        try:
            list_named(stage.noise, classes)
        except SpecError as error:
            yield Conflict(("noise",), str(error))
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
    rule = getattr(correction, "rule", None)
    if rule is not None and rule.background is not None and rule.background not in classes:
        yield Conflict(
            ("correction", "rule", "background"),
            f"'{rule.background}' is no class of the data. Known: {', '.join(classes)}. Write `null` where there is none.",
        )
    if isinstance(stage, UdaStage) and stage.correction is not None and stage.correction.consistency is not None:
        yield Conflict(
            ("correction", "consistency"),
            "the loss over several scales is for `train`: an adaptation has losses of its own. Write `consistency: null`.",
        )
    curve = getattr(correction, "curve", None)
    if curve is not None and curve.point_iterations is not None:
        needed = curve.min_points * curve.point_iterations
        if training.iterations < needed:
            yield Conflict(
                ("correction", "curve", "point_iterations"),
                f"{curve.min_points} points of {curve.point_iterations} iterations are needed before a class can trigger, but "
                f"the training has {training.iterations} iterations. Lower `point_iterations`, or train longer.",
            )


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
