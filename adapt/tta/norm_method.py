"""What the methods share that update the affine parameters of normalisation layers and nothing else."""

from __future__ import annotations

from typing import TypeVar

import torch
from torch import nn

from adapt.tta.method import Method
from adapt.tta.parameters import build_optimizer, collect_norm_parameters, freeze_but_norms
from adapt.tta.settings import OptimizedSettings

NormSettingsT = TypeVar("NormSettingsT", bound=OptimizedSettings)


class NormMethod(Method[NormSettingsT]):
    """Freezes all but weight and bias of normalisation layers; a subclass says what they learn from."""

    updates = "weight and bias of BatchNorm, LayerNorm, GroupNorm and InstanceNorm"
    optimizer: torch.optim.Optimizer

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name the affine parameters of the normalisation layers."""
        return collect_norm_parameters(self.model)

    def configure(self) -> None:
        """Freeze all but the affine parameters, choose the statistics of BatchNorm and build the optimiser.

        Raises:
            SpecError: if the model has no normalisation layer with affine parameters.
        """
        settings = self.settings
        self.batch_norm = settings.batch_norm
        parameters = freeze_but_norms(self.model, settings.batch_norm)
        self.optimizer = build_optimizer(settings.optimizer, parameters.values(), settings.lr, settings.momentum)
