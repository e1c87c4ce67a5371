"""Every method by name: one line each."""

from __future__ import annotations

from typing import Any

from torch import nn

from adapt.tta.auxadapt import AuxAdapt
from adapt.tta.bn_alpha import BnAlpha
from adapt.tta.bn_ema import BnEma
from adapt.tta.bn_stats import BnStats
from adapt.tta.bn_train import BnTrain
from adapt.tta.cotta import Cotta
from adapt.tta.eata import Eata
from adapt.tta.eta import Eta
from adapt.tta.memo import Memo
from adapt.tta.method import Method
from adapt.tta.pseudo_label import PseudoLabel
from adapt.tta.rdumb import Rdumb
from adapt.tta.reservoir.reservoir import Reservoir
from adapt.tta.sar import Sar
from adapt.tta.settings import MethodSettings
from adapt.tta.source import Source
from adapt.tta.supplies import Forward, Supplies
from adapt.tta.tent import Tent

METHODS: dict[str, type[Method[Any]]] = {
    "source": Source,
    "bn_stats": BnStats,
    "bn_alpha": BnAlpha,
    "bn_ema": BnEma,
    "bn_train": BnTrain,
    "tent": Tent,
    "pseudo_label": PseudoLabel,
    "eta": Eta,
    "eata": Eata,
    "sar": Sar,
    "cotta": Cotta,
    "rdumb": Rdumb,
    "memo": Memo,
    "auxadapt": AuxAdapt,
    "reservoir": Reservoir,
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
