"""The frames of a stream as they come: read and corrupted in other processes, ahead of the adaptation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from adapt.data.ahead import prepare_ahead
from adapt.data.reading import read_frame
from adapt.data.settings import DatasetSettings
from adapt.errors import SegshiftError
from adapt.tta.stream import FramesByName, Manifest, Step
from corruptions.apply import corrupt
from corruptions.errors import CorruptionError

Sample = tuple[Step, NDArray[np.uint8], NDArray[np.uint8]]
"""A step, its image, RGB uint8 (H, W, 3), at its own size, and its train ids, uint8 (H, W), 255 where ignored."""


def open_feed(
    manifest: Manifest, frames: FramesByName, datasets: Mapping[str, DatasetSettings], workers: int
) -> Iterator[Sample]:
    """Go through a stream in its order while other processes prepare the frames to come, two each.

    The pixels do not depend on the number of processes, and torch's random state stays as it was.

    Args:
        manifest: the rows of the stream.
        frames: from `adapt.tta.stream.index_frames`.
        datasets: the settings of each data set, by the same names. `resize` plays no part.
        workers: the number of processes; 0 prepares each frame in this one, when it is asked for.

    Yields:
        Each step with its image, corrupted at its own size, and its label.

    Raises:
        PrerequisiteError: if a file is missing or broken, an image is not 8-bit RGB or of another size than its label,
            or the frame has no label; the text names the step and the file.
        CorruptionError: if an image is too small for the corruption; likewise.
    """
    return prepare_ahead(_Samples(manifest, frames, datasets), workers)


class _Samples(Dataset[Sample | Exception]):
    """The samples by their place in the stream; an error is handed over as a value."""

    def __init__(self, manifest: Manifest, frames: FramesByName, datasets: Mapping[str, DatasetSettings]) -> None:
        self.manifest = manifest
        self.frames = frames
        self.datasets = datasets

    def __len__(self) -> int:
        return len(self.manifest)

    def __getitem__(self, index: int) -> Sample | Exception:
        step = self.manifest[index]
        frame = self.frames[step.dataset][step.frame]
        try:
            image, label = read_frame(frame, self.datasets[step.dataset])
            if step.corruption is not None and step.severity is not None and step.seed is not None:
                image = corrupt(image, step.corruption, step.severity, step.seed, origin=str(frame.image))
        except (SegshiftError, CorruptionError) as error:
            return type(error)(f"Step {index} of the stream ({step}): {error}")
        return step, image, label
