"""From a frame to what a segmentor's data preprocessor takes; the labelled training set."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset

from adapt.data.cache import ImageCache
from adapt.data.catalog import describe_dataset
from adapt.data.layout import Frame
from adapt.data.reading import read_frame, read_image
from adapt.data.resize import resize_image, resize_label
from adapt.data.settings import DatasetSettings
from adapt.openmmlab import PixelData, SegDataSample
from adapt.training.augment import Image, Label, augment
from adapt.training.randomness import Purpose, draw_generator
from adapt.training.sampler import pick_shuffled
from adapt.training.settings import AugmentSettings

ReadLabelled = Callable[[Frame, int], tuple[Image, Label]]
"""A frame and its position in the stream to its image, (H, W, 3) uint8 RGB, and its label, (H, W) uint8; or to (H, W, C)
uint8, of which the first channel is the label that is learnt, and the others are looked at beside it."""


class LabelledDataset(Dataset[dict[str, Any]]):
    """Labelled samples by position in the endless training stream; equal positions give equal samples."""

    def __init__(
        self,
        frames: Sequence[Frame],
        dataset: DatasetSettings,
        settings: AugmentSettings,
        seed: int,
        cache: ImageCache | None = None,
        read: ReadLabelled | None = None,
    ) -> None:
        """Prepare the stream.

        Args:
            frames: All with labels.
            dataset: The settings they were listed with.
            settings: Crop, flip.
            seed: The run's seed.
            cache: Keeps decoded images, or None.
            read: Reads the frames in another way than `read_labelled`; None reads them so.
        """
        self.frames = frames
        self.settings = settings
        self.seed = seed
        self.read = read or partial(read_at_position, dataset=dataset, cache=cache)

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Read, resize, crop, flip and pack the frame that comes at `position`."""
        frame = self.frames[pick_shuffled(self.seed, position, len(self.frames))]
        image, label = self.read(frame, position)
        generator = draw_generator(self.seed, Purpose.SOURCE, position)
        return pack(frame, *augment(image, label, self.settings, generator))


def read_at_position(
    frame: Frame, position: int, dataset: DatasetSettings, cache: ImageCache | None
) -> tuple[Image, Label]:
    """Read a frame as `read_labelled` does: the same at every position."""
    return read_labelled(frame, dataset, cache)


def read_labelled(frame: Frame, dataset: DatasetSettings, cache: ImageCache | None = None) -> tuple[Image, Label]:
    """Read a frame and its label and bring both to the data set's size.

    Args:
        frame: A frame with a label.
        dataset: The settings it was listed with.
        cache: Keeps the result for the next time; None decodes each time. The pixels are the same.

    Returns:
        (H, W, 3) uint8 RGB and (H, W) uint8 train ids, 255 ignored.

    Raises:
        PrerequisiteError: A file is missing or damaged, or the two differ in size.
    """

    def make() -> tuple[Image, Label]:
        image, label = read_frame(frame, dataset)
        return resize_image(image, dataset.resize), resize_label(label, dataset.resize)

    if cache is None or frame.label is None:
        return make()
    # One entry for both: making it is what finds an image and a label of different sizes.
    recipe = describe_recipe(dataset, is_labelled=True)
    pixels = cache.fetch((frame.image, frame.label), recipe, lambda: np.dstack(make()))  # (H, W, 4)
    return pixels[..., :3], pixels[..., 3]


def read_unlabelled(frame: Frame, dataset: DatasetSettings, cache: ImageCache | None = None) -> Image:
    """Read a frame's image alone, at the data set's size; its label is not opened.

    Args:
        frame: Any frame.
        dataset: The settings it was listed with.
        cache: As of `read_labelled`.

    Returns:
        (H, W, 3) uint8 RGB.

    Raises:
        PrerequisiteError: The file is missing or damaged.
    """

    def make() -> Image:
        return resize_image(read_image(frame.image), dataset.resize)

    return make() if cache is None else cache.fetch((frame.image,), describe_recipe(dataset, is_labelled=False), make)


def describe_recipe(dataset: DatasetSettings, is_labelled: bool) -> str:
    """Spell out all that decides the pixels beside the files: OpenCV decodes and resizes, the label map renames.

    Args:
        dataset: The settings that a frame was listed with.
        is_labelled: Whether the label is read as well.

    Returns:
        JSON, for `ImageCache.fetch`.
    """
    recipe: list[Any] = [cv2.__version__, dataset.resize]
    if is_labelled:
        kind = describe_dataset(dataset)
        recipe += [kind.is_converted, kind.id_channel, sorted(kind.label_map.items()), sorted(kind.raw_ids)]
    return json.dumps(recipe)


def pack(frame: Frame, image: Image, label: Label | None) -> dict[str, Any]:
    """Pack a sample as mmsegmentation's `PackSegInputs` does: its preprocessors expect BGR.

    Args:
        frame: Where the sample comes from.
        image: (H, W, 3) uint8 RGB.
        label: (H, W) uint8 train ids, or (H, W, C) of them as of `ReadLabelled`, or None.

    Returns:
        `inputs`, a (3, H, W) uint8 BGR tensor, and `data_samples`, whose `gt_sem_seg` is (1 or C, H, W) int64 if there is
        a label.
    """
    sample = SegDataSample(metainfo={"img_path": str(frame.image), "img_shape": image.shape[:2]})
    if label is not None:
        channels = label[None] if label.ndim == 2 else label.transpose(2, 0, 1)
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(channels.astype(np.int64)))
    pixels = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))  # (3, H, W) BGR
    return {"inputs": torch.from_numpy(pixels), "data_samples": sample}
