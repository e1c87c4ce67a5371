"""What every method of test-time adaptation does: prepare a model, predict and learn, go back to the start."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from adapt.errors import TaskError
from adapt.settings import Settings
from adapt.tta.snapshot import restore_snapshot, take_snapshot

Forward = Callable[[Tensor], Tensor]
"""A batch of images (B, 3, H, W), as the model takes them, to its logits (B, K, h, w), differentiable."""

SettingsT = TypeVar("SettingsT", bound=Settings)


@dataclass(frozen=True)
class Outcome:
    """What one call of `predict_and_adapt` gave.

    Attributes:
        logits: (B, K, h, w), the prediction to be scored, made before the update; detached.
        loss: the value that was minimised, or None where the method has none.
        updates: optimiser steps taken.
        skipped: optimiser steps that the method decided not to take (a filter kept nothing).
    """

    logits: Tensor
    loss: float | None = None
    updates: int = 0
    skipped: int = 0


class Method(ABC, Generic[SettingsT]):
    """The base of every method; a subclass is one file and one line in the catalogue.

    The constructor prepares the model in place (`configure`) and remembers the state it starts from, to which `reset`
    returns bit for bit: parameters, buffers, the optimiser's state and the method's own state. A second method on the
    same model starts from whatever parameters it then holds: reset the first one before.

    Args:
        settings: the method's own settings.
        model: any network; what the method does not update stays as it is.
        forward: runs `model` on a batch. It must leave modes and gradients alone (no `eval()`, no `no_grad`).
        num_classes: K, the number of channels of the logits.

    Attributes:
        updates: what the method may change, in words, for the record.
        batch_norm: whose statistics BatchNorm uses, for the record.
        optimizer: set by `configure` where the method has one.
    """

    updates: ClassVar[str]
    batch_norm: ClassVar[Literal["source", "batch"]]

    def __init__(self, settings: SettingsT, model: nn.Module, forward: Forward, num_classes: int) -> None:
        self.settings = settings
        self.model = model
        self.forward = forward
        self.num_classes = num_classes
        self.optimizer: torch.optim.Optimizer | None = None
        self.configure()
        self._start = take_snapshot(model, self.optimizer, self.own_state())

    @abstractmethod
    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name the parameters of the model that the method updates; everything else is frozen."""

    @abstractmethod
    def configure(self) -> None:
        """Set the modes, `requires_grad`, the optimiser and the method's own state.

        Raises:
            SpecError: if the model has nothing for the method to work on.
        """

    @abstractmethod
    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict a batch, then update the model from it.

        Args:
            images: (B, 3, H, W), as `forward` takes them.

        Returns:
            The prediction made before the update, and what the update did.

        Raises:
            TaskError: if the loss is not finite; the model is then not updated.
        """

    def own_state(self) -> dict[str, Any]:
        """Return the state outside model and optimiser (moving averages, generators); empty unless overridden."""
        return {}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take back what `own_state` returned; it receives a copy that it may keep."""

    def reset(self) -> None:
        """Go back, bit for bit, to the state after construction."""
        restore_snapshot(self._start, self.model, self.optimizer)
        self.load_own_state(copy.deepcopy(self._start.own))


def check_finite_loss(loss: Tensor) -> float:
    """Return the value of a scalar loss, or stop.

    Args:
        loss: a scalar.

    Returns:
        Its value.

    Raises:
        TaskError: if it is infinite or not a number.
    """
    value = float(loss.detach())
    if not torch.isfinite(loss.detach()):
        raise TaskError(
            f"The loss of the adaptation is {value}, so no update was made. Lower the learning rate (`lr`), or choose "
            "a reset policy that returns to the source before the model diverges."
        )
    return value
