"""The first convolutions of a segmentor, run alone: the rest of the network is never reached."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from adapt.errors import SpecError
from adapt.tta.parameters import freeze
from adapt.tta.supplies import Forward


class EarlyLayers:
    """A frozen copy of a network, stopped after its first convolutions.

    It is a copy because a method changes the normalisation layers between the convolutions of the network itself.

    Args:
        model: the network with its source weights; it is copied.
        forward: runs a network on a batch.
        layers: how many convolutions are read, in the order in which they run.
    """

    def __init__(self, model: nn.Module, forward: Forward, layers: int) -> None:
        self._network = copy.deepcopy(model)
        self._forward = forward
        self._layers = layers
        self._outputs: list[Tensor] = []
        freeze(self._network)
        for module in self._network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(self._keep)

    def __call__(self, images: Tensor) -> list[Tensor]:
        """Return the outputs of the first convolutions, before normalisation and activation.

        Args:
            images: (B, 3, H, W), as the network takes them.

        Returns:
            One (B, C, h, w) for each convolution.

        Raises:
            SpecError: if the network runs fewer convolutions.
        """
        self._outputs = []
        try:
            with torch.no_grad():
                self._forward(self._network, images)
        except _EnoughError:
            return self._outputs
        finally:
            self._outputs = []
        raise SpecError(
            f"The style extractor reads {self._layers} convolutions, but {type(self._network).__name__} runs fewer. "
            "Lower its `layers`, or use the extractor `vgg19`."
        )

    def _keep(self, module: nn.Module, inputs: Any, output: Tensor) -> None:
        self._outputs.append(output.clone())  # what follows may change it in place
        if len(self._outputs) == self._layers:
            raise _EnoughError


class _EnoughError(Exception):
    """All outputs that are wanted are there; the rest of the forward pass is left out."""
