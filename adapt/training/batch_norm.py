"""Batch norms that see the images of all data-parallel workers as one batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_STATE = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@contextmanager
def synchronise_batch_norm(model: nn.Module, device: torch.device) -> Iterator[None]:
    """Have batch norms in training mode use the statistics of all workers inside the `with` block.

    Parameters and buffers stay the same objects under the same names; afterwards the plain batch norms are back, with
    what was trained and counted.

    Args:
        model: Changed in place; its root is no batch norm.
        device: Where it is. On a GPU torch's SyncBatchNorm does the work; on a CPU that refuses, `JointBatchNorm` does.
    """
    plain = {name: m for name, m in model.named_modules(remove_duplicate=False) if isinstance(m, _BatchNorm)}
    joint = {module: _convert(module, device) for module in plain.values()}
    for name, module in plain.items():
        model.set_submodule(name, joint[module])
    try:
        yield
    finally:
        for name, module in plain.items():
            _share_state(joint[module], module)
            model.set_submodule(name, module)


class JointBatchNorm(_BatchNorm):
    """A batch norm over the joint batch of all workers, for any device; all of them must call it alike.

    Without bfloat16 or float16 in its statistics: they are float32 whatever the input is.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Take (N, C) and (N, C, ...) alike."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, ...); in training by the joint batch, whose statistics enter the running ones."""
        if not self.training:
            return super().forward(input)
        axes = [0, *range(2, input.dim())]
        shape = (1, -1, *[1] * (input.dim() - 2))
        values = input.float()
        count = values.new_tensor([values.numel() / values.shape[1]])
        sums: Tensor = _SumOverWorkers.apply(torch.cat([values.sum(axes), count]))  # (C + 1,)
        total = sums[-1].detach()
        mean = sums[:-1] / total  # (C,)
        # Squares of deviations, not of values: their sum loses no digits where the mean is large.
        deviation = values - mean.view(shape)
        variance: Tensor = _SumOverWorkers.apply(deviation.square().sum(axes)) / total  # (C,)
        self._update_running(mean.detach(), (variance * total / (total - 1)).detach())
        normalised = deviation * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normalised = normalised * self.weight.view(shape) + self.bias.view(shape)
        return normalised.to(input.dtype)

    def _update_running(self, mean: Tensor, unbiased_variance: Tensor) -> None:
        if not self.track_running_stats:
            return
        self.num_batches_tracked.add_(1)
        factor = 1 / self.num_batches_tracked if self.momentum is None else self.momentum
        self.running_mean.mul_(1 - factor).add_(factor * mean)
        self.running_var.mul_(1 - factor).add_(factor * unbiased_variance)


class _SumOverWorkers(torch.autograd.Function):
    """A sum over all workers through which gradients pass: the loss of each depends on the values of all."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        total = values.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def _convert(module: _BatchNorm, device: torch.device) -> nn.Module:
    if device.type == "cuda":
        return nn.SyncBatchNorm.convert_sync_batchnorm(module)
    joint = JointBatchNorm(
        module.num_features, module.eps, module.momentum, module.affine, module.track_running_stats
    ).train(module.training)
    _share_state(module, joint)
    return joint


def _share_state(giver: nn.Module, taker: nn.Module) -> None:
    for name in _STATE:
        setattr(taker, name, getattr(giver, name))
    taker.train(giver.training)
