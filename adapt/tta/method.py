"""What every method of test-time adaptation does: prepare a model, predict and learn, go back to the start."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

import torch
from torch import Tensor, nn

from adapt.errors import TaskError
from adapt.settings import Settings
from adapt.tta.batch_norm import list_batch_norms
from adapt.tta.state import State, copy_state, restore_state, take_state
from adapt.tta.supplies import Forward, Supplies

SettingsT = TypeVar("SettingsT", bound=Settings)


class NotFiniteError(TaskError):
    """A loss, a prediction or an adapted parameter is infinite or not a number."""


@dataclass(frozen=True)
class Outcome:
    """What one call of `predict_and_adapt` gave.

    Attributes:
        logits: (B, K, h, w), the prediction to be scored; made before the update unless the method's header says
            otherwise; detached. Log-probabilities will do: only their softmax and argmax are used.
        loss: the value that was minimised, or None where the method has none or did not update.
        updates: optimiser steps taken.
        skipped: optimiser steps that the method decided not to take (a filter kept nothing).
        notes: numbers of the method's own for the frame's log: `kept` (share of pixels or images that a filter kept),
            `cluster`, `models` ...
    """

    logits: Tensor
    loss: float | None = None
    updates: int = 0
    skipped: int = 0
    notes: Mapping[str, float] = field(default_factory=dict)


class Method(ABC, Generic[SettingsT]):
    """The base of every method; a subclass is one file and one line in the catalogue.

    The constructor prepares the model in place (`configure`) and remembers the state it starts from, to which `reset`
    returns bit for bit. A second method on the same model starts from whatever parameters it then holds: reset the
    first one before.

    Args:
        settings: the method's own settings.
        model: any network; what the method does not update stays as it is.
        forward: runs a network on a batch, `self.forward(self.model, images)`.
        num_classes: K, the number of channels of the logits.
        supplies: what the method needs beside the model.

    Attributes:
        updates: what the method may change, in words, for the record.
        unit: what its filter keeps or leaves, `image` or `pixel`, for the record; None without a filter.
        batch_norm: whose statistics BatchNorm uses, for the record; set by `configure` for a network that has any.
        scored: whether the scored prediction is made before or after the frame has changed the model, for the record.
        optimizer: set by `configure` where the method has one.
    """

    updates: str
    unit: str | None = None
    batch_norm: str
    scored: Literal["before the update", "after the update"] = "before the update"
    optimizer: torch.optim.Optimizer | None = None

    def __init__(
        self,
        settings: SettingsT,
        model: nn.Module,
        forward: Forward,
        num_classes: int,
        supplies: Supplies = Supplies(),  # noqa: B008  frozen: nothing can be shared by it
    ) -> None:
        self.settings = settings
        self.model = model
        self.forward = forward
        self.num_classes = num_classes
        self.supplies = supplies
        self.configure()
        if not list_batch_norms(model):
            self.batch_norm = "none: the network has no BatchNorm"
        self._start = self.save()

    @abstractmethod
    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name the parameters that the optimiser updates; all else but `collect_tensors` stays as it is."""

    @abstractmethod
    def configure(self) -> None:
        """Set the modes, `requires_grad`, the optimiser and the method's own state.

        Raises:
            SpecError: if the model has nothing for the method to work on, or a supply that it needs is missing.
        """

    @abstractmethod
    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict a batch, then update the model from it.

        Args:
            images: (B, 3, H, W), as `forward` takes them.

        Returns:
            The prediction, and what the update did.

        Raises:
            NotFiniteError: if the loss is not finite; the model is then not updated.
        """

    def predict(self, images: Tensor) -> Tensor:
        """Predict a batch from the parameters as they stand, and learn nothing.

        Args:
            images: (B, 3, H, W).

        Returns:
            (B, K, h, w) as `Outcome.logits`.
        """
        with torch.no_grad():
            return self.forward(self.model, images)

    def collect_tensors(self) -> dict[str, Tensor]:
        """Name everything that the method may change: parameters and buffers, of whatever network.

        Those of `collect_parameters` unless overridden (running statistics, a teacher's weights).
        """
        return dict(self.collect_parameters())

    def collect_deciding_tensors(self) -> dict[str, Tensor]:
        """Name those tensors of `collect_tensors` that decide the prediction: what ReservoirTTA ensembles.

        Those of `collect_parameters` unless overridden (a teacher's weights). All are floating-point.
        """
        return dict(self.collect_parameters())

    def own_state(self) -> dict[str, Any]:
        """Return the state outside tensors and optimiser (moving averages, generators); empty unless overridden."""
        return {}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take back what `own_state` returned; it receives a copy that it may keep."""

    def save(self) -> State:
        """Copy everything that the method has changed or may change."""
        return take_state(self.collect_tensors(), self.optimizer, self.own_state())

    def load(self, state: State) -> None:
        """Go back, bit for bit, to a state of this method that `save` returned."""
        restore_state(state, self.collect_tensors(), self.optimizer)
        self.load_own_state(copy_state(state.own))

    def reset(self) -> None:
        """Go back, bit for bit, to the state after construction."""
        self.load(self._start)

    def is_finite(self) -> bool:
        """Tell whether every tensor that the method may change holds finite numbers only (one look at the device)."""
        floating = [tensor.detach() for tensor in self.collect_tensors().values() if tensor.is_floating_point()]
        if not floating:
            return True
        return bool(torch.stack([norm.double() for norm in torch._foreach_norm(floating)]).isfinite().all())


def check_finite_loss(loss: Tensor) -> float:
    """Return the value of a scalar loss, or stop.

    Args:
        loss: a scalar.

    Returns:
        Its value.

    Raises:
        NotFiniteError: if it is infinite or not a number.
    """
    value = float(loss.detach())
    if not -float("inf") < value < float("inf"):
        raise NotFiniteError(
            f"The loss of the adaptation is {value}, so no update was made. Lower the learning rate (`lr`), or choose "
            "a reset policy that returns to the source before the model diverges."
        )
    return value
