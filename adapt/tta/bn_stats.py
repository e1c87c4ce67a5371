"""BatchNorm by the statistics of the test batch; nothing is updated.

Paper: Evaluating Prediction-Time Batch Normalization for Robustness under Covariate Shift, arXiv 2006.10963; the row
    `norm` of Tent, ICLR 2021, arXiv 2006.10726.
Implements: normalisation of every BatchNorm input by its own mean and biased variance over (B, H, W).
Checked against: outputs of DequanWang/tent, norm.py, on a closed-form input (tests/adapt/tta/test_bn_stats.py).
Deviations: dropout and drop-path stay off (the row `BN Stats Adapt` of published Cityscapes -> ACDC tables has them
    on), the buffers keep their values, and a layer that sees one value per channel (global pooling at batch size 1)
    keeps its source statistics.
Protocol: one pass per frame, which is the scored prediction; there is nothing to reset.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from adapt.errors import SpecError
from adapt.tta.batch_statistics import count_batch_norms, use_batch_statistics
from adapt.tta.method import Method, Outcome
from adapt.tta.parameters import freeze
from adapt.tta.settings import BnStatsSettings


class BnStats(Method[BnStatsSettings]):
    """Predicts with batch statistics in BatchNorm and everything else in eval mode."""

    updates = "nothing"
    batch_norm = "batch"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Return nothing: no parameter is updated."""
        return {}

    def configure(self) -> None:
        """Freeze the model and turn its BatchNorm layers to batch statistics.

        Raises:
            SpecError: if the model has no BatchNorm layer.
        """
        if count_batch_norms(self.model) == 0:
            raise SpecError(
                f"The method `bn_stats` replaces the statistics of BatchNorm layers, but {type(self.model).__name__} "
                "has none (LayerNorm and GroupNorm have no source statistics), so it would equal `source`. Choose "
                "`source`, a method that updates parameters, such as `tent`, or a model with BatchNorm."
            )
        freeze(self.model)
        use_batch_statistics(self.model)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images."""
        with torch.no_grad():
            return Outcome(self.forward(images))
