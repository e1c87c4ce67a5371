"""BatchNorm by a blend of the source's statistics with those of the test batch; nothing is updated.

Paper: Improving robustness against common corruptions by covariate shift adaptation, NeurIPS 2020, arXiv 2006.16971;
    with one fixed weight: Test-time Batch Statistics Calibration for Covariate Shift, arXiv 2110.04065.
Implements: (1 - alpha) * source + alpha * test batch for mean and variance, the batch's variance divided by n - 1.
Checked against: outputs of the published AlphaBatchNorm on a closed-form input (tests/adapt/tta/test_bn_alpha.py).
Deviations: dropout and drop-path stay off, the buffers keep their values, and a layer that sees one value per channel
    (global pooling at batch size 1) keeps its source statistics.
Protocol: one pass per frame, which is the scored prediction; there is nothing to reset.
"""

from __future__ import annotations

from torch import Tensor, nn

from adapt.tta.batch_norm import require_batch_norm, use_batch_statistics
from adapt.tta.method import Method, Outcome
from adapt.tta.parameters import freeze
from adapt.tta.settings import BnAlphaSettings


class BnAlpha(Method[BnAlphaSettings]):
    """Predicts with blended statistics in BatchNorm and everything else in eval mode."""

    updates = "nothing"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Return nothing: no parameter is updated."""
        return {}

    def configure(self) -> None:
        """Freeze the model and let its BatchNorm layers blend their statistics.

        Raises:
            SpecError: if the model has no BatchNorm layer.
        """
        require_batch_norm(self.model, self.settings.name)
        self.batch_norm = f"{self.settings.alpha:g} batch + {1 - self.settings.alpha:g} source"
        freeze(self.model)
        use_batch_statistics(self.model, self.settings.alpha, unbiased=True)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images."""
        return Outcome(self.predict(images))
