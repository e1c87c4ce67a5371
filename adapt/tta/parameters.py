"""Which parameters a method updates, and the optimiser over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import torch
from torch import nn

from adapt.errors import SpecError
from adapt.tta.batch_norm import use_batch_statistics, use_source_statistics
from adapt.tta.state import copy_state

NORM_LAYERS = (nn.modules.batchnorm._BatchNorm, nn.LayerNorm, nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)


def collect_norm_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Collect the affine weight and bias of every BatchNorm, LayerNorm, GroupNorm and InstanceNorm layer.

    Args:
        model: the network.

    Returns:
        Full parameter name -> parameter, in the order of the network.

    Raises:
        SpecError: if there is none.
    """
    found = {
        f"{layer_name}.{name}" if layer_name else name: parameter
        for layer_name, layer in model.named_modules()
        if isinstance(layer, NORM_LAYERS)
        for name, parameter in layer.named_parameters(recurse=False)
    }
    if not found:
        raise SpecError(
            "The method updates the affine parameters of normalisation layers (BatchNorm, LayerNorm, GroupNorm, "
            f"InstanceNorm), but {type(model).__name__} has none. Choose a model that has them, or the method `source`."
        )
    return found


def freeze(model: nn.Module, except_for: Mapping[str, nn.Parameter] | None = None) -> None:
    """Put the whole model into eval mode and let only the named parameters receive gradients.

    BatchNorm goes back to the statistics of its buffers and dropout and drop-path are off, whatever an earlier method
    had set.

    Args:
        model: the network, changed in place.
        except_for: the parameters that stay trainable; none by default.
    """
    model.eval()
    model.requires_grad_(False)
    for parameter in (except_for or {}).values():
        parameter.requires_grad_(True)
    use_source_statistics(model)


def freeze_but_norms(model: nn.Module, batch_norm: Literal["batch", "source"]) -> dict[str, nn.Parameter]:
    """Freeze a model but for the affine parameters of its normalisation layers, and choose BatchNorm's statistics.

    Args:
        model: the network, changed in place.
        batch_norm: whose statistics BatchNorm uses from now on: the test batch's or the source's.

    Returns:
        What stays trainable, see `collect_norm_parameters`.

    Raises:
        SpecError: if the model has no such parameters.
    """
    parameters = collect_norm_parameters(model)
    freeze(model, except_for=parameters)
    if batch_norm == "batch":
        use_batch_statistics(model)
    return parameters


def build_optimizer(
    name: Literal["adam", "sgd"], parameters: Iterable[nn.Parameter], lr: float, momentum: float
) -> torch.optim.Optimizer:
    """Build an optimiser without weight decay.

    Args:
        name: `adam` (betas 0.9 and 0.999, as the official Tent) or `sgd` (no Nesterov).
        parameters: what it updates.
        lr: learning rate.
        momentum: of SGD; Adam does not read it.

    Returns:
        The optimiser, with an empty state.
    """
    if name == "adam":
        return torch.optim.Adam(parameters, lr=lr, betas=(0.9, 0.999), weight_decay=0.0)
    return torch.optim.SGD(parameters, lr=lr, momentum=momentum, weight_decay=0.0)


def copy_optimizer(optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
    """Return a second optimiser over the same parameters, with a copy of the first one's settings and state."""
    kind: type[Any] = type(optimizer)
    twin: torch.optim.Optimizer = kind([{"params": group["params"]} for group in optimizer.param_groups])
    twin.load_state_dict(copy_state(optimizer.state_dict()))
    return twin
