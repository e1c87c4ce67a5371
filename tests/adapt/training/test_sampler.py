"""Positions, orders and generators."""

from __future__ import annotations

import random

import numpy as np
import torch

from adapt.training.randomness import Purpose, draw_generator, seed_iteration
from adapt.training.sampler import PositionSampler, pick_shuffled


def test_sampler_starts_where_told() -> None:
    sampler = PositionSampler(7, 11)

    assert list(sampler) == [7, 8, 9, 10]
    assert len(sampler) == 4


def test_every_epoch_visits_all_in_its_own_order() -> None:
    epochs = [[pick_shuffled(3, epoch * 20 + offset, 20) for offset in range(20)] for epoch in range(3)]

    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [pick_shuffled(4, offset, 20) for offset in range(20)] != epochs[0]
    # Asked out of order, the answers stay.
    assert pick_shuffled(3, 45, 20) == epochs[2][5]


def test_generators_differ_by_every_part_of_their_key() -> None:
    keys = [(0, Purpose.SOURCE, 1), (0, Purpose.SOURCE, 2), (0, Purpose.TARGET, 1), (1, Purpose.SOURCE, 1)]
    draws = {draw_generator(*key).integers(2**62) for key in keys}

    assert len(draws) == 4
    assert draw_generator(0, Purpose.SOURCE, 1).integers(2**62) in draws


def test_seeding_an_iteration_seeds_all_three() -> None:
    def draw(iteration: int) -> tuple[float, float, float]:
        seed_iteration(5, iteration)
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    first = draw(3)
    others = draw(4)

    assert draw(3) == first
    assert all(a != b for a, b in zip(first, others, strict=True))
