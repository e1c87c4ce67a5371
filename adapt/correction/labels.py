"""The labels that a training on noisy ones reads: as given, as corrected so far, and as they would be right."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from adapt.correction.label_store import LabelStore
from adapt.data.cache import ImageCache
from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.reading import read_frame
from adapt.data.resize import resize_image, resize_label
from adapt.data.settings import DatasetSettings
from adapt.noise.catalog import add_noise, describe_noise
from adapt.noise.settings import NoiseSettings
from adapt.training.augment import Image, Label
from adapt.training.sample import describe_recipe, read_labelled

LEARNT, GIVEN, CLEAN = 0, 1, 2
"""Channels of the labels that `TrainingLabels` gives; the last is there where the noise was made on purpose."""


@dataclass(frozen=True)
class Progress:
    """How far a training has come at a position of its stream.

    Attributes:
        frames: N, in an epoch.
        per_iteration: Positions that an iteration takes.
    """

    frames: int
    per_iteration: int

    @property
    def iterations_per_epoch(self) -> float:
        """How many iterations see as many images as there are."""
        return self.frames / self.per_iteration

    def count_epochs(self, position: int) -> int:
        """Count the epochs that were over when the iteration of a position began."""
        return position // self.per_iteration * self.per_iteration // self.frames

    def is_epoch_over(self, iteration: int) -> bool:
        """Tell whether an epoch came to its end in an iteration (from 0)."""
        return self.count_epochs((iteration + 1) * self.per_iteration) > self.count_epochs(
            iteration * self.per_iteration
        )


class TrainingLabels:
    """Reads frames with all that is known of their labels; a `ReadLabelled`."""

    def __init__(
        self,
        dataset: DatasetSettings,
        noise: NoiseSettings | None,
        progress: Progress,
        store: LabelStore | None = None,
        cache: ImageCache | None = None,
    ) -> None:
        """Prepare the reading.

        Args:
            dataset: The settings that the frames were listed with.
            noise: Made on purpose; None takes the labels as they are, and knows no clean ones.
            progress: Which labels a position sees: those corrected after the epochs before its iteration.
            store: Holds the corrected labels; None corrects none.
            cache: Keeps decoded images and noisy labels, or None.
        """
        self.dataset = dataset
        self.noise = noise
        self.progress = progress
        self.store = store
        self.cache = cache

    def __call__(self, frame: Frame, position: int) -> tuple[Image, Label]:
        """Read the frame that comes at a position.

        Returns:
            (H, W, 3) uint8 RGB; (H, W, 2) uint8, the labels that are learnt and given, or (H, W, 3) with the clean ones.
        """
        image, given, clean = self.read(frame)
        learnt = self.read_learnt(frame, given, self.progress.count_epochs(position))
        return image, np.dstack([learnt, given] if clean is None else [learnt, given, clean])

    def read(self, frame: Frame) -> tuple[Image, Label, Label | None]:
        """Read a frame's image, the label that is given for it, and the clean one where that is known.

        Raises:
            PrerequisiteError: A file is missing or damaged.
        """
        noise = self.noise
        if noise is None:
            return *read_labelled(frame, self.dataset, self.cache), None
        classes = describe_dataset(self.dataset).classes

        def make() -> Image:
            image, clean = read_frame(frame, self.dataset)
            noisy = add_noise(clean, noise, frame.name, classes).label
            size = self.dataset.resize
            return np.dstack([resize_image(image, size), resize_label(noisy, size), resize_label(clean, size)])

        if self.cache is None or frame.label is None:
            pixels = make()
        else:
            recipe = describe_recipe(self.dataset, is_labelled=True) + describe_noise(noise, classes) + frame.name
            pixels = self.cache.fetch((frame.image, frame.label), recipe, make)  # (H, W, 5)
        return pixels[..., :3], pixels[..., 3], pixels[..., 4]

    def read_learnt(self, frame: Frame, given: Label, epochs: int) -> Label:
        """Read the label that is learnt after so many epochs: the newest corrected one, or else the one that is given."""
        corrected = None if self.store is None else self.store.read(frame.name, epochs)
        return given if corrected is None else corrected

    def read_newest(self, frame: Frame, given: Label) -> Label:
        """Read the label that is learnt now."""
        epochs = () if self.store is None else self.store.list_epochs()
        return self.read_learnt(frame, given, epochs[-1]) if epochs else given
