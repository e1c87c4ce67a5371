"""Which parameters a method updates, and the optimiser over them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from torch import nn

from adapt.errors import SpecError

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
    for layer in model.modules():
        if isinstance(layer, nn.modules.batchnorm._BatchNorm):
            layer.track_running_stats = layer.running_mean is not None


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
