"""Population based training as a search may be told: its settings, and what of a training may change on the way."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from adapt.settings import Settings

LEAST_POPULATION = 4  # ours: of fewer, a quarter is none

CHANGEABLE = (
    "training.optimizer.lr",
    "training.optimizer.weight_decay",
    "training.optimizer.head_lr_multiplier",
    "training.optimizer.norm_decay_multiplier",
    "method.ema_alpha",
    "method.pseudo_threshold",
    "method.strong_augment.jitter_probability",
    "method.strong_augment.jitter_strength",
    "method.strong_augment.blur_probability",
    "method.rare_class.temperature",
    "method.rare_class.min_pixels",
    "method.rare_class.min_crop_pixels",
    "method.rare_class.max_tries",
    "method.feature_distance.weight",
    "method.feature_distance.min_ratio",
    "method.multi_resolution.detail_weight",
    "method.masked_consistency.ratio",
    "method.masked_consistency.weight",
    "method.entropy_weight",
    "loss.label_smoothing",
    "loss.alpha",
    "loss.beta",
    "loss.log_zero",
    "loss.q",
    "correction.forget_rate",
)
"""Numbers that an iteration reads anew, or that a resume point can be rebased to. The others shape the network, the optimiser,
the schedule or the order of the samples, and a resume point holds what they were."""


class PbtSettings(Settings):
    """Population based training (Jaderberg et al., 2017): the worst go on from the networks of the best, at other settings.

    Attributes:
        interval: iterations between two comparisons.
        quantile: share of the population that is replaced, and by which it is; 0.25 as in Ray Tune, the paper takes 0.2.
        resample: probability that a setting is drawn anew.
        factors: by one of which it is multiplied otherwise, as in the paper; in a list its neighbour is taken.
    """

    name: Literal["pbt"] = "pbt"
    interval: int = Field(gt=0)
    quantile: float = Field(0.25, gt=0, le=0.5)
    resample: float = Field(0.25, ge=0, le=1)
    factors: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = (0.8, 1.2)
