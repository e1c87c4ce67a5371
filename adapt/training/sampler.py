"""Which frame comes at which position of an endless training stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from adapt.training.randomness import Purpose, draw_generator


class PositionSampler(Sampler[int]):
    """Yield the positions of a run in order; the dataset turns a position into a sample.

    A resumed run sets `start` to iteration x batch size and decodes nothing that was already trained on.

    Attributes:
        start: First position.
        stop: One past the last.
    """

    def __init__(self, start: int, stop: int) -> None:
        self.start = start
        self.stop = stop

    def __iter__(self) -> Iterator[int]:
        """Yield the positions."""
        return iter(range(self.start, self.stop))

    def __len__(self) -> int:
        """Count the positions."""
        return self.stop - self.start


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
