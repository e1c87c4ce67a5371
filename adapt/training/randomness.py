"""Randomness that depends on where a run is, not on how it got there.

Every draw of a training run comes from a generator keyed by (seed, purpose, position). A resumed run, or one with more
loader workers, therefore draws exactly what an undisturbed one draws, and no generator state has to be saved.
"""

from __future__ import annotations

import random
from enum import IntEnum

import numpy as np
import torch


class Purpose(IntEnum):
    """What a draw is for: purposes never share a stream. The numbers are ours and must not change."""

    ORDER = 1
    SOURCE = 2
    TARGET = 3
    STEP = 4
    METHOD = 5


def draw_generator(seed: int, purpose: Purpose, position: int) -> np.random.Generator:
    """Make the generator of one position.

    Args:
        seed: The run's seed, not negative.
        purpose: What the draws are for.
        position: Index of the sample, epoch or iteration.

    Returns:
        A fresh generator; equal arguments give equal draws on every machine (NumPy's `SeedSequence` is stable).
    """
    return np.random.default_rng(np.random.SeedSequence((seed, int(purpose), position)))


def seed_iteration(seed: int, iteration: int, rank: int = 0) -> None:
    """Seed python, numpy and torch (all devices) for one iteration: drop-out and drop-path draw from these.

    Args:
        seed: The run's seed.
        iteration: Index of the iteration, from 0.
        rank: Index of the data-parallel worker; each drops out other parts of the network.
    """
    seeds = draw_generator(seed, Purpose.STEP, iteration).integers(0, 2**32, size=(rank + 1, 3))[rank]
    for_python, for_numpy, for_torch = (int(value) for value in seeds)
    random.seed(for_python)
    np.random.seed(for_numpy)
    torch.manual_seed(for_torch)
