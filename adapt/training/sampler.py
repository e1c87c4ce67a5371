"""Which frame comes at which position of an endless training stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from adapt.training.randomness import Purpose, draw_generator


class PositionSampler(Sampler[int]):
    """Yield one worker's positions of a run in order; the dataset turns a position into a sample.

    The workers share the stream: of every `batch_size * workers` positions the worker of rank 0 takes the first
    `batch_size`, that of rank 1 the next, and so on. So their joint batches are those of one worker with the larger batch.
    A resumed run sets `start` and decodes nothing that was already trained on.

    Attributes:
        start: First position of the joint batch to begin with.
        stop: One past the last position of all workers.
        batch_size: Positions that a worker takes in a row.
        rank: Index of this worker.
        workers: Number of workers.
    """

    def __init__(self, start: int, stop: int, batch_size: int = 1, rank: int = 0, workers: int = 1) -> None:
        self.start = start
        self.stop = stop
        self.batch_size = batch_size
        self.rank = rank
        self.workers = workers

    def __iter__(self) -> Iterator[int]:
        """Yield the positions of this worker."""
        for first in range(self.start + self.rank * self.batch_size, self.stop, self.batch_size * self.workers):
            yield from range(first, first + self.batch_size)

    def __len__(self) -> int:
        """Count the positions of this worker."""
        return (self.stop - self.start) // self.workers


def pick_shuffled(seed: int, position: int, length: int) -> int:
    """Index of the frame at `position` when every epoch visits all frames once, in an order of its own.

    Args:
        seed: The run's seed.
        position: Position in the endless stream.
        length: Number of frames.

    Returns:
        An index in [0, length).
    """
    epoch, offset = divmod(position, length)
    return int(_draw_order(seed, epoch, length)[offset])


@lru_cache(maxsize=4)
def _draw_order(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    return draw_generator(seed, Purpose.ORDER, epoch).permutation(length)
