"""Settings of the methods: what an experiment file may say about them; free of torch for the planner.

Learning rates explain most published gains: sweep them on a held-out stream (`search`), never on the stream reported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal, Self

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, model_validator

from adapt.settings import Settings

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Momentum = Annotated[float, Field(ge=0.0, lt=1.0)]
Unit = Literal["image", "pixel"]

Supply = Literal["auxiliary", "styles", "fisher"]
"""What a stream stage hands to a method: an output of another stage, under this key."""


class SourceSettings(Settings):
    """The source model as it came: nothing is updated."""

    name: Literal["source"] = "source"


class BnStatsSettings(Settings):
    """BatchNorm uses the statistics of the test batch: nothing is updated."""

    name: Literal["bn_stats"] = "bn_stats"


class BnAlphaSettings(Settings):
    """BatchNorm blends the source's statistics with those of the test batch: nothing is updated.

    Attributes:
        alpha: weight of the test batch's statistics; 0.1 is the value of the published code.
    """

    name: Literal["bn_alpha"] = "bn_alpha"
    alpha: Share = 0.1


class BnEmaSettings(Settings):
    """BatchNorm's running statistics follow the stream.

    Attributes:
        momentum: weight of a new batch in the running statistics.
    """

    name: Literal["bn_ema"] = "bn_ema"
    momentum: Annotated[float, Field(gt=0.0, le=1.0)] = 0.1


class BnTrainSettings(Settings):
    """The whole model in train mode, dropout included: `BN Stats Adapt` of published Cityscapes -> ACDC tables."""

    name: Literal["bn_train"] = "bn_train"


class OptimizedSettings(Settings):
    """What every method with an optimiser may be told.

    Attributes:
        optimizer: `adam` (betas 0.9 and 0.999) or `sgd` (no Nesterov); neither decays weights.
        lr: 7.5e-6 is the value used with Adam on Cityscapes -> ACDC (qinenergy/cotta).
        momentum: of SGD; Adam does not read it.
        batch_norm: whose statistics BatchNorm uses while the method runs: the test batch's or the source's.
    """

    optimizer: Literal["adam", "sgd"] = "adam"
    lr: PositiveFloat = 7.5e-6
    momentum: Momentum = 0.9
    batch_norm: Literal["batch", "source"] = "batch"


class TentSettings(OptimizedSettings):
    """Entropy minimisation over the affine parameters of the normalisation layers."""

    name: Literal["tent"] = "tent"


class PseudoLabelSettings(OptimizedSettings):
    """Cross-entropy to the own argmax: `Tent` of published Cityscapes -> ACDC tables."""

    name: Literal["pseudo_label"] = "pseudo_label"


class EtaSettings(OptimizedSettings):
    """Entropy minimisation on reliable and diverse predictions only (EATA without its anchor).

    Attributes:
        margin: a prediction is reliable when its entropy is below margin * ln K: 0.05 for the mean entropy of an image in
            segmentation, 0.4 for classification (mr-eggplant/EATA).
        diversity: it is new when the cosine of its mean probabilities with their moving average is below this (0.75 in
            segmentation, 0.05 on ImageNet).
        ema: how much of the moving average is kept.
        unit: whether the filter judges whole images or single pixels.
    """

    name: Literal["eta"] = "eta"
    margin: PositiveFloat = 0.05
    diversity: PositiveFloat = 0.75
    ema: Share = 0.9
    unit: Unit = "image"


class EataSettings(EtaSettings):
    """ETA with an anchor: parameters that mattered on the source stay near their start.

    Attributes:
        fisher_weight: of sum F (w - w0)^2; 2000 on ImageNet. The stage hands F over: `fisher: ${STAGE.fisher}`.
    """

    name: Literal["eata"] = "eata"  # type: ignore[assignment]  # narrowed on purpose: it tells the two apart
    fisher_weight: NonNegativeFloat = 2000.0


class SarSettings(OptimizedSettings):
    """Sharpness-aware entropy minimisation on reliable predictions, with a reset on collapse.

    Attributes:
        rho: radius of the perturbation.
        margin: a prediction is reliable when its entropy is below margin * ln K.
        unit: whether the filter judges whole images or single pixels.
        ema: how much of the moving average of the loss is kept.
        reset_below: the model goes back to its start when that average falls below this, in nats; made for 1000 classes.
    """

    name: Literal["sar"] = "sar"
    optimizer: Literal["adam", "sgd"] = "sgd"
    lr: PositiveFloat = 2.5e-4
    rho: PositiveFloat = 0.05
    margin: PositiveFloat = 0.4
    unit: Unit = "pixel"
    ema: Share = 0.9
    reset_below: NonNegativeFloat = 0.2


class CottaSettings(OptimizedSettings):
    """A student that learns from the averaged views of its own moving average, and forgets a little at random.

    Attributes:
        ema: how much of the teacher is kept at each step.
        restore: chance of each weight to go back to its start at each step.
        anchor_threshold: the label is a plain view's where the source model (the anchor) is more confident than this, the
            averaged views' elsewhere; 1 leaves the anchor out. 0.69 is for Cityscapes: just under the value that 5 % of its
            pixels stay below (0.74).
        confident_label: where the anchor is confident, the label is its own, or the teacher's on the plain view (paper
            and published code).
        label: the student learns the argmax (`hard`, the published segmentation code) or the probabilities (`soft`, the
            published classification code).
        scales: of the teacher's views.
        flip: whether each view comes mirrored too.
        views_at_once: 2 sends a view and its mirror image through the network together, 1 one by one with less memory;
            the predictions are the same. BatchNorm with batch statistics has them one by one in any case.
    """

    name: Literal["cotta"] = "cotta"
    ema: Share = 0.999
    restore: Share = 0.01
    anchor_threshold: Share = 0.69
    confident_label: Literal["anchor", "teacher"] = "anchor"
    label: Literal["hard", "soft"] = "hard"
    scales: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)] = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0)
    flip: bool = True
    views_at_once: Literal[1, 2] = 2


class MemoSettings(OptimizedSettings):
    """One step on the entropy of the mean prediction over views of the frame, then the prediction, then a reset.

    Attributes:
        views: how many views of a frame, the frame itself included; every second one is mirrored. 8 is ours: each costs
            a forward and a backward pass, and memory for both (64 in the published code, on ImageNet).
        strength: a view's contrast is drawn from 1 +- this, its brightness moves by +- this times the deviation of a
            channel's values; 0.2 is ours.
    """

    name: Literal["memo"] = "memo"
    optimizer: Literal["adam", "sgd"] = "sgd"
    lr: PositiveFloat = 2.5e-4
    views: Annotated[int, Field(ge=2)] = 8
    strength: Share = 0.2


class AuxAdaptSettings(OptimizedSettings):
    """A small network beside the frozen one learns from their joint decision. The defaults are ours.

    Attributes:
        fusion: the decision is the argmax of the sum of logits, or of the mean of probabilities.
        loss_on: cross-entropy of the auxiliary logits alone, or of the fused ones, to that decision.
        aux_scale: size of the auxiliary network's input relative to the main one's; 0.5 in the public implementation.
        update_interval: one update every so many frames, the first frame included.
        update_bn: whether the auxiliary network's BatchNorm, on frames with an update, uses the statistics of the frame
            and its running statistics follow them; it uses its running statistics on all other frames.
    """

    name: Literal["auxadapt"] = "auxadapt"
    optimizer: Literal["adam", "sgd"] = "sgd"
    lr: PositiveFloat = 1.0e-3
    batch_norm: Literal["source"] = "source"  # of the main network, which nothing may change
    fusion: Literal["logits_sum", "prob_mean"] = "logits_sum"
    loss_on: Literal["aux", "fused"] = "fused"
    aux_scale: PositiveFloat = 1.0
    update_interval: PositiveInt = 1
    update_bn: bool = False


ReservoirBase = Annotated[
    TentSettings | PseudoLabelSettings | EtaSettings | EataSettings | SarSettings | CottaSettings,
    Field(discriminator="name"),
]


class ReservoirSettings(Settings):
    """Several adapted models of one base method; each batch is routed to one by its style (ReservoirTTA).

    Attributes:
        base: the method whose models are kept.
        models: at most so many (K).
        threshold: distance in style above which a batch founds a new model; None takes the one measured on the source
            (`styles: ${STAGE.styles}`).
        buffer: so many styles are kept for the clustering (SIZE), int(buffer / models) for each model there is.
        replacement: what gives way in a full buffer: a random entry with the chances of reservoir sampling, the oldest
            (`fifo`), or the newest (`replace`).
        cluster_lr: of AdamW on the centroids.
        cluster_weight_decay: of AdamW on the centroids' distances from the source's mean style.
        initialise: a new model starts as a copy of the one with the highest mutual information on the batch, or of the
            source.
        batch_weights: ours. None leaves BatchNorm to the base method. Otherwise the first model, the source's, keeps the
            source's statistics, and each new one takes that weight of the batch's statistics, out of these, which gives
            the highest mutual information on the batch that founds it, or the smallest of those that come within 0.02
            nats of it: (1.0,) always the batch's, (0.0, 1.0) a choice, more of them a blend. It takes
            the place of the base's `batch_norm`.
        adapt_source: whether the first model, which began as the source, learns from the frames of its cluster, as the
            paper's does. False is ours: what looks like the source needs no adaptation, and entropy spoils it in time.
    """

    name: Literal["reservoir"] = "reservoir"
    base: ReservoirBase = TentSettings()
    models: PositiveInt = 16
    threshold: Annotated[float, Field(gt=0.0)] | None = None
    buffer: PositiveInt = 1024
    replacement: Literal["reservoir", "fifo", "replace"] = "reservoir"
    cluster_lr: PositiveFloat = 1.0e-4
    cluster_weight_decay: NonNegativeFloat = 0.01
    initialise: Literal["mutual_information", "source"] = "mutual_information"
    batch_weights: Annotated[tuple[Share, ...], Field(min_length=1)] | None = None
    adapt_source: bool = True

    @model_validator(mode="after")
    def _check_models(self) -> Self:
        if self.buffer < self.models:
            raise ValueError(
                f"a buffer of {self.buffer} styles leaves none for each of {self.models} models: raise buffer to at least "
                f"{self.models}, or lower models"
            )
        if self.batch_weights is not None and self.base.name == "cotta":
            raise ValueError(
                "batch_weights set the statistics of one network, but the base 'cotta' runs three (student, teacher, "
                "anchor): remove batch_weights and choose cotta's own batch_norm, or take another base"
            )
        return self


RdumbBase = Annotated[
    BnEmaSettings
    | TentSettings
    | PseudoLabelSettings
    | EtaSettings
    | EataSettings
    | SarSettings
    | CottaSettings
    | AuxAdaptSettings
    | ReservoirSettings,
    Field(discriminator="name"),
]


class RdumbSettings(Settings):
    """Any method that learns, back at its start every n frames.

    Attributes:
        base: the method; RDumb's own is ETA.
        n: frames between resets; 50 for segmentation in the literature, 1000 on ImageNet.
    """

    name: Literal["rdumb"] = "rdumb"
    base: RdumbBase = EtaSettings()
    n: PositiveInt = 50


MethodSettings = Annotated[
    SourceSettings
    | BnStatsSettings
    | BnAlphaSettings
    | BnEmaSettings
    | BnTrainSettings
    | TentSettings
    | PseudoLabelSettings
    | EtaSettings
    | EataSettings
    | SarSettings
    | CottaSettings
    | RdumbSettings
    | MemoSettings
    | AuxAdaptSettings
    | ReservoirSettings,
    Field(discriminator="name"),
]


def list_chain(settings: Settings) -> Iterator[Settings]:
    """Go through a method's settings and those of the methods that it wraps, from the outside in."""
    yield settings
    if isinstance(settings, RdumbSettings | ReservoirSettings):
        yield from list_chain(settings.base)


def list_needs(settings: Settings) -> tuple[Supply, ...]:
    """List what a method needs beside the network: keys of the stream stage, in a fixed order."""
    needs: dict[type[Settings], Supply] = {
        AuxAdaptSettings: "auxiliary",
        ReservoirSettings: "styles",
        EataSettings: "fisher",
    }
    return tuple(need for kind, need in needs.items() if any(type(part) is kind for part in list_chain(settings)))


def name_method(settings: Settings) -> str:
    """Name a method with those that it wraps: `tent`, `reservoir(tent)`, `rdumb(reservoir(eta))`."""
    name: str = settings.name  # type: ignore[attr-defined]
    return f"{name}({name_method(settings.base)})" if isinstance(settings, RdumbSettings | ReservoirSettings) else name
