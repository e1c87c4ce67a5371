"""Which frames of which data set a stage reads; where the data set lies is passed beside as `root`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from adapt.settings import Settings

Pixels = Annotated[int, Field(gt=0)]


class DatasetSettings(Settings):
    """A choice of frames: part of a task's identity, so it holds no path of any machine.

    Attributes:
        type: A name in `adapt.data.catalog.DATASET_TYPES`.
        split: One split, or several that are read as one.
        subset: ACDC conditions or CamVid sequences; empty means all of them.
        every: Take every n-th frame in path order, from the first: video frames a second apart say little new.
        resize: (width, height) in pixels: each image is scaled by one factor to fit inside before it reaches the network,
            in training and in testing alike (`adapt.data.resize`); predictions come back at the image's own size. None
            leaves images at their own size.
    """

    type: str
    split: str | tuple[str, ...]
    subset: tuple[str, ...] = ()
    every: int = Field(default=1, gt=0)
    resize: tuple[Pixels, Pixels] | None = None

    @property
    def splits(self) -> tuple[str, ...]:
        """The chosen splits, always as a tuple."""
        return (self.split,) if isinstance(self.split, str) else self.split
