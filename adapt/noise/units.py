"""What noise hits as one - masks, objects, pixels - and which of them it hits."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from adapt.data.label_map import IGNORE

Label = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Window = tuple[slice, slice]


@dataclass(frozen=True, eq=False)
class Unit:
    """Pixels of one class that are hit together.

    Attributes:
        class_id: Their train id.
        window: Rows and columns of the label that hold all of them.
        mask: (h, w) bool, the pixels within the window.
    """

    class_id: int
    window: Window
    mask: Mask


def list_classes(label: Label) -> list[int]:
    """List the train ids that a label holds, less the ignored 255.

    Args:
        label: (H, W) uint8 train ids.
    """
    return [int(index) for index in np.flatnonzero(np.bincount(label.ravel(), minlength=256)) if index != IGNORE]


def list_replaceable(label: Label, background: int | None) -> list[int]:
    """List the classes of a label whose pixels have something else to become.

    Args:
        label: (H, W) uint8 train ids.
        background: What pixels fall to; None: to a neighbouring class.

    Returns:
        All but the background; without one all, or none where the label holds a single class.
    """
    present = list_classes(label)
    if background is not None:
        return [index for index in present if index != background]
    return present if len(present) > 1 else []


def find_masks(label: Label, classes: Collection[int]) -> list[Unit]:
    """Find the masks of some classes: all pixels of a class are one unit.

    Args:
        label: (H, W) uint8 train ids.
        classes: Train ids that occur in the label.

    Returns:
        One unit a class, in order of their ids, each in its smallest window.
    """
    return [_cut_out(label, class_id) for class_id in sorted(classes)]


def find_objects(label: Label, classes: Collection[int]) -> list[Unit]:
    """Find the objects of some classes: the regions of a class whose pixels touch, by a corner at least (8-connected).

    Args:
        label: (H, W) uint8 train ids.
        classes: Train ids that occur in the label.

    Returns:
        The objects by class, and within a class by their first pixel in reading order, each in its smallest window.
    """
    objects: list[Unit] = []
    for whole in find_masks(label, classes):
        top, left = whole.window[0].start, whole.window[1].start
        _, numbers, stats, _ = cv2.connectedComponentsWithStats(whole.mask.astype(np.uint8), connectivity=8)
        found: list[Unit] = []
        for number, (x, y, width, height, _) in enumerate(stats[1:].tolist(), start=1):
            mask = numbers[y : y + height, x : x + width] == number
            window = (slice(top + y, top + y + height), slice(left + x, left + x + width))
            found.append(Unit(whole.class_id, window, mask))
        # OpenCV says nothing of the order in which it numbers, and draws must not depend on its version or threads.
        objects.extend(sorted(found, key=_first_pixel))
    return objects


def widen(unit: Unit, margin: int, shape: tuple[int, ...]) -> Unit:
    """Give a unit a window with a margin around its own, as far as the label reaches.

    Args:
        unit: The unit.
        margin: In pixels, on each side.
        shape: (H, W) of the label.
    """
    grown: list[slice] = []
    pads: list[tuple[int, int]] = []
    for side, length in zip(unit.window, shape, strict=True):
        grown.append(slice(max(side.start - margin, 0), min(side.stop + margin, length)))
        pads.append((side.start - grown[-1].start, grown[-1].stop - side.stop))
    return Unit(unit.class_id, (grown[0], grown[1]), np.pad(unit.mask, pads))


def choose_units(count: int, rate: float, generator: np.random.Generator) -> NDArray[np.int64]:
    """Choose which of an image's units are hit: systematic sampling of them in a drawn order, from a drawn start.

    Each unit is hit with probability `rate`, and floor or ceil of `rate * count` of them are: an image differs from the
    rate by less than one unit, and the data set by far less. (Independent draws would scatter by sqrt(count).)

    Args:
        count: Units of the image.
        rate: Share to hit, in [0, 1].
        generator: The image's; advanced.

    Returns:
        (hit,) int64 indices in [0, count), in the drawn order.
    """
    order = generator.permutation(count)
    steps = np.floor(generator.random() + rate * np.arange(count + 1))
    return order[np.diff(steps) > 0]


def _cut_out(label: Label, class_id: int) -> Unit:
    mask = label == class_id
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    window = (slice(y, y + height), slice(x, x + width))
    return Unit(class_id, window, mask[window])


def _first_pixel(unit: Unit) -> tuple[int, int]:
    rows, columns = unit.window
    return rows.start, columns.start + int(unit.mask[0].argmax())
