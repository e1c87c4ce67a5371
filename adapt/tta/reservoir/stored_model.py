"""One adapted model of a base method, kept aside while another one runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from adapt.tta.parameters import copy_optimizer
from adapt.tta.state import copy_state


@dataclass(eq=False)
class StoredModel:
    """What a base method has made of one cluster.

    Attributes:
        values: of all tensors that the base may change, in its order.
        optimizer: over the base's live parameters, with this model's own state: it is swapped in, never copied.
        own: the base's own state (moving averages, generators).
        batch_weight: of the batch's statistics in BatchNorm; None leaves them to the base.
    """

    values: list[Tensor]
    optimizer: torch.optim.Optimizer
    own: dict[str, Any]
    batch_weight: float | None

    def clone(self) -> StoredModel:
        """Return a copy that shares no memory but the base's live parameters, to which both optimisers point."""
        return StoredModel(
            [value.clone() for value in self.values],
            copy_optimizer(self.optimizer),
            copy_state(self.own),
            self.batch_weight,
        )

    def save(self) -> dict[str, Any]:
        """Return the state; its tensors are the live ones."""
        return {
            "values": self.values,
            "optimizer": self.optimizer.state_dict(),
            "own": self.own,
            "batch_weight": self.batch_weight,
        }

    @classmethod
    def restore(cls, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> StoredModel:
        """Build a model from a state that `save` returned, and keep its tensors.

        Args:
            state: the state.
            optimizer: over the base's live parameters; it takes the state's values.

        Returns:
            The model.
        """
        optimizer.load_state_dict(state["optimizer"])
        return cls(state["values"], optimizer, state["own"], state["batch_weight"])
