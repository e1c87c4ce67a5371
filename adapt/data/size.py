"""The size of an image before it is decoded, and after it is resized: free of OpenCV for the planner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from adapt.data.layout import Frame
from adapt.data.settings import DatasetSettings
from adapt.errors import PrerequisiteError, SpecError

Size = tuple[int, int]
"""(width, height) in pixels."""


def fit_inside(own: Size, size: Size) -> Size:
    """Compute the largest size of an image's own shape that fits into `size`, be it smaller or larger than the image.

    mmcv's `Resize(keep_ratio=True)` computes the same for an image that lies as `size` does; it turns `size` for an
    upright image, which does not occur in the data sets here. DAFormer's GTA frames go this way: 1914x1052 become
    1280x704 with (1280, 720).

    Args:
        own: (width, height) of the image.
        size: (width, height) to fit into.

    Returns:
        (width, height), each rounded to the nearest pixel.
    """
    factor = min(size[0] / own[0], size[1] / own[1])
    return int(own[0] * factor + 0.5), int(own[1] * factor + 0.5)


def read_size(path: Path) -> Size:
    """Read the size of an image from its file's header alone.

    Args:
        path: The file.

    Returns:
        (width, height).

    Raises:
        PrerequisiteError: The file is missing or no image; the text names it.
    """
    try:
        with Image.open(path) as image:
            return image.size
    except (OSError, SyntaxError, UnidentifiedImageError) as error:
        raise PrerequisiteError(
            f"Cannot read the size of '{path}': {error}. Unpack or download this file again."
        ) from error


def require_crop_fits(frame: Frame, dataset: DatasetSettings, crop: Size) -> None:
    """Refuse a training crop that is larger than a frame at the size at which the network sees it.

    Padding would fill the rest with black that is no part of any scene, so a crop that does not fit is a slip.

    Args:
        frame: A frame of the data set; the first stands for all.
        dataset: The settings it was listed with.
        crop: (width, height).

    Raises:
        SpecError: The crop is wider or higher than the (resized) frame; names the data set, both sizes and the remedy.
        PrerequisiteError: The frame cannot be read.
    """
    own = read_size(frame.image)
    seen = own if dataset.resize is None else fit_inside(own, dataset.resize)
    if crop[0] <= seen[0] and crop[1] <= seen[1]:
        return
    how = "" if dataset.resize is None else f" ({own[0]}x{own[1]}, resized to fit {_show(dataset.resize)})"
    largest = (min(crop[0], seen[0]), min(crop[1], seen[1]))
    raise SpecError(
        f"The crop of {_show(crop)} pixels is larger than the frames of the data set of type '{dataset.type}', which are "
        f"{_show(seen)}{how}, as '{frame.image.name}'. Set `augment.crop` to [{largest[0]}, {largest[1]}] or smaller, or "
        f"`resize` of the data set to something larger."
    )


def require_equal_sizes(frames: Sequence[Frame]) -> None:
    """Refuse labels that are not of their images' size, by the headers of their files.

    Args:
        frames: Those without a label are passed over.

    Raises:
        PrerequisiteError: Names the first such pair, how many there are, and both sizes; or a file that cannot be read.
    """
    pairs = [(frame.image, frame.label) for frame in frames if frame.label is not None]
    sizes = [(image, read_size(image), label, read_size(label)) for image, label in pairs]
    wrong = [pair for pair in sizes if pair[1] != pair[3]]
    if wrong:
        image, image_size, label, label_size = wrong[0]
        raise PrerequisiteError(
            f"{len(wrong)} of {len(pairs)} labels are not of their image's size: '{label}' is {_show(label_size)} pixels, "
            f"its image '{image}' is {_show(image_size)}. Unpack both again, or remove the pairs."
        )


def _show(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
