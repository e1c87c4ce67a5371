"""The source model as it came: the row that every method is compared with."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adapt.tta.method import Method, Outcome
from adapt.tta.parameters import freeze
from adapt.tta.settings import SourceSettings


class Source(Method[SourceSettings]):
    """Predicts in eval mode and updates nothing."""

    updates = "nothing"
    batch_norm = "source"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Return nothing: no parameter is updated."""
        return {}

    def configure(self) -> None:
        """Freeze the model in eval mode."""
        freeze(self.model)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images."""
        with torch.no_grad():
            return Outcome(self.forward(images))
