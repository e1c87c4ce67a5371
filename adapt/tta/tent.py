"""Entropy minimisation over the affine parameters of the normalisation layers.

Paper: Tent: Fully Test-Time Adaptation by Entropy Minimization, ICLR 2021, arXiv 2006.10726.
Implements: section 3, H(y) = -sum_c p(y_c) log p(y_c), averaged over all pixels of the batch, one step per batch.
Checked against: outputs of DequanWang/tent, tent.py, Adam and SGD, on closed forms (tests/adapt/tta/test_tent.py).
Deviations: LayerNorm, GroupNorm and InstanceNorm are updated beside BatchNorm. The model is in eval mode but for
    BatchNorm (the official code is in train mode: dropout on), and a BatchNorm layer that sees one value per channel
    (global pooling at batch size 1) keeps its source statistics. `Tent` in published Cityscapes -> ACDC tables is
    another loss, the cross-entropy to the model's own argmax.
Protocol: the scored prediction is that of the pass whose loss is minimised, so before the update. A reset restores
    parameters, buffers and the optimiser's state.
"""

from __future__ import annotations

from torch import Tensor

from adapt.tta.entropy import mean_entropy
from adapt.tta.method import Outcome, check_finite_loss
from adapt.tta.norm_method import NormMethod
from adapt.tta.settings import TentSettings


class Tent(NormMethod[TentSettings]):
    """Predicts with batch statistics and takes one step down the mean entropy."""

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images, then take one step on their mean entropy.

        Raises:
            NotFiniteError: if the entropy is not finite.
        """
        logits = self.forward(self.model, images)
        loss = mean_entropy(logits)
        value = check_finite_loss(loss)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return Outcome(logits.detach(), loss=value, updates=1)
