"""Random crop and flip of an image with its label: pure functions of a generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from adapt.data.label_map import IGNORE
from adapt.training.settings import AugmentSettings

# mmseg's `RandomCrop` gives up after as many further draws.
CROP_REDRAWS = 10

Image = NDArray[np.uint8]
Label = NDArray[np.uint8]
Pixels = TypeVar("Pixels", bound=NDArray[Any])


@dataclass(frozen=True)
class View:
    """What a sample shows of its image: a box, mirrored left to right or not.

    Attributes:
        rows: Rows of the box; they may end outside the image.
        columns: Columns of the box, likewise.
        is_flipped: Whether the box is mirrored.
    """

    rows: slice
    columns: slice
    is_flipped: bool

    def cut(self, pixels: Pixels) -> Pixels:
        """Cut the view out of (H, W, ...) pixels: a view of the same memory, smaller than the box where they end."""
        box = pixels[self.rows, self.columns]
        return box[:, ::-1] if self.is_flipped else box  # type: ignore[return-value]


def augment(
    image: Image, label: Label | None, settings: AugmentSettings, generator: np.random.Generator
) -> tuple[Image, Label | None]:
    """Crop, then flip, the image and its label alike.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8 train ids with 255 ignored, or None; without a label `cat_max_ratio` has no effect. Of
            (H, W, C) the first channel has.
        settings: Crop size, flip probability, class share.
        generator: Source of every draw.

    Returns:
        The (h, w, 3) image and the (h, w) label; smaller than the crop only where the image is (padding is the
        preprocessor's: 0 after normalisation, 255).
    """
    steering = label if label is None or label.ndim == 2 else label[..., 0]
    view = draw_view(image, steering, settings, generator)
    return view.cut(image), None if label is None else view.cut(label)


def draw_view(image: Image, label: Label | None, settings: AugmentSettings, generator: np.random.Generator) -> View:
    """Draw a crop box (`draw_crop`), then whether it is flipped.

    Args:
        image: (H, W, 3) uint8.
        label: (H, W) uint8 train ids that steer the box by `cat_max_ratio`, or None.
        settings: Crop size, flip probability, class share.
        generator: Source of every draw.

    Returns:
        The view: the whole image where no crop is set.
    """
    rows, columns = slice(None), slice(None)
    if settings.crop is not None:
        rows, columns = draw_crop(image, label, settings.crop, settings.cat_max_ratio, generator)
    return View(rows, columns, bool(generator.random() < settings.flip))


def draw_crop(
    image: Image, label: Label | None, crop: tuple[int, int], cat_max_ratio: float, generator: np.random.Generator
) -> tuple[slice, slice]:
    """Draw a crop box, again while one class covers too much of it.

    As mmseg's `RandomCrop`: a box is accepted when it holds at least two classes and the largest covers less than
    `cat_max_ratio` of the labelled pixels; after ten redraws the last box is taken as it is.

    Args:
        image: (H, W, 3).
        label: (H, W) or None.
        crop: (width, height).
        cat_max_ratio: Largest share of one class; 1.0 accepts every box.
        generator: Source of the draws.

    Returns:
        Row slice and column slice.
    """
    box = _draw_box(image, crop, generator)
    if label is None or cat_max_ratio >= 1.0:
        return box
    for _ in range(CROP_REDRAWS):
        counts = np.bincount(label[box].ravel(), minlength=256)[:IGNORE]
        if np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < cat_max_ratio:
            break
        box = _draw_box(image, crop, generator)
    return box


def _draw_box(image: Image, crop: tuple[int, int], generator: np.random.Generator) -> tuple[slice, slice]:
    width, height = crop
    top = int(generator.integers(0, max(image.shape[0] - height, 0) + 1))
    left = int(generator.integers(0, max(image.shape[1] - width, 0) + 1))
    return slice(top, top + height), slice(left, left + width)
