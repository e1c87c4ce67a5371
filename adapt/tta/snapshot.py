"""The whole state of an adapting model, kept and put back bit for bit."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Snapshot:
    """A copy that shares no memory with what it was taken from.

    Attributes:
        parameters: every parameter by name.
        buffers: every buffer by name, also those that checkpoints leave out.
        optimizer: the optimiser's `state_dict`, or None without an optimiser.
        own: the method's own state.
    """

    parameters: dict[str, Tensor]
    buffers: dict[str, Tensor]
    optimizer: dict[str, Any] | None
    own: dict[str, Any]


def take_snapshot(
    model: nn.Module, optimizer: torch.optim.Optimizer | None = None, own: dict[str, Any] | None = None
) -> Snapshot:
    """Copy parameters, buffers, the optimiser's state and a method's own state.

    Args:
        model: the network.
        optimizer: its optimiser, if it has one.
        own: any further state; copied deeply.

    Returns:
        The snapshot, on the devices of the originals.
    """
    return Snapshot(
        parameters={name: value.detach().clone() for name, value in model.named_parameters()},
        buffers={name: value.detach().clone() for name, value in model.named_buffers()},
        optimizer=None if optimizer is None else copy.deepcopy(optimizer.state_dict()),
        own=copy.deepcopy(own or {}),
    )


def restore_snapshot(snapshot: Snapshot, model: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Write a snapshot back in place, so that the optimiser keeps pointing at the same parameters.

    Gradients are dropped. The method's own state (`snapshot.own`) is for the method to take back.

    Args:
        snapshot: taken from this model and optimiser.
        model: the network.
        optimizer: its optimiser, exactly if the snapshot was taken with one.

    Raises:
        ValueError: if the names of parameters or buffers, or the presence of an optimiser, differ from the snapshot's.
    """
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    if parameters.keys() != snapshot.parameters.keys() or buffers.keys() != snapshot.buffers.keys():
        changed = (parameters.keys() ^ snapshot.parameters.keys()) | (buffers.keys() ^ snapshot.buffers.keys())
        raise ValueError(f"the model's parameters or buffers changed since the snapshot: {', '.join(sorted(changed))}")
    if (optimizer is None) != (snapshot.optimizer is None):
        raise ValueError("a snapshot is restored with an optimiser exactly if it was taken with one")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(snapshot.parameters[name])
            parameter.grad = None
        for name, buffer in buffers.items():
            buffer.copy_(snapshot.buffers[name])
    if optimizer is not None:
        optimizer.load_state_dict(copy.deepcopy(snapshot.optimizer))
