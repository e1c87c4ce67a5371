"""What a training on noisy labels leaves to look at: curves, what was memorised, and how good each correction was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from adapt.correction.scores import CorrectionCounts, EarlyLearningCounts, score_correction, score_early_learning
from adapt.scores.confusion import iou_per_class


@dataclass
class History:
    """Numbers over time, as data that JSON and `torch.load(weights_only=True)` keep exactly.

    Attributes:
        points: of the curves, see `add_point`.
        corrections: of the labels, see `add_correction`.
        verdicts: of the last detection, one for each class, see `adapt.correction.detection.Verdict`.
    """

    points: list[dict[str, Any]] = field(default_factory=list)
    corrections: list[dict[str, Any]] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)

    def add_point(self, epoch: float, iteration: int, counts: Mapping[str, NDArray[np.int64]]) -> NDArray[np.float64]:
        """Add what was predicted in training since the last point.

        Args:
            epoch: Of the training so far.
            iteration: Of the training so far.
            counts: Of `LabelCounts.take`.

        Returns:
            (K,) float64, the IoU of each class with the label that the curves are of; NaN where it had no pixel.
        """
        iou = iou_per_class(counts["fit"])
        scores = score_early_learning(EarlyLearningCounts(counts["early"], counts["memorised"]))
        self.points.append(
            {
                "epoch": epoch,
                "iteration": iteration,
                "iou": [None if np.isnan(value) else value for value in iou.tolist()],
                "iou_el": scores.mean_learned,
                "iou_m": scores.mean_memorised,
                "class_iou_el": list(scores.learned),
                "class_iou_m": list(scores.memorised),
            }
        )
        return iou

    def add_correction(
        self, epoch: int, iteration: int, triggered: list[int], changed: float, counts: CorrectionCounts | None
    ) -> dict[str, Any]:
        """Add a correction of all labels.

        Args:
            epoch: So many epochs were over.
            iteration: Of the training so far.
            triggered: The classes that were corrected.
            changed: Share of the labelled pixels whose label is not the given one now.
            counts: Against clean labels; None where these are not known.

        Returns:
            What was added.
        """
        scores = None if counts is None else asdict(score_correction(counts))
        self.corrections.append(
            {"epoch": epoch, "iteration": iteration, "triggered": triggered, "changed": changed, "scores": scores}
        )
        return self.corrections[-1]

    def save(self) -> dict[str, Any]:
        """Return all of it."""
        return asdict(self)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> History:
        """Go on from what `save` returned."""
        return cls(**state)
