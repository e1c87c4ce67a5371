"""Every method by name: one line each."""

from __future__ import annotations

from typing import Any

from torch import nn

from adapt.tta.bn_stats import BnStats
from adapt.tta.method import Forward, Method
from adapt.tta.settings import MethodSettings
from adapt.tta.source import Source
from adapt.tta.tent import Tent

METHODS: dict[str, type[Method[Any]]] = {
    "source": Source,
    "bn_stats": BnStats,
    "tent": Tent,
}


def build_method(settings: MethodSettings, model: nn.Module, forward: Forward, num_classes: int) -> Method[Any]:
    """Prepare a model for a method, in place.

    Args:
        settings: the method's settings; their `name` chooses the class.
        model: the network to adapt, holding the source parameters.
        forward: runs that network: (B, 3, H, W) images -> (B, K, h, w) logits; it must not change modes or stop
            gradients.
        num_classes: K.

    Returns:
        The method, ready for its first frame.

    Raises:
        SpecError: if the model has nothing for the method to work on.
    """
    return METHODS[settings.name](settings, model, forward, num_classes)
