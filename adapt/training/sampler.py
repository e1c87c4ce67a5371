"""Which frame comes at which position of an endless training stream."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from adapt.training.randomness import Purpose, draw_generator


class PositionSampler(Sampler[int]):
    """Yield start, start + 1, ... without end; the dataset turns a position into a sample.

    A resumed run sets `start` to iteration x batch size and decodes nothing that was already trained on.
    """

    def __init__(self, start: int = 0) -> None:
        self.start = start

    def __iter__(self) -> Iterator[int]:
        """Yield the positions."""
        position = self.start
        while True:
            yield position
            position += 1


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
