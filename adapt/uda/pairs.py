"""The training set of UDA: a labelled source sample and an unlabelled target sample for every position."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from adapt.data.cache import ImageCache
from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.rare_class import RareClassSampler
from adapt.data.settings import DatasetSettings
from adapt.openmmlab import PixelData
from adapt.training.augment import Image, Label, View, augment, draw_view
from adapt.training.randomness import Purpose, draw_generator
from adapt.training.sample import ReadLabelled, pack, read_at_position, read_labelled, read_unlabelled
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
        cache: ImageCache | None = None,
        read: ReadLabelled | None = None,
    ) -> None:
        """Prepare the draw.

        Args:
            frames: Source frames with labels.
            dataset: The settings they were listed with.
            augmentation: Crop and flip.
            seed: The run's seed.
            rare_class: The sampling.
            class_counts: (N, K) pixels of each class in each frame, at label resolution.
            cache: See `read_labelled`.
            read: Reads the frames in another way than `read_labelled`; None reads them so.

        Raises:
            SpecError: No frame holds more than `rare_class.min_pixels` of any class.
        """
        self.frames = frames
        self.augmentation = augmentation
        self.seed = seed
        self.rare_class = rare_class
        self.read = read or partial(read_at_position, dataset=dataset, cache=cache)
        self._sampler = RareClassSampler(
            class_counts, rare_class.temperature, rare_class.min_pixels, describe_dataset(dataset).classes
        )

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Draw a class and a frame, read it, crop it to show that class, flip and pack it.

        The sample's metainfo tells the class as `rare_class` (train id).
        """
        generator = draw_generator(self.seed, Purpose.SOURCE, position)
        train_id, index = self._sampler.draw(generator)
        image, label = self.read(self.frames[index], position)
        crop = augment_rare_class(image, label, train_id, self.augmentation, self.rare_class, generator)
        packed = pack(self.frames[index], *crop)
        packed["data_samples"].set_metainfo({"rare_class": train_id})
        return packed


class UnlabelledTarget(Dataset[dict[str, Any]]):
    """Target samples by position: a uniform draw; labels are not opened unless asked for, and never steer the crop."""

    def __init__(
        self,
        frames: Sequence[Frame],
        dataset: DatasetSettings,
        augmentation: AugmentSettings,
        seed: int,
        margins: tuple[int, int, int, int] = (0, 0, 0, 0),
        with_labels: bool = False,
        cache: ImageCache | None = None,
    ) -> None:
        """Prepare the draw.

        Args:
            frames: Target frames.
            dataset: The settings they were listed with.
            augmentation: Crop and flip.
            seed: The run's seed.
            margins: (top, bottom, left, right) pixels of the whole image, at the data set's size, that nothing is to be
                learnt from. Where any is above 0, samples have `pseudo_valid`, (1, H, W) bool of the crop's size: False
                in the margins and where a crop reaches beyond its image (the preprocessor pads below and to the right).
            with_labels: Whether samples have `gt_sem_seg`, to score pseudo-labels with. Draws do not depend on it.
            cache: See `read_labelled`.
        """
        self.frames = frames
        self.dataset = dataset
        self.augmentation = augmentation
        self.seed = seed
        self.margins = margins
        self.with_labels = with_labels
        self.cache = cache

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Read, crop, flip and pack the target image of `position`."""
        generator = draw_generator(self.seed, Purpose.TARGET, position)
        frame = self.frames[int(generator.integers(len(self.frames)))]
        label: Label | None = None
        if self.with_labels:
            image, label = read_labelled(frame, self.dataset, self.cache)
        else:
            image = read_unlabelled(frame, self.dataset, self.cache)
        view = draw_view(image, None, self.augmentation, generator)
        packed = pack(frame, view.cut(image), None if label is None else view.cut(label))
        if any(self.margins):
            valid = _cut_valid(image.shape[:2], self.margins, view, self.augmentation.crop)
            packed["data_samples"].pseudo_valid = PixelData(data=torch.from_numpy(valid)[None])
        return packed


def _cut_valid(
    size: tuple[int, ...],
    margins: tuple[int, int, int, int],
    view: View,
    crop: tuple[int, int] | None,
) -> NDArray[np.bool_]:
    """Cut the part of an image that lies within its margins as a view cuts the image; the rest of the crop is False."""
    height, width = size
    top, bottom, left, right = margins
    inside = np.zeros((height, width), bool)
    inside[top : max(height - bottom, 0), left : max(width - right, 0)] = True
    shown = view.cut(inside)
    valid = np.zeros(shown.shape if crop is None else (crop[1], crop[0]), bool)
    valid[: shown.shape[0], : shown.shape[1]] = shown
    return valid


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
        label: (H, W) uint8 train ids, or (H, W, C) of them, of which the first channel is looked at.
        train_id: The class that the frame was drawn for.
        augmentation: Crop and flip.
        rare_class: How many pixels, how many tries.
        generator: Source of the draws.

    Returns:
        The crop of image and label; the last one tried if none holds enough.
    """
    crop, crop_label = augment(image, label, augmentation, generator)
    for _ in range(rare_class.max_tries):
        shown = crop_label if crop_label is None or crop_label.ndim == 2 else crop_label[..., 0]
        if np.count_nonzero(shown == train_id) > rare_class.min_crop_pixels:
            break
        crop, crop_label = augment(image, label, augmentation, generator)
    return crop, crop_label
