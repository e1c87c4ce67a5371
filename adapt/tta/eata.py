"""ETA with an anchor: parameters that mattered on the source stay near their start.

Paper: Efficient Test-Time Model Adaptation without Forgetting (EATA), ICML 2022, arXiv 2204.02610.
Implements: the whole method: the loss of `adapt.tta.eta` plus fisher_weight * sum of F * (w - w0)^2 over all affine
    parameters, F from `adapt.tta.fisher`.
Checked against: the penalty's gradient written out by hand, and ETA where the weight is 0 (tests/adapt/tta/test_eata.py);
    ETA against outputs of mr-eggplant/EATA, eata.py.
Deviations: those of `adapt.tta.eta`.
Protocol: that of `adapt.tta.eta`: the scored prediction comes before the update, and a reset restores parameters,
    buffers, the optimiser's state and the moving average. F and w0 never change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from adapt.errors import SpecError
from adapt.tta.method import Outcome, check_finite_loss
from adapt.tta.norm_method import NormMethod
from adapt.tta.reliability import select_reliable_and_new
from adapt.tta.settings import EataSettings


class Eata(NormMethod[EataSettings]):
    """Predicts with batch statistics and takes one step down the weighted entropy and the distance from the source."""

    def configure(self) -> None:
        """Prepare as `NormMethod` does, and remember where the parameters start and how much each matters.

        Raises:
            SpecError: if the model has no normalisation layer with affine parameters, or there is no Fisher information
                for one of them.
        """
        super().configure()
        self.unit = self.settings.unit
        parameters = self.collect_parameters()
        self._fisher = _require_fisher(self.supplies.fisher, parameters)
        self._anchor = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self._average: Tensor | None = None

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Predict (B, K, h, w) logits from (B, 3, H, W) images, then take one step if the filter keeps anything.

        Raises:
            NotFiniteError: if an entropy or the penalty is not finite.
        """
        logits = self.forward(self.model, images)
        selection = select_reliable_and_new(logits, self.settings, self._average)
        notes = {"kept": selection.share}
        if selection.loss is None:
            return Outcome(logits.detach(), skipped=1, notes=notes)
        drift = measure_drift(self.collect_parameters(), self._anchor, self._fisher)
        loss = selection.loss + self.settings.fisher_weight * drift
        value = check_finite_loss(loss)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self._average = selection.average
        return Outcome(logits.detach(), loss=value, updates=1, notes=notes)

    def own_state(self) -> dict[str, Any]:
        """Return the moving average of the mean probabilities."""
        return {"average": self._average}

    def load_own_state(self, state: dict[str, Any]) -> None:
        """Take the moving average back."""
        self._average = state["average"]


def measure_drift(
    parameters: Mapping[str, Tensor], anchor: Mapping[str, Tensor], fisher: Mapping[str, Tensor]
) -> Tensor:
    """Sum F * (w - w0)^2 over all numbers of all parameters, with gradients.

    Args:
        parameters: w by name, at least one.
        anchor: w0 by the same names.
        fisher: F by the same names.

    Returns:
        A scalar, 0 at the anchor.
    """
    terms = [(fisher[name] * (parameter - anchor[name]).square()).sum() for name, parameter in parameters.items()]
    return torch.stack(terms).sum()


def _require_fisher(fisher: Mapping[str, Tensor] | None, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Return the Fisher information of the parameters, on their devices, or say what is wrong with it."""
    if fisher is None:
        raise SpecError(
            "The method `eata` needs the Fisher information of its parameters on source data (`Supplies.fisher`). "
            "Measure it in a stage of its own and hand it to the stream stage: `fisher: ${STAGE.fisher}`; or choose "
            "`eta`, which does without."
        )
    unfit = [
        name for name, parameter in parameters.items() if name not in fisher or fisher[name].shape != parameter.shape
    ]
    if unfit:
        raise SpecError(
            f"The Fisher information given to `eata` does not fit the model: for {unfit[0]} (and {len(unfit) - 1} more) it "
            "is missing or of another shape. Measure it on this very model: `fisher: ${STAGE.fisher}` of a stage that "
            "names the same network."
        )
    broken = [name for name in parameters if not fisher[name].isfinite().all()]
    if broken:
        raise SpecError(
            f"The Fisher information given to `eata` is not finite for {broken[0]} (and {len(broken) - 1} more): the network "
            "predicts values on the source data that are not finite. Check its weights with the method `source`."
        )
    return {name: fisher[name].to(parameter) for name, parameter in parameters.items()}
