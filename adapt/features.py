"""General features of a frame, by a frozen copy of a network: what perceptual consistency compares frames by."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from adapt.inference import find_size_divisor

MIN_STRIDE = 8  # ours: all pairs of places of two frames are compared, so finer features cost too much


def build_features(model: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Build the function that gives the features of a frame by a copy of a network as it now stands.

    Args:
        model: A network; it is copied, so that adapting it leaves the features as they are.

    Returns:
        A function from a batch of one, (1, 3, H, W) as the network takes it, to (C, h, w): the network's finest features
        whose stride is `MIN_STRIDE` or more, the coarsest where all are finer. None where the network has no
        `extract_feat`.
    """
    if not callable(getattr(model, "extract_feat", None)):
        return None
    frozen: Any = copy.deepcopy(model).eval().requires_grad_(False)
    divisor = find_size_divisor(model)

    def extract(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        padded = F.pad(images, (0, -width % divisor, 0, -height % divisor))
        with torch.no_grad():
            outputs = frozen.extract_feat(padded)
        layers = [outputs] if isinstance(outputs, Tensor) else list(outputs)
        layers.sort(key=lambda layer: -layer.shape[-1])
        coarse = [layer for layer in layers if padded.shape[-1] >= MIN_STRIDE * layer.shape[-1]]
        chosen: Tensor = (coarse or layers[-1:])[0][0]
        return chosen

    return extract
