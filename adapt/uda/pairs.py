"""The training set of UDA: a labelled source sample and an unlabelled target sample for every position."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from adapt.data.catalog import find_type
from adapt.data.layout import Frame
from adapt.data.rare_class import RareClassSampler
from adapt.data.settings import DatasetSettings
from adapt.training.augment import Image, Label, augment
from adapt.training.randomness import Purpose, draw_generator
from adapt.training.sample import pack, read_labelled, read_unlabelled
from adapt.training.settings import AugmentSettings
from adapt.uda.settings import RareClassSettings


class RareClassDataset(Dataset[dict[str, Any]]):
    """Source samples by position, of frames and crops that show rare classes."""

    def __init__(
        self,
        frames: Sequence[Frame],
        dataset: DatasetSettings,
        augmentation: AugmentSettings,
        seed: int,
        rare_class: RareClassSettings,
        class_counts: NDArray[np.int64],
    ) -> None:
        """Prepare the draw.

        Args:
            frames: Source frames with labels.
            dataset: The settings they were listed with.
            augmentation: Crop and flip.
            seed: The run's seed.
            rare_class: The sampling.
            class_counts: (N, K) pixels of each class in each frame, at label resolution.
        """
        self.frames = frames
        self.dataset = dataset
        self.augmentation = augmentation
        self.seed = seed
        self.rare_class = rare_class
        self._sampler = RareClassSampler(
            class_counts, rare_class.temperature, rare_class.min_pixels, find_type(dataset.type).classes
        )

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Draw a class and a frame, read it, crop it to show that class, flip and pack it."""
        generator = draw_generator(self.seed, Purpose.SOURCE, position)
        train_id, index = self._sampler.draw(generator)
        image, label = read_labelled(self.frames[index], self.dataset)
        crop = augment_rare_class(image, label, train_id, self.augmentation, self.rare_class, generator)
        return pack(self.frames[index], *crop)


class UnlabelledTarget(Dataset[dict[str, Any]]):
    """Target samples by position: a uniform draw; labels are never opened and never steer the crop."""

    def __init__(
        self, frames: Sequence[Frame], dataset: DatasetSettings, augmentation: AugmentSettings, seed: int
    ) -> None:
        self.frames = frames
        self.dataset = dataset
        self.augmentation = augmentation
        self.seed = seed

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Read, crop, flip and pack the target image of `position`."""
        generator = draw_generator(self.seed, Purpose.TARGET, position)
        frame = self.frames[int(generator.integers(len(self.frames)))]
        image = read_unlabelled(frame, self.dataset)
        return pack(frame, *augment(image, None, self.augmentation, generator))


class DomainPairs(Dataset[dict[str, Any]]):
    """Both domains at one position; |source| x |target| plays no part."""

    def __init__(self, source: Dataset[dict[str, Any]], target: Dataset[dict[str, Any]]) -> None:
        self.source = source
        self.target = target

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Give the pair of `position`."""
        return {"source": self.source[position], "target": self.target[position]}


def augment_rare_class(
    image: Image,
    label: Label,
    train_id: int,
    augmentation: AugmentSettings,
    rare_class: RareClassSettings,
    generator: np.random.Generator,
) -> tuple[Image, Label | None]:
    """Augment anew, `max_tries` times at most, until the crop holds more than `min_crop_pixels` of the drawn class.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8 train ids.
        train_id: The class that the frame was drawn for.
        augmentation: Crop and flip.
        rare_class: How many pixels, how many tries.
        generator: Source of the draws.

    Returns:
        The crop of image and label; the last one tried if none holds enough.
    """
    crop, crop_label = augment(image, label, augmentation, generator)
    for _ in range(rare_class.max_tries):
        if np.count_nonzero(crop_label == train_id) > rare_class.min_crop_pixels:
            break
        crop, crop_label = augment(image, label, augmentation, generator)
    return crop, crop_label
