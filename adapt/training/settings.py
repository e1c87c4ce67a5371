"""What a training run may be told: optimiser, schedule, augmentation and length; free of torch for the planner."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapt.settings import Settings

PRACTICAL_SETTINGS = {"checkpoint_interval", "log_interval", "picture_interval"}
"""Fields of `TrainSettings` that change nothing about the result: no part of a task's identity or of a resume point's."""

Precision = Literal["fp32", "bf16", "fp16"]


class OptimizerSettings(Settings):
    """The optimiser and the groups that its parameters fall into.

    The defaults are DAFormer's: AdamW, lr 6e-5, betas (0.9, 0.999), weight decay 0.01, decode head lr x10, no decay of
    norm layers (`configs/_base_/schedules/adamw.py` and `configs/_base_/uda/*` of lhoyer/DAFormer).

    Attributes:
        type: `adamw` or `sgd`.
        lr: Learning rate of the backbone after warm-up.
        betas: AdamW's two decay rates; SGD ignores them.
        weight_decay: Decay of every parameter outside the norm layers.
        momentum: SGD's momentum; 0.9 is mmseg's `schedule_40k.py`. AdamW ignores it.
        head_lr_multiplier: Factor on `lr` for decode and auxiliary heads.
        norm_decay_multiplier: Factor on `weight_decay` for norm layers.
    """

    type: Literal["adamw", "sgd"] = "adamw"
    lr: float = Field(default=6e-5, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = Field(default=0.01, ge=0)
    momentum: float = Field(default=0.9, ge=0, lt=1)
    head_lr_multiplier: float = Field(default=10.0, gt=0)
    norm_decay_multiplier: float = Field(default=0.0, ge=0)


class ScheduleSettings(Settings):
    """Linear warm-up times polynomial decay to zero, as in DAFormer (`poly_lr_with_warmup`: 1500, 1e-6, power 1).

    Attributes:
        warmup_iterations: Length of the warm-up; 0 turns it off.
        warmup_ratio: Factor on the learning rate at iteration 0.
        power: Exponent of the polynomial decay.
    """

    warmup_iterations: int = Field(default=1500, ge=0)
    warmup_ratio: float = Field(default=1e-6, gt=0, le=1)
    power: float = Field(default=1.0, ge=0)


class AugmentSettings(Settings):
    """Random crop and flip.

    Attributes:
        crop: (width, height) in pixels of the (resized) image, or None for the whole image. 512x512 is DAFormer's.
        flip: Probability of a left-right flip.
        cat_max_ratio: A crop in which one class covers this share or more is drawn again, ten times at most (mmseg's
            `RandomCrop`). Used where labels are known, never on a target domain. 1.0 turns it off.
    """

    crop: tuple[int, int] | None = (512, 512)
    flip: float = Field(default=0.5, ge=0, le=1)
    cat_max_ratio: float = Field(default=0.75, gt=0, le=1)


class TrainSettings(Settings):
    """One training run.

    An iteration is one optimiser step on `batch_size * accumulate * workers` images of each domain.

    Attributes:
        iterations: Optimiser steps in all.
        batch_size: Images of each domain that one worker computes on at a time.
        accumulate: Batches of each worker whose gradients one step averages: a large batch in the memory of a small one.
            Batch norms see each batch alone.
        workers: Processes that train one network together; Ray Train starts them. Batch norms and self-training see the
            images of all workers as one batch.
        precision: What forward passes compute in; weights and optimiser stay float32. `bf16` and `fp16` are for GPUs:
            on CPUs they run too, but seldom faster.
        compile: Whether torch compiles the backbone: minutes at the start for faster steps.
        channels_last: Whether images and features lie in memory pixel by pixel, which GPUs like in half precision.
        optimizer: See `OptimizerSettings`.
        schedule: See `ScheduleSettings`.
        augment: See `AugmentSettings`.
        checkpoint_interval: Iterations between two resume points.
        log_interval: Iterations between two calls of `on_step`; 50 is DAFormer's.
        picture_interval: Iterations between two pictures of what a method trains on; 0 draws none.
    """

    iterations: int = Field(default=40_000, gt=0)
    batch_size: int = Field(default=2, gt=0)
    accumulate: int = Field(default=1, gt=0)
    workers: int = Field(default=1, gt=0)
    precision: Precision = "fp32"
    compile: bool = False
    channels_last: bool = False
    optimizer: OptimizerSettings = OptimizerSettings()
    schedule: ScheduleSettings = ScheduleSettings()
    augment: AugmentSettings = AugmentSettings()
    checkpoint_interval: int = Field(default=1000, gt=0)
    log_interval: int = Field(default=50, gt=0)
    picture_interval: int = Field(default=0, ge=0)
