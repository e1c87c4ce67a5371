"""How far a corruption that moves pixels leaves the labels where they were.

Labels stay while elastic_transform, zoom_blur and glass_blur move what they name, so even a perfect prediction of the
corrupted image loses score. Here the label itself goes through the corruption, class by class, and is compared with itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from adapt.benchmark.feed import Source
from adapt.data.reading import read_label
from adapt.data.resize import resize_label
from adapt.scores.confusion import IGNORE
from corruptions.apply import corrupt
from corruptions.catalog import corruption
from corruptions.protocol import BackendName, Protocol
from corruptions.seeding import derive_seed


def measure_agreement(source: Source, protocol: Protocol, seed: int, limit: int) -> dict[str, float | None]:
    """Measure the share of labelled pixels whose class stays the largest under each corruption that moves pixels.

    Args:
        source: the data set.
        protocol: of the benchmark; corruptions that move nothing are left out. Where it corrupts after the resize, the label
            is resized first, to the nearest pixel.
        seed: of the benchmark, so that pixels move as they do there.
        limit: how many frames to look at, the first ones.

    Returns:
        `label_agreement/CORRUPTION/SEVERITY` -> share in [0, 1], pooled over the frames; None where no pixel is labelled.

    Raises:
        PrerequisiteError: a label cannot be read.
    """
    moving = [cell for cell in protocol.cells if corruption(cell[0]).moves_pixels] if limit else []
    kept = dict.fromkeys(moving, 0)
    labelled = 0
    for frame in source.frames[:limit]:
        label = read_label(frame, source.settings)
        if protocol.insertion_point == "after_resize":
            label = resize_label(label, source.settings.resize)
        labelled += int((label != IGNORE).sum())
        for cell in moving:
            moved = move_label(label, *cell, derive_seed(seed, frame.name, *cell), protocol.backend)
            kept[cell] += int(((moved == label) & (label != IGNORE)).sum())
    return {
        f"label_agreement/{name}/{severity}": kept[name, severity] / labelled if labelled else None
        for name, severity in moving
    }


def move_label(
    label: NDArray[np.uint8], name: str, severity: int, seed: int, backend: BackendName
) -> NDArray[np.uint8]:
    """Move a label as a corruption moves the pixels of its image.

    Each class is painted white on black and corrupted; a pixel takes the class that is brightest there, its own among equals.
    Three classes go through at once, one in each channel: pixels of all channels move alike.

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
    classes = np.unique(label)
    for first in range(0, len(classes), 3):
        chosen = [*classes[first : first + 3].tolist(), None, None][:3]  # the last may have an empty channel
        painted = np.stack([(label == class_id) * np.uint8(255) for class_id in chosen], axis=-1)
        corrupted = corrupt(painted, name, severity, seed, backend=backend).astype(np.int16)
        for channel, class_id in enumerate(chosen):
            if class_id is not None:
                brightness = corrupted[..., channel]
                is_brighter = (brightness > brightest) | ((brightness == brightest) & (label == class_id))
                moved[is_brighter] = class_id
                brightest = np.maximum(brightest, brightness)
    return moved
