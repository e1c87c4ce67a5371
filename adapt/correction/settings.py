"""What a training on noisy labels does about them; free of torch for the planner."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from adapt.settings import Settings

Share = Annotated[float, Field(ge=0.0, le=1.0)]
Scales = Annotated[tuple[Annotated[float, Field(ge=0.1, le=4.0)], ...], Field(min_length=1)]


class CurveSettings(Settings):
    """When a class is taken to begin to memorise: the fit of its training IoU and the slope that triggers.

    Attributes:
        point_iterations: iterations whose pixels make one point of the curves (VOC: 100); None is a whole epoch (SegTHOR).
        epochs: the fitted slope is compared with its start at 1 .. this many epochs.
        threshold: r, the relative change of the slope at which a class triggers.
        max_evaluations: of scipy's curve_fit.
        min_points: fewer finite points are not fitted [ours; the reference fits 1 and triggers at once].
        against: the label that the IoU is measured against: as it came, or as it is corrected so far (SegTHOR).
    """

    point_iterations: Annotated[int, Field(gt=0)] | None = 100
    epochs: Annotated[int, Field(gt=0)] = 15
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.9
    max_evaluations: Annotated[int, Field(gt=0)] = 10000
    min_points: Annotated[int, Field(ge=3)] = 4
    against: Literal["original", "corrected"] = "original"


class RuleSettings(Settings):
    """Which pixels of a label are corrected.

    Attributes:
        name: `single` (VOC): the predicted class has triggered, and occurs in the image's label; `both` (SegTHOR): the
            old and the new class have triggered.
        confidence: of the prediction, above which a pixel may change; 0.8 for `single`, 0.7 for `both` in the paper's code.
        background: a class that counts as triggered from the start, and around which `single` protects the foreground;
            None in data sets that have none (street scenes).
        min_foreground: `single` takes an image's corrections back where they would leave less than this share of its
            foreground and more than `max_background` of the image background.
        max_background: see `min_foreground`.
        from_original: whether each correction starts from the label as it came (`reinit` of the published command) or goes
            on from the corrected one.
        every: so many epochs lie between corrections (VOC 1, SegTHOR 10).
    """

    name: Literal["single", "both"] = "single"
    confidence: Share = 0.8
    background: str | None = None
    min_foreground: Share = 0.5
    max_background: Share = 0.95
    from_original: bool = True
    every: Annotated[int, Field(gt=0)] = 1


class ConsistencySettings(Settings):
    """Agreement of the predictions at several scales.

    Attributes:
        scales: of the image; 0.7, 1, 1.5 in the published README.
        weights: of the scales: `learned` (softmax of parameters that start equal) or `fixed` (all equal).
        weight: of the consistency beside the cross-entropies.
        confidence: an image takes part if its mean prediction is this sure anywhere.
        mean: whether cross-entropies and consistency are divided by the number of scales (SegTHOR) or summed (VOC).
    """

    scales: Scales = (0.7, 1.0, 1.5)
    weights: Literal["learned", "fixed"] = "learned"
    weight: Annotated[float, Field(ge=0.0)] = 1.0
    confidence: Share = 0.8
    mean: bool = False

    @model_validator(mode="after")
    def _check_scales(self) -> ConsistencySettings:
        if 1.0 not in self.scales:
            raise ValueError("`scales` must hold 1.0: the curves of training IoU are those of the single scale")
        return self


class AdeleSettings(Settings):
    """ADELE: per-class detection of memorisation, correction of labels, multi-scale consistency.

    Attributes:
        curve: the detection.
        rule: the correction.
        consistency: the loss over scales; None trains on the single scale.
        scales: at which the image is predicted for correction (0.75, 1, 1.5 in the published code).
        flip: whether it is predicted mirrored as well.
        temperature: the mean logits are divided by this; None: by the number of the consistency's scales (3 as published,
            since the weight of each is about 1/3 in training), or by 1 without it.
    """

    name: Literal["adele"] = "adele"
    curve: CurveSettings = CurveSettings()
    rule: RuleSettings = RuleSettings()
    consistency: ConsistencySettings | None = ConsistencySettings()
    scales: Scales = (0.75, 1.0, 1.5)
    flip: bool = False
    temperature: Annotated[float, Field(gt=0.0)] | None = None


class SelfCorrectionSettings(Settings):
    """Correction of all classes from one epoch on, without detection: what ADELE's detection is worth [a baseline].

    Attributes:
        epoch: the first epoch at whose end labels are corrected, from 1.
        rule, consistency, scales, flip, temperature: as of `AdeleSettings`.
    """

    name: Literal["self_correction"] = "self_correction"
    epoch: Annotated[int, Field(gt=0)]
    rule: RuleSettings = RuleSettings()
    consistency: ConsistencySettings | None = ConsistencySettings()
    scales: Scales = (0.75, 1.0, 1.5)
    flip: bool = False
    temperature: Annotated[float, Field(gt=0.0)] | None = None


class CoTeachingSettings(Settings):
    """Two networks, each taught with the pixels on which the other one's loss is small (co-teaching, NeurIPS 2018).

    Attributes:
        forget_rate: the share of pixels that is left out in the end: the rate of the noise, as far as it is known.
        warmup_epochs: over which that share grows from 0, linearly.
    """

    name: Literal["co_teaching"] = "co_teaching"
    forget_rate: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.2
    warmup_epochs: Annotated[float, Field(gt=0.0)] = 10.0


RelabellingSettings = Annotated[AdeleSettings | SelfCorrectionSettings, Field(discriminator="name")]
"""What changes the labels that are learnt."""

CorrectionSettings = Annotated[AdeleSettings | SelfCorrectionSettings | CoTeachingSettings, Field(discriminator="name")]


class CrossEntropySettings(Settings):
    """Plain cross-entropy, or with smoothed labels.

    Attributes:
        label_smoothing: the share of a label that is spread over all classes.
    """

    name: Literal["cross_entropy"] = "cross_entropy"
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0


class SymmetricSettings(Settings):
    """Symmetric cross-entropy (ICCV 2019): alpha * CE + beta * reverse CE.

    Attributes:
        alpha, beta: 0.1 and 1 as for CIFAR-10 in the paper.
        log_zero: A, what stands for log 0 of a one-hot label; -4 in the paper.
    """

    name: Literal["symmetric"] = "symmetric"
    alpha: Annotated[float, Field(ge=0.0)] = 0.1
    beta: Annotated[float, Field(ge=0.0)] = 1.0
    log_zero: Annotated[float, Field(lt=0.0)] = -4.0


class GeneralisedSettings(Settings):
    """Generalised cross-entropy (NeurIPS 2018): (1 - p^q) / q.

    Attributes:
        q: 0 is cross-entropy, 1 the mean absolute error; 0.7 in the paper.
    """

    name: Literal["generalised"] = "generalised"
    q: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7


LossSettings = Annotated[CrossEntropySettings | SymmetricSettings | GeneralisedSettings, Field(discriminator="name")]
