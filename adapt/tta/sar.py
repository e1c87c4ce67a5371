"""Sharpness-aware entropy minimisation on reliable predictions, with a way back from collapse.

Paper: Towards Stable Test-Time Adaptation in Dynamic Wild World (SAR), ICLR 2023, arXiv 2302.12400.
Implements: the filter H < margin * ln K, the perturbation by rho * g / ||g|| over all updated parameters jointly, the
    filter again at the perturbed point, one step of SGD (momentum 0.9) at the original point by the gradient found
    there, and recovery when the moving average (0.9) of that second loss falls below 0.2.
Checked against: outputs of mr-eggplant/SAR, sar.py and sam.py, on closed forms (tests/adapt/tta/test_sar.py).
Deviations: the filter judges single pixels (`unit: pixel`) or whole images by the mean over their pixels (`image`).
    All normalisation layers are updated, the published code leaves out the last blocks of ResNet and ViT. Where a
    filter keeps nothing there is no update; in the published code momentum still moves the parameters. After a recovery
    the moving average starts anew; the published code clears it and then writes the old value back, so that it recovers
    frame after frame. The model is in eval mode but for BatchNorm, and a BatchNorm layer that sees one value per
    channel (global pooling at batch size 1) keeps its source statistics.
Protocol: the scored prediction is that of the first pass, so before the update. A reset, and a recovery, restores
    parameters, buffers, the optimiser's state and the moving average.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from adapt.tta.method import Outcome, check_finite_loss
from adapt.tta.norm_method import NormMethod
from adapt.tta.reliability import find_reliable, mean_over, unit_entropy
from adapt.tta.settings import SarSettings


class Sar(NormMethod[SarSettings]):
    """Predicts with batch statistics and steps down the entropy that its worst neighbour has on what the filter keeps."""

    def configure(self) -> None:
        """Prepare as `NormMethod` does, with no moving average yet.

        Raises:
            SpecError: if the model has no normalisation layer with affine parameters.
        """
        super().configure()
        self.unit = self.settings.unit
        self._average: float | None = None

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images, then take one step if the filters keep anything.

        Raises:
            NotFiniteError: if an entropy is not finite, before or after the perturbation.
        """
        settings = self.settings
        logits = self.forward(self.model, images)
        entropy = unit_entropy(logits, settings.unit)
        check_finite_loss(entropy.mean())
        reliable = find_reliable(entropy, settings.margin, logits.shape[1])
        if not reliable.any():
            return _skip(logits)
        parameters = list(self.collect_parameters().values())
        gradients = _differentiate(mean_over(entropy, reliable), parameters)
        start = [parameter.detach().clone() for parameter in parameters]
        try:
            perturb(parameters, gradients, settings.rho)
            entropy = unit_entropy(self.forward(self.model, images), settings.unit)
            check_finite_loss(entropy.mean())
            kept = reliable & find_reliable(entropy, settings.margin, logits.shape[1])
            count = int(kept.sum())
            if count == 0:
                return _skip(logits)
            loss = mean_over(entropy, kept)
            gradients = _differentiate(loss, parameters)
        finally:
            with torch.no_grad():
                torch._foreach_copy_(parameters, start)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        self.optimizer.step()
        recovered = self._follow(float(loss.detach()))
        notes = {"kept": count / kept.numel(), "recovered": float(recovered)}
        return Outcome(logits.detach(), loss=float(loss.detach()), updates=1, notes=notes)

    def own_state(self) -> dict[str, Any]:
        """Return the moving average of the loss."""
        return {"average": self._average}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the moving average back."""
        self._average = state["average"]

    def _follow(self, loss: float) -> bool:
        """Take a loss into the moving average; go back to the start, and say so, where it has become too small."""
        keep = self.settings.ema
        self._average = loss if self._average is None else keep * self._average + (1 - keep) * loss
        collapsed = self._average < self.settings.reset_below
        if collapsed:
            self.reset()
        return collapsed


def perturb(parameters: Sequence[Tensor], gradients: Sequence[Tensor], rho: float) -> None:
    """Move parameters, in place, by rho along their gradients taken as one long vector.

    Args:
        parameters: of any shapes.
        gradients: of the same shapes.
        rho: the length of the move; none where all gradients are 0.
    """
    with torch.no_grad():
        norm = torch.stack(torch._foreach_norm(list(gradients))).norm()
        scale = rho / (norm + 1e-12)  # 1e-12 as in the published sam.py
        torch._foreach_add_(list(parameters), torch._foreach_mul(list(gradients), scale))


def _differentiate(loss: Tensor, parameters: Sequence[nn.Parameter]) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, parameters, allow_unused=True, materialize_grads=True)


def _skip(logits: Tensor) -> Outcome:
    return Outcome(logits.detach(), skipped=1, notes={"kept": 0.0, "recovered": 0.0})
