"""Every method by name: one line each."""

from __future__ import annotations

from typing import Any

from torch import nn

from adapt.tta.bn_stats import BnStats
from adapt.tta.method import Method
from adapt.tta.settings import MethodSettings
from adapt.tta.source import Source
from adapt.tta.supplies import Forward, Supplies
from adapt.tta.tent import Tent

METHODS: dict[str, type[Method[Any]]] = {
    "source": Source,
    "bn_stats": BnStats,
    "tent": Tent,
}


def build_method(
    settings: MethodSettings,
    model: nn.Module,
    forward: Forward,
    num_classes: int,
    supplies: Supplies = Supplies(),  # noqa: B008  frozen: nothing can be shared by it
) -> Method[Any]:
    """Prepare a model for a method, in place.

    Args:
        settings: the method's settings; their `name` chooses the class.
        model: the network to adapt, holding the source parameters.
        forward: runs a network on a batch, see `adapt.tta.supplies.Forward`.
        num_classes: K.
        supplies: what the method needs beside the model, see `adapt.tta.settings.list_needs`.

    Returns:
        The method, ready for its first frame.

    Raises:
        SpecError: if the model has nothing for the method to work on, or a supply that it needs is missing.
    """
    return METHODS[settings.name](settings, model, forward, num_classes, supplies)
