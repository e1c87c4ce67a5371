"""What is done to labels: the noise models and how much of a label they hit; free of torch and OpenCV for the planner."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from adapt.settings import Settings

Rate = Annotated[float, Field(ge=0.0, le=1.0)]
Pixels = Annotated[float, Field(gt=0.0)]

VERSION = 1
"""Raised whenever the same settings may give other pixels; written beside noisy labels, so that they are not mixed."""


class _NoiseSettings(Settings):
    """What every noise model may be told.

    Attributes:
        rate: the share of a model's units that it hits: of masks (all pixels of a class in an image), objects (connected
            regions of a class) or pixels. Which units are hit depends on (seed, image) alone.
        seed: of every draw, with the image's name.
        background: the class that pixels fall to which lose theirs, and the only one that grown masks may paint over, as
            in data sets of things on a background. None (street scenes, where every pixel has a class): they fall to the
            neighbouring class, and masks grow over their neighbours [ours]. It plays no part in `flip`.
    """

    rate: Rate
    seed: Annotated[int, Field(ge=0)] = 0
    background: str | None = None


class MorphologySettings(_NoiseSettings):
    """Masks that are drawn too small or too large, by erosion and dilation (ADELE's SegTHOR experiments). Unit: a mask.

    Attributes:
        iterations: of the 3x3 kernel, drawn from these for each mask.
        area: in pixels; the mask is resized to about this much before it is changed, so that the same number of iterations
            means the same to large and small masks.
    """

    name: Literal["morphology"] = "morphology"
    iterations: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] = (2, 3, 4)
    area: Pixels = 1000.0


class FlipSettings(_NoiseSettings):
    """Units that carry another class's label. Unit: an object, or a pixel.

    Attributes:
        unit: what is flipped as one.
        target: `symmetric` draws any other class that the data set has; `pair` takes the class that `pairs` names.
        pairs: class -> class that it is mistaken for; classes without an entry are left alone (and are no units).
    """

    name: Literal["flip"] = "flip"
    unit: Literal["object", "pixel"] = "object"
    target: Literal["symmetric", "pair"] = "symmetric"
    pairs: dict[str, str] = {}

    @model_validator(mode="after")
    def _check_pairs(self) -> FlipSettings:
        if (self.target == "pair") != bool(self.pairs):
            raise ValueError("`target: pair` and `pairs: {CLASS: CLASS}` belong together: give both or neither")
        for own, other in self.pairs.items():
            if own == other:
                raise ValueError(f"`pairs` mistakes '{own}' for itself, which changes nothing. Name another class")
        return self


class BoundarySettings(_NoiseSettings):
    """Objects with careless outlines. Unit: an object.

    Attributes:
        style: `shift` moves the object; `polygon` replaces its outline by one with few corners.
        distance: in pixels at the label's size, at least 1: how far it is moved, in a direction drawn for each object, or
            how far the outline may lie from the polygon (Douglas-Peucker), at most.
    """

    name: Literal["boundary"] = "boundary"
    style: Literal["shift", "polygon"] = "polygon"
    distance: Annotated[float, Field(ge=1.0)] = 8.0


class DropSettings(_NoiseSettings):
    """Objects that nobody labelled. Unit: an object.

    Attributes:
        max_share: of the image; larger objects (the road, the sky) are never overlooked and are no units.
    """

    name: Literal["drop"] = "drop"
    max_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.05


class WeakSettings(_NoiseSettings):
    """Masks as coarse as those that class activation maps give. Unit: a mask.

    Attributes:
        cell: in pixels at the label's size: the side of the cells that a mask is known at.
        threshold: more than this share of a cell's labelled pixels has to be of the class.
    """

    name: Literal["weak"] = "weak"
    cell: Annotated[int, Field(ge=2)] = 16
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.35


NoiseSettings = Annotated[
    MorphologySettings | FlipSettings | BoundarySettings | DropSettings | WeakSettings, Field(discriminator="name")
]
