"""Cross-entropy to the model's own argmax over the affine parameters of the normalisation layers.

Paper: none of its own; the row `Tent` of CoTTA, CVPR 2022, arXiv 2203.13591, table for Cityscapes -> ACDC.
Implements: the mean over all pixels of -ln p(argmax p), the label taken as given (qinenergy/cotta, issue 21), one step
    per batch, Adam 7.5e-6. It is here so that those tables can be reproduced.
Checked against: a naive loop over the pixels, and the gradient written out by hand (tests/adapt/tta/test_pseudo_label.py).
Deviations: every normalisation layer is updated beside BatchNorm. The model is in eval mode but for BatchNorm, and a
    BatchNorm layer that sees one value per channel (global pooling at batch size 1) keeps its source statistics.
Protocol: the scored prediction is that of the pass whose loss is minimised, so before the update. A reset restores
    parameters, buffers and the optimiser's state.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from adapt.inference import choose_classes
from adapt.tta.method import Outcome, check_finite_loss
from adapt.tta.norm_method import NormMethod
from adapt.tta.settings import PseudoLabelSettings


class PseudoLabel(NormMethod[PseudoLabelSettings]):
    """Predicts with batch statistics and takes one step down the cross-entropy to the own argmax."""

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images, then take one step towards their argmax.

        Raises:
            NotFiniteError: if the cross-entropy is not finite.
        """
        logits = self.forward(self.model, images)
        loss = cross_entropy_to_argmax(logits)
        value = check_finite_loss(loss)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return Outcome(logits.detach(), loss=value, updates=1)


def cross_entropy_to_argmax(logits: Tensor) -> Tensor:
    """Average -ln p(argmax p) over all pixels; no gradient flows through the choice of the label.

    Args:
        logits: (B, K, H, W).

    Returns:
        A scalar in [0, ln K], in nats.
    """
    return cross_entropy(logits, choose_classes(logits.detach()))
