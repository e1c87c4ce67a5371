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

from torch import Tensor, nn

from adapt.tta.batch_norm import require_batch_norm, use_batch_statistics
from adapt.tta.method import Method, Outcome
from adapt.tta.parameters import freeze
from adapt.tta.settings import BnStatsSettings


class BnStats(Method[BnStatsSettings]):
    """Predicts with batch statistics in BatchNorm and everything else in eval mode."""

    updates = "nothing"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Return nothing: no parameter is updated."""
        return {}

    def configure(self) -> None:
        """Freeze the model and turn its BatchNorm layers to batch statistics.

        Raises:
            SpecError: if the model has no BatchNorm layer.
        """
        require_batch_norm(self.model, self.settings.name)
        self.batch_norm = "batch"
        freeze(self.model)
        use_batch_statistics(self.model)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images."""
        return Outcome(self.predict(images))
