"""What a UDA run may be told beside its training settings; free of torch for the planner."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from adapt.settings import Settings


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


class UdaSettings(Settings):
    """DAFormer's self-training.

    Attributes:
        name: The method.
        ema_alpha: Upper bound of the teacher's averaging weight.
        pseudo_threshold: A pixel is confident when its largest probability reaches this.
        ignore_top: Rows at the top of the crop whose pseudo-labels weigh nothing. 0 is the class default; the paper's
            configuration for 512-high crops uses 15 (a rectification artefact of Cityscapes).
        ignore_bottom: The same at the bottom; 120 in the paper's configuration (the ego car's bonnet).
        rare_class: Rare class sampling, or None for uniform source frames.
        evaluate_with: The network that the run hands on: the student, as in the paper, or its EMA teacher.
    """

    name: Literal["daformer"] = "daformer"
    ema_alpha: float = Field(default=0.999, ge=0, le=1)
    pseudo_threshold: float = Field(default=0.968, ge=0, le=1)
    ignore_top: int = Field(default=0, ge=0)
    ignore_bottom: int = Field(default=0, ge=0)
    rare_class: RareClassSettings | None = RareClassSettings()
    evaluate_with: Literal["student", "teacher"] = "student"
