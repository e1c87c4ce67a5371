"""What a UDA run may be told beside its training settings; free of torch for the planner.

A method's name chooses its defaults; every part can be changed or left out, so an ablation is one line.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, model_validator

from adapt.settings import Settings

THING_CLASSES = (6, 7, 11, 12, 13, 14, 15, 16, 17, 18)
"""Train ids of the Cityscapes classes that DAFormer's feature distance counts as things."""

# What crops of 1024 instead of 512 change: lhoyer/HRDA's margins and `min_crop_ratio` 2.0 * 3000, lhoyer/MIC's blocks.
HRDA_MARGINS = (30, 240, 30, 30)
HRDA_MIN_CROP_PIXELS = 6000
HRDA_BLOCK = 64

SUPERVISED_METHODS = ("source_only", "oracle")
"""What a user may look for among the methods: both are supervised, that is `train` stages (on the source, the target)."""


class RareClassSettings(Settings):
    """Rare class sampling of source frames (DAFormer, section 3.3; the constants are its configuration's).

    Attributes:
        temperature: T of P(c) = softmax((1 - f_c) / T).
        min_pixels: A frame qualifies for a class with more pixels than this, at label resolution.
        min_crop_pixels: A crop is accepted with more pixels of the drawn class than this.
        max_tries: Further crops of the same frame before the last one is taken as it is.
    """

    temperature: float = Field(default=0.01, gt=0)
    min_pixels: int = Field(default=3000, ge=0)
    min_crop_pixels: int = Field(default=1500, ge=0)
    max_tries: int = Field(default=10, ge=0)


class StrongAugmentSettings(Settings):
    """Colour jitter and blur of the mixed image (lhoyer/DAFormer, `configs/_base_/uda/dacs.py`).

    Attributes:
        jitter_probability: Share of the batches whose colours are jittered.
        jitter_strength: Half-width of the ranges of brightness, contrast, saturation and hue.
        blur_probability: Share of the batches that are blurred.
        blur_sigma: Range of the Gaussian's standard deviation, in pixels.
    """

    jitter_probability: float = Field(default=0.8, ge=0, le=1)
    jitter_strength: float = Field(default=0.2, ge=0, le=0.5)
    blur_probability: float = Field(default=0.5, ge=0, le=1)
    blur_sigma: tuple[float, float] = (0.15, 1.15)

    @model_validator(mode="after")
    def _check_sigma(self) -> StrongAugmentSettings:
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise ValueError("`blur_sigma` is (smallest, largest), both above 0")
        return self


class FeatureDistanceSettings(Settings):
    """Distance of the student's deepest features from those of a frozen copy of its first backbone (DAFormer, section 3.3).

    Attributes:
        weight: Factor of the loss.
        classes: Train ids of the pixels that count.
        min_ratio: A feature's cell counts when one class covers at least this share of it.
        stage: Index of the backbone's output; -1 is the deepest of a classification backbone.
        reference: `imagenet` demands that the model starts from backbone weights; `start` takes whatever it starts from.
    """

    weight: float = Field(default=0.005, gt=0)
    classes: tuple[int, ...] = THING_CLASSES
    min_ratio: float = Field(default=0.75, gt=0, le=1)
    stage: int = -1
    reference: Literal["imagenet", "start"] = "imagenet"


class MultiResolutionSettings(Settings):
    """HRDA's two crops and their fusion (HRDA, ECCV 2022, sections 3.1 to 3.3).

    Attributes:
        detail_crop: (width, height) of the high-resolution crop; the context is the whole training crop at `context_scale`.
        context_scale: Factor on the context's size.
        detail_weight: Weight of the detail crop's own loss; the fused prediction has 1 minus this.
        offset_multiple: Detail crops begin at multiples of this, in pixels.
        attention_channels: Width of the scale attention's head.
        window: (width, height) of the window that slides over a test image, by half its size; None takes the image whole.
    """

    detail_crop: tuple[int, int] = (512, 512)
    context_scale: float = Field(default=0.5, gt=0, le=1)
    detail_weight: float = Field(default=0.1, ge=0, lt=1)
    offset_multiple: int = Field(default=8, gt=0)
    attention_channels: int = Field(default=256, gt=0)
    window: tuple[int, int] | None = (1024, 1024)


class MaskedConsistencySettings(Settings):
    """MIC's masked target images (MIC, CVPR 2023, section 3.2).

    Attributes:
        block: Side of a masked block in pixels: 32 for crops of 512, 64 for crops of 1024.
        ratio: Share of the blocks that is masked.
        weight: Factor of the loss.
    """

    block: int = Field(default=32, gt=0)
    ratio: float = Field(default=0.7, gt=0, lt=1)
    weight: float = Field(default=1.0, gt=0)


class SelfTrainingSettings(Settings):
    """Self-training with an EMA teacher; the methods below differ in their defaults alone.

    Attributes:
        ema_alpha: Upper bound of the teacher's averaging weight; 0 makes the teacher the student itself.
        pseudo_threshold: A pixel is confident when its largest probability reaches this.
        ignore_top: Rows at the top of the crop whose pseudo-labels weigh nothing; the paper's configuration for 512-high
            crops uses 15 (a rectification artefact of Cityscapes).
        ignore_bottom: The same at the bottom; 120 in the paper's configuration (the ego car's bonnet).
        image_margins: (top, bottom, left, right) pixels of the whole target image, at its training size, whose pseudo-labels
            weigh nothing, wherever the crop lies; HRDA's way.
        mix: `class_mix` pastes half of the source's classes on the target; `none` learns from the target as it is.
        strong_augment: Colour jitter and blur of the images that are learnt with pseudo-labels, or None.
        rare_class: Rare class sampling, or None for uniform source frames.
        feature_distance: Distance to the first backbone's features, or None.
        multi_resolution: HRDA's crops and scale attention, or None for one resolution.
        masked_consistency: MIC's masked images, or None.
        evaluate_with: The network that the run hands on: the student, as in the papers, or its EMA teacher.
        score_pseudo_labels: Report the IoU of the pseudo-labels per class. This alone opens target labels, and nothing that is
            learnt depends on them.
    """

    ema_alpha: float = Field(default=0.999, ge=0, le=1)
    pseudo_threshold: float = Field(default=0.968, ge=0, le=1)
    ignore_top: int = Field(default=0, ge=0)
    ignore_bottom: int = Field(default=0, ge=0)
    image_margins: tuple[int, int, int, int] = (0, 0, 0, 0)
    mix: Literal["class_mix", "none"] = "class_mix"
    strong_augment: StrongAugmentSettings | None = StrongAugmentSettings()
    rare_class: RareClassSettings | None = None
    feature_distance: FeatureDistanceSettings | None = None
    multi_resolution: MultiResolutionSettings | None = None
    masked_consistency: MaskedConsistencySettings | None = None
    evaluate_with: Literal["student", "teacher"] = "student"
    score_pseudo_labels: bool = False


class _DaformerDefaults(SelfTrainingSettings):
    """What DAFormer adds to DACS, and HRDA and MIC keep."""

    rare_class: RareClassSettings | None = RareClassSettings()
    feature_distance: FeatureDistanceSettings | None = FeatureDistanceSettings()


class DacsSettings(SelfTrainingSettings):
    """DACS (Tranheden et al., WACV 2021): mixing and self-training without the rest; EMA 0.99."""

    name: Literal["dacs"] = "dacs"
    ema_alpha: float = Field(default=0.99, ge=0, le=1)


class DaformerSettings(_DaformerDefaults):
    """DAFormer (CVPR 2022): DACS with a slower teacher, rare class sampling and the ImageNet feature distance."""

    name: Literal["daformer"] = "daformer"


class HrdaSettings(_DaformerDefaults):
    """HRDA (ECCV 2022): DAFormer on two resolutions; crops are twice as large, hence `min_crop_pixels` 2.0 * 3000."""

    name: Literal["hrda"] = "hrda"
    rare_class: RareClassSettings | None = RareClassSettings(min_crop_pixels=HRDA_MIN_CROP_PIXELS)
    multi_resolution: MultiResolutionSettings | None = MultiResolutionSettings()
    image_margins: tuple[int, int, int, int] = HRDA_MARGINS


class MicSettings(_DaformerDefaults):
    """MIC (CVPR 2023): masked image consistency over DAFormer; over HRDA, with its defaults, where `multi_resolution` is given."""

    name: Literal["mic"] = "mic"
    masked_consistency: MaskedConsistencySettings | None = MaskedConsistencySettings()

    @model_validator(mode="before")
    @classmethod
    def _default_to_hrda(cls, raw: Any) -> Any:
        """Fill in what HRDA's larger crops change, where it is not given."""
        if not isinstance(raw, dict) or raw.get("multi_resolution") is None:
            return raw
        filled = {"image_margins": HRDA_MARGINS, **raw}
        for part, key, value in (
            ("rare_class", "min_crop_pixels", HRDA_MIN_CROP_PIXELS),
            ("masked_consistency", "block", HRDA_BLOCK),
        ):
            given = filled.get(part, {})
            if isinstance(given, dict):
                filled[part] = {key: value, **given}
        return filled


class MinEntSettings(Settings):
    """Direct entropy minimisation on the target (Vu et al., ADVENT, CVPR 2019, section 3.1).

    Attributes:
        entropy_weight: Factor of the target's mean normalised entropy; 0.001 is the paper's.
        rare_class: Rare class sampling, or None for uniform source frames, as in the paper.
    """

    name: Literal["minent"] = "minent"
    entropy_weight: float = Field(default=0.001, gt=0)
    rare_class: RareClassSettings | None = None


UdaSettings = Annotated[
    DaformerSettings | HrdaSettings | MicSettings | DacsSettings | MinEntSettings, Discriminator("name")
]
