"""What lies between a loss and the step of the optimiser: precision, accumulation, the mean over workers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from adapt.openmmlab import OptimWrapper
from adapt.training.distributed import average_gradients
from adapt.training.settings import Precision

_DTYPES = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}


class StepWrapper(OptimWrapper):
    """mmengine's optimiser wrapper for one step on several parts of a batch, in any precision, on any number of workers.

    A model's `train_step` does `zero_grad`, one or more `backward`, `step` for every part, as if there were one part
    only; or `update_params`, which is the three in this order. The gradient of the step is the mean over parts and
    workers. The weights stay float32 in every precision (autocast); fp16 scales its loss, the others need not.

    Gradients are averaged here, not by DistributedDataParallel: a self-training step runs backward several times, and
    DistributedDataParallel would average, and wait for all workers, in every one of them.

    Attributes:
        part: Index of the current part of the iteration's batch, from 0; set by the loop.
        parts: Number of parts, `TrainSettings.accumulate`.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        precision: Precision = "fp32",
        parts: int = 1,
        device: torch.device | None = None,
    ) -> None:
        """Wrap an optimiser.

        Args:
            optimizer: What steps.
            precision: What forward passes compute in.
            parts: Number of parts of every iteration.
            device: Where the model is; None is the CPU.
        """
        super().__init__(optimizer)
        self.part = 0
        self.parts = parts
        self._dtype = _DTYPES[precision]
        self._device_type = "cpu" if device is None else device.type
        # Switched off it passes losses and steps through, so there is one path.
        self._scaler = torch.amp.GradScaler(self._device_type, enabled=precision == "fp16")

    def zero_grad(self, **kwargs: Any) -> None:
        """Forget the gradients, before the first part only."""
        if self.part == 0:
            super().zero_grad(**kwargs)

    @contextmanager
    def optim_context(self, model: nn.Module) -> Iterator[None]:
        """Compute in the chosen precision inside; losses and norms stay float32 by autocast's own lists."""
        with torch.autocast(self._device_type, dtype=self._dtype, enabled=self._dtype is not None):
            yield

    def backward(self, loss: Tensor, **kwargs: Any) -> None:
        """Add this part's share of the gradient.

        Args:
            loss: Scalar, the mean over this part's images.
            kwargs: For `Tensor.backward`.
        """
        self._scaler.scale(loss / self.parts).backward(**kwargs)

    def step(self, **kwargs: Any) -> None:
        """Average the gradients over the workers and step, after the last part only.

        In fp16 a step whose gradients overflowed is left out, on all workers alike, and the loss scale halved.
        """
        if self.part == self.parts - 1:
            average_gradients(p for group in self.optimizer.param_groups for p in group["params"])
            self._scaler.step(self.optimizer, **kwargs)
            self._scaler.update()

    def update_params(
        self, loss: Tensor, step_kwargs: dict[str, Any] | None = None, zero_kwargs: dict[str, Any] | None = None
    ) -> None:
        """Do all three for a model whose part has a single loss."""
        self.zero_grad(**(zero_kwargs or {}))
        self.backward(loss)
        self.step(**(step_kwargs or {}))

    def state_dict(self) -> dict[str, Any]:
        """Return the optimiser's state and, as `scaler`, the loss scale (empty but in fp16)."""
        return {**super().state_dict(), "scaler": self._scaler.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` returned."""
        rest = dict(state_dict)
        self._scaler.load_state_dict(rest.pop("scaler"))
        super().load_state_dict(rest)
