"""What a miniature contains: its seed, its image size and how many frames each part holds."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from adapt.settings import Settings

VERSION = 1
"""Raised whenever the same settings may give other pixels; a folder of another version is not reused."""

Count = Annotated[int, Field(ge=0)]
Side = Annotated[int, Field(ge=32, le=4096)]


class MiniatureSettings(Settings):
    """The miniature that `write_miniature` writes; every frame is a function of `seed`, its split and its index.

    Attributes:
        seed: Seed of every scene.
        size: (width, height) of the frames in pixels; scenes are composed for 2:1.
        source_train: Frames of root/gta, and as many of root/synthia.
        target_train: Frames of root/cityscapes, split train.
        target_val: Frames of root/cityscapes, split val.
        acdc_per_condition: Frames of each ACDC condition in each of the splits train and val.
        clip_frames: Frames of the one moving clip under root/clip.
    """

    seed: int = Field(default=0, ge=0)
    size: tuple[Side, Side] = (192, 96)
    source_train: Count = 120
    target_train: Count = 120
    target_val: Count = 40
    acdc_per_condition: Count = 16
    clip_frames: Count = 12
