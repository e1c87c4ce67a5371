"""What gives way in a full buffer."""

from __future__ import annotations

import copy

import pytest
import torch

from adapt.tta.reservoir.style_buffer import StyleBuffer


def fill(buffer, numbers, capacity):
    for number in numbers:
        buffer.add(torch.tensor([float(number)]), capacity)
    return buffer.styles.flatten().tolist()


def test_fifo_drops_the_oldest_and_grows_with_its_capacity():
    buffer = StyleBuffer("fifo", seed=0)
    assert fill(buffer, range(5), 3) == [2, 3, 4]
    assert fill(buffer, [5, 6, 7], 5) == [3, 4, 5, 6, 7]


def test_replace_overwrites_the_newest():
    buffer = StyleBuffer("replace", seed=0)
    assert fill(buffer, range(5), 3) == [0, 1, 4]


def test_reservoir_sampling_keeps_every_style_equally_often():
    counts = torch.zeros(20)
    for seed in range(1500):
        for number in fill(StyleBuffer("reservoir", seed), range(20), 5):
            counts[int(number)] += 1
    # 1500 runs, each style kept with chance 5/20: mean 375, standard deviation 16.8; five of them either way.
    assert counts.sum() == 1500 * 5
    assert counts.min() > 375 - 84
    assert counts.max() < 375 + 84


def test_leaves_the_global_random_state_alone_and_repeats_from_a_saved_state():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    buffer = StyleBuffer("reservoir", seed=1)
    fill(buffer, range(8), 3)
    saved = copy.deepcopy(buffer.save())
    first = fill(buffer, range(8, 30), 3)
    assert torch.equal(torch.get_rng_state(), before)
    buffer.load(copy.deepcopy(saved))
    assert buffer.seen == 8
    assert fill(buffer, range(8, 30), 3) == first
    other = StyleBuffer("reservoir", seed=2)
    assert fill(other, range(30), 3) != first


def test_keeps_a_copy_of_the_first_style():
    style = torch.zeros(2)
    buffer = StyleBuffer("fifo", seed=0)
    buffer.add(style, 2)
    style += 1
    assert buffer.styles.tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("replacement", ["fifo", "replace", "reservoir"])
def test_never_holds_more_than_its_capacity(replacement):
    buffer = StyleBuffer(replacement, seed=0)
    assert len(fill(buffer, range(10), 4)) == 4
