"""The frames of a benchmark as the network takes them: decoded once and corrupted in other processes, ahead of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from adapt.benchmark.unit import GridCell, Unit
from adapt.data.ahead import prepare_ahead
from adapt.data.layout import Frame
from adapt.data.reading import read_frame
from adapt.data.resize import resize_image
from adapt.data.settings import DatasetSettings
from adapt.errors import SegshiftError
from corruptions.apply import corrupt
from corruptions.errors import CorruptionError
from corruptions.protocol import Protocol
from corruptions.seeding import derive_seed

Claim = Callable[[], Unit | None]
"""Gives the next unit that nobody else computes, or None when none is left."""


@dataclass(frozen=True)
class Source:
    """A data set of a benchmark: its settings and its frames."""

    settings: DatasetSettings
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class FeedSettings:
    """What decides the pixels of a benchmark, beside its units.

    Attributes:
        sources: data set -> its frames.
        protocol: its backend, channel order and insertion point; which of its cells a frame is corrupted for, a unit says.
        seed: of the experiment.
    """

    sources: Mapping[str, Source]
    protocol: Protocol
    seed: int


class Sample(NamedTuple):
    """A frame in all cells of its unit.

    Attributes:
        unit: which unit.
        place: of the frame in its data set.
        images: uint8 (C, H, W, 3), RGB, one for each cell of the unit, at the size that the network sees.
        label: uint8 (H', W') train ids at the label's own size, 255 where ignored.
        decode_s: seconds that reading took.
        corrupt_s: seconds that corrupting and resizing took.
    """

    unit: Unit
    place: int
    images: Tensor
    label: Tensor
    decode_s: float
    corrupt_s: float


def open_feed(settings: FeedSettings, claim: Claim, workers: int, pin: bool = False) -> Iterator[Sample]:
    """Claim units and go through their frames while other processes prepare those to come, two each.

    The pixels do not depend on the number of processes, and torch's random state stays as it was.

    Args:
        settings: what decides the pixels.
        claim: gives the next unit; called in this process, a few frames before that unit is needed.
        workers: the number of processes; 0 prepares each frame in this one, when it is asked for.
        pin: whether the samples lie in pinned memory, from which they reach a GPU faster.

    Yields:
        The frames of each unit in order, unit after unit.

    Raises:
        PrerequisiteError: if a file is missing or broken, an image is not 8-bit RGB or of another size than its label,
            or the frame has no label; the text names the file.
        CorruptionError: if an image is too small to be corrupted; likewise.
    """
    return prepare_ahead(_Samples(settings), workers, _Claimed(claim), pin)


class _Claimed:
    """The frames of claimed units; a sampler, so that it runs in the process of the network."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim

    def __iter__(self) -> Iterator[tuple[Unit, int]]:
        while (unit := self.claim()) is not None:
            for index in range(unit.first, unit.last):
                yield unit, index


class _Samples(Dataset[Sample | Exception]):
    """The samples by unit and frame; an error is handed over as a value."""

    def __init__(self, settings: FeedSettings) -> None:
        self.settings = settings

    def __getitem__(self, place: tuple[Unit, int]) -> Sample | Exception:
        unit, index = place
        source, protocol = self.settings.sources[unit.dataset], self.settings.protocol
        resize = source.settings.resize
        frame = source.frames[index]
        try:
            started = time.perf_counter()
            image, label = read_frame(frame, source.settings)
            decoded = time.perf_counter()
            if protocol.insertion_point == "after_resize":
                image = resize_image(image, resize)
            images = []
            for cell in unit.cells:
                pixels = corrupt_frame(image, frame, cell, self.settings)
                if protocol.insertion_point == "before_resize":
                    pixels = resize_image(pixels, resize)
                images.append(torch.from_numpy(np.ascontiguousarray(pixels)))
            ended = time.perf_counter()
        except (SegshiftError, CorruptionError) as error:
            return error
        return Sample(unit, index, torch.stack(images), torch.from_numpy(label), decoded - started, ended - decoded)


def corrupt_frame(image: NDArray[np.uint8], frame: Frame, cell: GridCell, settings: FeedSettings) -> NDArray[np.uint8]:
    """Return a frame as a cell shows it, before any resize that follows.

    Args:
        image: uint8 (H, W, 3) RGB, of the size at which the protocol corrupts.
        frame: whose image it is; its name decides the seed.
        cell: clean and shifted cells leave the image as it is.
        settings: of the benchmark.

    Raises:
        CorruptionError: the image is too small to be corrupted.
    """
    if cell.corruption is None or cell.severity is None:
        return image
    return corrupt(
        image,
        cell.corruption,
        cell.severity,
        derive_seed(settings.seed, frame.name, cell.corruption, cell.severity),
        backend=settings.protocol.backend,
        channel_order=settings.protocol.channel_order,
        origin=str(frame.image),
    )
