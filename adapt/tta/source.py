"""The source model as it came: the row that every method is compared with.

Paper: none of its own; the row `source` of Tent, ICLR 2021, arXiv 2006.10726.
Implements: the prediction of the model in eval mode, all statistics and parameters as trained.
Checked against: the plain model in eval mode, bit for bit (tests/adapt/tta/test_source.py).
Deviations: none.
Protocol: one pass per frame, which is the scored prediction; there is nothing to reset.
"""

from __future__ import annotations

from torch import Tensor, nn

from adapt.tta.method import Method, Outcome
from adapt.tta.parameters import freeze
from adapt.tta.settings import SourceSettings


class Source(Method[SourceSettings]):
    """Predicts in eval mode and updates nothing."""

    updates = "nothing"

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Return nothing: no parameter is updated."""
        return {}

    def configure(self) -> None:
        """Freeze the model in eval mode."""
        self.batch_norm = "source"
        freeze(self.model)

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images."""
        return Outcome(self.predict(images))
