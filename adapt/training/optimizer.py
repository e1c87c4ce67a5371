"""The optimiser, with its parameters in at most four groups: (backbone or head) x (decayed or norm)."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from adapt.training.settings import OptimizerSettings

NORM_LAYERS = (_NormBase, nn.LayerNorm, nn.GroupNorm)
# DAFormer's `custom_keys`: position embeddings and whatever is called a norm are not decayed.
UNDECAYED_NAMES = ("norm", "pos_block", "position_embedding", "pos_embed")


def build_optimizer(model: nn.Module, settings: OptimizerSettings) -> torch.optim.Optimizer:
    """Build AdamW or SGD over the trainable parameters.

    A parameter is the head's when its name has a part that ends in `head` (`decode_head`, `auxiliary_head`). It is a
    norm's when its module is a norm layer or its name says so: mmseg 1.x calls MiT's stage-final norms `layers.i.2`, so
    names alone do not find them. DAFormer's own name rules let decay stay on the few norms inside the head; here no
    norm is decayed, head or not.

    Args:
        model: The network to train, on its device; frozen parameters are left out.
        settings: Rates and factors.

    Returns:
        The optimiser, its first group holding the plain learning rate. Each group has a `name`: `backbone`,
        `backbone_norm`, `head` or `head_norm`.
    """
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for module_name, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if not parameter.requires_grad:
                continue
            full_name = f"{module_name}.{name}"
            in_head = any(part.endswith("head") for part in full_name.split("."))
            is_norm = isinstance(module, NORM_LAYERS) or any(word in full_name for word in UNDECAYED_NAMES)
            groups.setdefault((in_head, is_norm), []).append(parameter)

    options: list[dict[str, Any]] = [
        {
            "name": ("head" if in_head else "backbone") + ("_norm" if is_norm else ""),
            "params": groups[in_head, is_norm],
            "lr": settings.lr * (settings.head_lr_multiplier if in_head else 1.0),
            "weight_decay": settings.weight_decay * (settings.norm_decay_multiplier if is_norm else 1.0),
        }
        for in_head, is_norm in sorted(groups)
    ]
    # One kernel for all parameters, which leaves out an overflowed fp16 step without asking the host. On a CPU torch's
    # plain loop, whose numbers are on the leaderboards.
    fused = any(parameter.is_cuda for parameters in groups.values() for parameter in parameters)
    if settings.type == "sgd":
        return torch.optim.SGD(options, lr=settings.lr, momentum=settings.momentum, fused=fused)
    return torch.optim.AdamW(options, lr=settings.lr, betas=settings.betas, fused=fused)
