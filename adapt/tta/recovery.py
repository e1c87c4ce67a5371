"""What becomes of a frame whose loss or prediction, or the parameters after it, are infinite or not a number."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapt.frame_counts import FrameCounts, count_frame
from adapt.tta.method import Method, NotFiniteError, Outcome
from adapt.tta.state import State

OnNonFinite = Literal["stop", "restore", "reset"]
"""`stop` the stream; `restore` the state after the last good frame, or the start where there is none since; `reset` to the
start. After the last two the frame is predicted from that state and nothing is learnt from it."""

Problem = Literal["loss", "prediction", "parameters"]

_CAUSES: dict[Problem, str] = {
    "loss": "The loss of the adaptation is not finite.",
    "prediction": "The prediction holds values that are not finite.",
    "parameters": "The update left values in the adapted parameters that are not finite.",
}
_REMEDY = (
    "Run this frame with the method `source`: if that is finite, lower the learning rate (`lr`) or choose a reset policy, or "
    "let the stream go on with `on_non_finite: restore`; if not, the weights or the frame are broken."
)


@dataclass(frozen=True)
class Adaptation:
    """What one frame gave, and whether it had to be recovered.

    Attributes:
        outcome: of the method; on a recovered frame the prediction alone.
        counts: of its prediction.
        recovered: what was not finite, or None.
        seconds: the time of prediction and adaptation, without counting, checking and copying.
    """

    outcome: Outcome
    counts: FrameCounts
    recovered: Problem | None
    seconds: float


class Guard:
    """Runs a method frame by frame and acts on what is not finite.

    With `restore`, the method's state is copied after every good frame; otherwise nothing is.

    Args:
        method: the method, at its start.
        policy: see `OnNonFinite`.
        num_classes: K.
    """

    def __init__(self, method: Method[Any], policy: OnNonFinite, num_classes: int) -> None:
        self.method = method
        self.policy = policy
        self.num_classes = num_classes
        self._last_good: State | None = None  # None is the method's start

    def reset(self) -> None:
        """Take the method back to its start."""
        self.method.reset()
        self._last_good = None

    def adapt(self, images: Tensor, label: NDArray[np.uint8]) -> Adaptation:
        """Let the method predict and adapt, and count its prediction.

        Args:
            images: (1, 3, H, W), as the model takes them.
            label: (h, w) uint8, train ids, 255 where ignored.

        Returns:
            What the frame gave.

        Raises:
            NotFiniteError: by the policy, or if the frame has no finite prediction from the earlier state either.
        """
        started = time.perf_counter()
        try:
            outcome = self.method.predict_and_adapt(images)
        except NotFiniteError:
            if self.policy == "stop":
                raise
            return self._recover("loss", images, label, _measure(started, images))
        seconds = _measure(started, images)
        counts = count_frame(outcome.logits, label, self.num_classes)
        problem: Problem | None = None
        if not counts.is_finite:
            problem = "prediction"
        elif not self.method.is_finite():
            problem = "parameters"
        if problem is not None:
            return self._recover(problem, images, label, seconds)
        if self.policy == "restore":
            self._last_good = self.method.save()
        return Adaptation(outcome, counts, None, seconds)

    def _recover(self, problem: Problem, images: Tensor, label: NDArray[np.uint8], seconds: float) -> Adaptation:
        if self.policy == "stop":
            raise NotFiniteError(f"{_CAUSES[problem]} {_REMEDY}")
        started = time.perf_counter()
        if self.policy == "reset" or self._last_good is None:
            self.reset()
            state = "the method's start"
        else:
            self.method.load(self._last_good)
            state = "the state after the last good frame"
        logits = self.method.predict(images)
        seconds += _measure(started, images)
        counts = count_frame(logits, label, self.num_classes)
        if not counts.is_finite:
            raise NotFiniteError(f"{_CAUSES[problem]} From {state} the prediction is not finite either. {_REMEDY}")
        return Adaptation(Outcome(logits), counts, problem, seconds)


def _measure(started: float, images: Tensor) -> float:
    """Return the seconds since then, once the device has done its work."""
    if images.is_cuda:
        torch.cuda.synchronize(images.device)
    return time.perf_counter() - started
