"""How far a corruption that moves pixels leaves the labels where they were.

Labels stay while elastic_transform, zoom_blur and glass_blur move what they name, so even a perfect prediction of the
corrupted image loses score. Here the label itself goes through the corruption, class by class, and is compared with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from adapt.benchmark.feed import Source
from adapt.data.reading import read_label
from adapt.scores.confusion import IGNORE
from corruptions.apply import corrupt
from corruptions.catalog import corruption
from corruptions.seeding import derive_seed


def measure_agreement(
    source: Source, grid: Sequence[tuple[str, int]], backend: Literal["fast", "reference"], seed: int, limit: int
) -> dict[str, float | None]:
    """Measure the share of labelled pixels whose class stays the largest under each corruption that moves pixels.

    Args:
        source: the data set.
        grid: (corruption, severity) of the benchmark; corruptions that move nothing are left out.
        backend: of the benchmark.
        seed: of the benchmark, so that pixels move as they do there.
        limit: how many frames to look at, the first ones.

    Returns:
        `label_agreement/CORRUPTION/SEVERITY` -> share in [0, 1], pooled over the frames; None where no pixel is labelled.

    Raises:
        PrerequisiteError: a label cannot be read.
    """
    moving = [cell for cell in grid if corruption(cell[0]).moves_pixels]
    kept = dict.fromkeys(moving, 0)
    labelled = 0
    for frame in source.frames[:limit]:
        label = read_label(frame, source.settings)
        labelled += int((label != IGNORE).sum())
        for cell in moving:
            moved = move_label(label, *cell, derive_seed(seed, frame.name, *cell), backend)
            kept[cell] += int(((moved == label) & (label != IGNORE)).sum())
    return {
        f"label_agreement/{name}/{severity}": kept[name, severity] / labelled if labelled else None
        for name, severity in moving
    }


def move_label(
    label: NDArray[np.uint8], name: str, severity: int, seed: int, backend: Literal["fast", "reference"]
) -> NDArray[np.uint8]:
    """Move a label as a corruption moves the pixels of its image.

    Each class is painted white on black and corrupted; a pixel takes the class that is brightest there, its own among equals.

    Args:
        label: uint8 (H, W); 255 is a class like the others.
        name: of a corruption that moves pixels whatever these show.
        severity: 1 to 5.
        seed: of the corrupted image.
        backend: as for `corruptions.corrupt`.

    Returns:
        uint8 (H, W).
    """
    brightest = np.full(label.shape, -1, np.int16)
    moved = label.copy()
    for class_id in np.unique(label):
        painted = np.where(label == class_id, np.uint8(255), np.uint8(0))
        brightness = corrupt(painted, name, severity, seed, backend=backend)[..., 0].astype(np.int16)
        is_brighter = (brightness > brightest) | ((brightness == brightest) & (label == class_id))
        moved[is_brighter] = class_id
        brightest = np.maximum(brightest, brightness)
    return moved
