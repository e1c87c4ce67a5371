"""Entropy minimisation on reliable and new predictions only, over the affine parameters of the normalisation layers.

Paper: Efficient Test-Time Model Adaptation without Forgetting (EATA), ICML 2022, arXiv 2204.02610.
Implements: the sample selection and weights: keep H < E0 with abs(cos(p, moving average of p)) < d, weigh by exp(E0 - H),
    average over what was kept; the moving average keeps 0.9. E0 = margin * ln K.
Checked against: outputs of mr-eggplant/EATA, eata.py, without Fisher information, on closed forms
    (tests/adapt/tta/test_eta.py).
Deviations: the filter judges whole images by the mean over their pixels (`unit: image`) or single pixels (`pixel`); the
    published code knows no pixels. LayerNorm, GroupNorm and InstanceNorm are updated beside BatchNorm. The model is in
    eval mode but for BatchNorm, and a BatchNorm layer that sees one value per channel (global pooling at batch size 1)
    keeps its source statistics. A reset takes back the moving average too, which the published one leaves.
Protocol: the scored prediction is that of the pass whose loss is minimised, so before the update; where nothing is kept
    there is no update. A reset restores parameters, buffers, the optimiser's state and the moving average.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from adapt.tta.method import Outcome, check_finite_loss
from adapt.tta.norm_method import NormMethod
from adapt.tta.reliability import select_reliable_and_new
from adapt.tta.settings import EtaSettings


class Eta(NormMethod[EtaSettings]):
    """Predicts with batch statistics and takes one step down the weighted entropy of what the filter keeps."""

    def configure(self) -> None:
        """Prepare as `NormMethod` does, with no moving average yet.

        Raises:
            SpecError: if the model has no normalisation layer with affine parameters.
        """
        super().configure()
        self.unit = self.settings.unit
        self._average: Tensor | None = None

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images, then take one step if the filter keeps anything.

        Raises:
            NotFiniteError: if an entropy is not finite.
        """
        logits = self.forward(self.model, images)
        selection = select_reliable_and_new(logits, self.settings, self._average)
        notes = {"kept": selection.share}
        if selection.loss is None:
            return Outcome(logits.detach(), skipped=1, notes=notes)
        value = check_finite_loss(selection.loss)
        self.optimizer.zero_grad()
        selection.loss.backward()
        self.optimizer.step()
        self._average = selection.average
        return Outcome(logits.detach(), loss=value, updates=1, notes=notes)

    def own_state(self) -> dict[str, Any]:
        """Return the moving average of the mean probabilities."""
        return {"average": self._average}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the moving average back."""
        self._average = state["average"]
