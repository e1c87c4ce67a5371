"""What a method has changed so far, kept and put back bit for bit."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class State:
    """A copy that shares no memory with what it was taken from.

    Attributes:
        tensors: every tensor that the method may change (parameters, buffers), by name.
        optimizer: the optimiser's `state_dict`, or None without an optimiser.
        own: the method's own state (moving averages, generators).
    """

    tensors: dict[str, Tensor]
    optimizer: dict[str, Any] | None
    own: dict[str, Any]


def take_state(tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None, own: Mapping[str, Any]) -> State:
    """Copy tensors, the optimiser's state and a method's own state, on the devices of the originals."""
    return State(
        tensors={name: tensor.detach().clone() for name, tensor in tensors.items()},
        optimizer=None if optimizer is None else copy_state(optimizer.state_dict()),
        own=copy_state(dict(own)),
    )


def copy_state(state: Any) -> Any:
    """Copy a tree of dictionaries, lists and tuples with tensors and other values at its leaves.

    The same as `copy.deepcopy`, which takes several times as long for the many small tensors of an optimiser.
    """
    if isinstance(state, Tensor):
        return state.detach().clone()
    if isinstance(state, dict):
        return {key: copy_state(value) for key, value in state.items()}
    if isinstance(state, list | tuple):
        return type(state)(copy_state(value) for value in state)
    return copy.deepcopy(state)


def restore_state(state: State, tensors: Mapping[str, Tensor], optimizer: torch.optim.Optimizer | None) -> None:
    """Write a state back in place, so that the optimiser keeps pointing at the same parameters.

    Gradients are dropped. The method's own state (`state.own`) is for the method to take back.

    Args:
        state: taken from these tensors and this optimiser.
        tensors: the tensors, by the same names.
        optimizer: the optimiser, exactly if the state was taken with one.

    Raises:
        ValueError: if the names of the tensors, or the presence of an optimiser, differ from the state's.
    """
    if tensors.keys() != state.tensors.keys():
        changed = tensors.keys() ^ state.tensors.keys()
        raise ValueError(f"the tensors that may change are others than the state's: {', '.join(sorted(changed))}")
    if (optimizer is None) != (state.optimizer is None):
        raise ValueError("a state is restored with an optimiser exactly if it was taken with one")
    with torch.no_grad():
        for name, tensor in tensors.items():
            tensor.copy_(state.tensors[name])
            tensor.grad = None
    if optimizer is not None and state.optimizer is not None:
        optimizer.load_state_dict(copy_state(state.optimizer))
