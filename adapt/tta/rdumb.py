"""Any method that learns, back at its start every n frames.

Paper: RDumb: A simple approach that questions our progress in continual test-time adaptation, NeurIPS 2023,
    arXiv 2306.05401.
Implements: the base method, reset at regular intervals; the paper's base is ETA, its interval 1000 steps on ImageNet.
Checked against: the base method on its own, started anew every n frames, bit for bit (tests/adapt/tta/test_rdumb.py).
Deviations: n is 50 frames by default, as in segmentation, and the base may be any method that learns. A reset restores the
    base's own state too, such as ETA's moving average of probabilities.
Protocol: that of the base; its reset comes before frames n, 2n, 3n ... (counted from 0). A reset of the whole restores the
    base and the count of frames.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from torch import Tensor, nn

from adapt.tta.method import Method, Outcome
from adapt.tta.settings import RdumbSettings
from adapt.tta.state import State


class Rdumb(Method[RdumbSettings]):
    """Passes every frame on to its base method, and resets that before every n-th.

    Attributes:
        base: the method that predicts and learns; its optimiser is its own.
    """

    updates = "what its base method updates"
    base: Method[Any]

    def collect_parameters(self) -> dict[str, nn.Parameter]:
        """Name what the base's optimiser updates."""
        return self.base.collect_parameters()

    def collect_tensors(self) -> dict[str, Tensor]:
        """Name what the base may change."""
        return self.base.collect_tensors()

    def configure(self) -> None:
        """Build the base method on the model.

        Raises:
            SpecError: if the model has nothing for the base to work on, or a supply that it needs is missing.
        """
        from adapt.tta.catalog import build_method  # here: the catalogue imports this module

        self.base = build_method(self.settings.base, self.model, self.forward, self.num_classes, self.supplies)
        self.updates = self.base.updates
        self.batch_norm = self.base.batch_norm
        self.unit = self.base.unit
        self.scored = self.base.scored
        self._frame = 0

    def predict_and_adapt(self, images: Tensor) -> Outcome:
        """Let the base predict (B, K, h, w) from (B, 3, H, W) images and learn, after its reset where one is due.

        The note `restarted` is 1 where there was one.

        Raises:
            NotFiniteError: as the base does; the base is then as it was, or freshly reset where that was due.
        """
        restarted = self._frame > 0 and self._frame % self.settings.n == 0
        if restarted:
            self.base.reset()
        outcome = self.base.predict_and_adapt(images)
        self._frame += 1
        return dataclasses.replace(outcome, notes={**outcome.notes, "restarted": float(restarted)})

    def predict(self, images: Tensor) -> Tensor:
        """Let the base predict (B, K, h, w) from the parameters as they stand."""
        return self.base.predict(images)

    def save(self) -> State:
        """Copy the base's state, and the count of frames."""
        base = self.base.save()
        return State(base.tensors, base.optimizer, {"frame": self._frame, "base": base.own})

    def load(self, state: State) -> None:
        """Give the base's state back to it, and take the count of frames."""
        self.base.load(State(state.tensors, state.optimizer, state.own["base"]))
        self._frame = state.own["frame"]

    def is_finite(self) -> bool:
        """Tell whether every tensor that the base may change holds finite numbers only."""
        return self.base.is_finite()
