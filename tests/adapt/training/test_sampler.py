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


def test_workers_share_the_batches_of_one_process() -> None:
    # 2 iterations of 2 parts: iteration i takes positions [12 i, 12 i + 12), part p of it 6, each worker 2 of these.
    samplers = [PositionSampler(12, 36, 2, rank, 3) for rank in range(3)]

    assert list(samplers[0]) == [12, 13, 18, 19, 24, 25, 30, 31]
    assert list(samplers[2]) == [16, 17, 22, 23, 28, 29, 34, 35]
    assert sorted(position for sampler in samplers for position in sampler) == list(range(12, 36))
    assert [len(sampler) for sampler in samplers] == [8, 8, 8]


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


def test_the_first_worker_draws_what_a_single_process_draws_and_the_others_do_not() -> None:
    seed_iteration(5, 3)
    alone = float(torch.rand(1))
    drawn = []
    for rank in range(3):
        seed_iteration(5, 3, rank)
        drawn.append(float(torch.rand(1)))

    assert drawn[0] == alone
    assert len(set(drawn)) == 3


def test_the_draws_of_an_iteration_are_those_of_earlier_versions() -> None:
    # numpy's own: the first three integers of default_rng(SeedSequence((seed, STEP, iteration))).
    seeds = np.random.default_rng(np.random.SeedSequence((5, 4, 3))).integers(0, 2**32, size=3)
    seed_iteration(5, 3)
    drawn = float(torch.rand(1))
    torch.manual_seed(int(seeds[2]))

    assert drawn == float(torch.rand(1))
