"""A state shares no memory and brings everything back bit for bit."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from adapt.tta.state import copy_state, restore_state, take_state


def build() -> tuple[nn.Module, torch.optim.Optimizer]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    net.register_buffer("transient", torch.ones(2), persistent=False)
    return net, torch.optim.Adam(net.parameters(), lr=0.1)


def train(net: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        net(torch.full((2, 3), float(step)) + torch.eye(2, 3)).square().sum().backward()
        optimizer.step()
    net.transient += steps


def name(net: nn.Module) -> dict[str, torch.Tensor]:
    return {**dict(net.named_parameters()), **dict(net.named_buffers())}


def read(net: nn.Module, optimizer: torch.optim.Optimizer) -> list[torch.Tensor]:
    states = optimizer.state_dict()["state"].values()
    values = [*net.parameters(), *net.buffers(), *(value for state in states for value in state.values())]
    return [value.detach().clone() for value in values]


def test_a_state_in_the_middle_of_training_comes_back_exactly():
    net, optimizer = build()
    train(net, optimizer, 3)
    state, middle = take_state(name(net), optimizer, {"mean": torch.ones(2)}), read(net, optimizer)
    train(net, optimizer, 4)
    end = read(net, optimizer)
    restore_state(state, name(net), optimizer)
    assert len(middle) == 4 + 4 + 4 * 3
    assert all(torch.equal(one, two) for one, two in zip(middle, read(net, optimizer), strict=True))
    assert all(parameter.grad is None for parameter in net.parameters())
    train(net, optimizer, 4)
    assert all(torch.equal(one, two) for one, two in zip(end, read(net, optimizer), strict=True))
    assert not any(torch.equal(one, two) for one, two in zip(middle[:2], end[:2], strict=True))


def test_it_can_be_restored_more_than_once():
    net, optimizer = build()
    state = take_state(name(net), optimizer, {})
    ends = []
    for _ in range(2):
        restore_state(state, name(net), optimizer)
        train(net, optimizer, 3)
        ends.append(read(net, optimizer))
    assert all(torch.equal(one, two) for one, two in zip(*ends, strict=True))


def test_the_own_state_is_copied():
    net, optimizer = build()
    mean = torch.ones(2)
    state = take_state(name(net), optimizer, {"mean": mean})
    mean += 1
    assert torch.equal(state.own["mean"], torch.ones(2))


def test_a_state_does_not_follow_what_came_back_from_it():
    net, optimizer = build()
    train(net, optimizer, 2)
    state, middle = take_state(name(net), optimizer, {"past": [(torch.ones(2), 3)]}), read(net, optimizer)
    restore_state(state, name(net), optimizer)
    train(net, optimizer, 2)
    restore_state(state, name(net), optimizer)
    assert all(torch.equal(one, two) for one, two in zip(middle, read(net, optimizer), strict=True))


def test_a_copy_is_that_of_deepcopy():
    tree = {"a": [torch.ones(2), (1, "x")], 0: {"b": None, "c": torch.zeros((), dtype=torch.int64)}, "d": {1, 2}}
    copied = copy_state(tree)
    assert str(copied) == str(copy.deepcopy(tree))
    tree["a"][0].add_(1)
    tree[0]["c"].add_(1)
    tree["d"].add(3)
    assert str(copied) == "{'a': [tensor([1., 1.]), (1, 'x')], 0: {'b': None, 'c': tensor(0)}, 'd': {1, 2}}"


def test_refuses_another_model_or_a_missing_optimiser():
    net, optimizer = build()
    state = take_state(name(net), optimizer, {})
    with pytest.raises(ValueError, match="with an optimiser exactly if"):
        restore_state(state, name(net), None)
    net.register_buffer("later", torch.ones(1))
    with pytest.raises(ValueError, match="later"):
        restore_state(state, name(net), optimizer)
