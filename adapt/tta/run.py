"""Online adaptation over a stream: load, predict, score, adapt, and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

from adapt.errors import TaskError
from adapt.scores.confusion import count_confusion
from adapt.tta.method import Method, Outcome
from adapt.tta.stream import Step
from adapt.tta.stream_settings import ResetSettings

Load = Callable[[Step], tuple[Tensor, NDArray[np.uint8]]]
"""A step to its batch of one image, (1, 3, H, W) as the model takes it, and its label, (h, w) ids, 255 ignored."""


@dataclass(frozen=True)
class FrameScore:
    """What one frame gave.

    Attributes:
        index: the frame's place in the manifest, from 0.
        step: its row.
        confusion: int64 (K, K), rows are labels, columns predictions.
        loss: the loss of the adaptation, None where the method has none.
        updates: optimiser steps taken.
        skipped: optimiser steps that the method decided not to take.
        was_reset: whether the method went back to its start before this frame.
        seconds: the time of prediction and adaptation, without loading and scoring.
    """

    index: int
    step: Step
    confusion: NDArray[np.int64]
    loss: float | None
    updates: int
    skipped: int
    was_reset: bool
    seconds: float


@dataclass(frozen=True)
class StreamScores:
    """What a stream gave: the frames in order, and sums over them.

    Attributes:
        frames: one entry for each step of the manifest, in its order.
        cells: (round, domain) -> confusion int64 (K, K), the sum over the cell's frames; cells in order of appearance.
    """

    frames: tuple[FrameScore, ...] = ()
    cells: dict[tuple[int, str], NDArray[np.int64]] = field(default_factory=dict)

    @property
    def updates(self) -> int:
        """Optimiser steps taken."""
        return sum(frame.updates for frame in self.frames)

    @property
    def skipped(self) -> int:
        """Optimiser steps that the method decided not to take."""
        return sum(frame.skipped for frame in self.frames)

    @property
    def resets(self) -> int:
        """How often the method went back to its start, not counting the start of the stream."""
        return sum(frame.was_reset for frame in self.frames)

    @property
    def frames_per_s(self) -> float | None:
        """Frames per second of prediction and adaptation, without loading and scoring; None without frames."""
        seconds = sum(frame.seconds for frame in self.frames)
        return len(self.frames) / seconds if seconds > 0 else None


def run_stream(
    method: Method[Any],
    manifest: Sequence[Step],
    load: Load,
    num_classes: int,
    on_frame: Callable[[FrameScore], None] | None = None,
    reset: ResetSettings | None = None,
) -> StreamScores:
    """Walk a method through a stream, scoring each frame by the prediction made before its update.

    The method starts from its remembered state, whatever it did before.

    Args:
        method: prepared by `build_method`.
        manifest: the frames in order.
        load: gives the pixels and the label of a step. Logits of another size than the label's are resized to it
            bilinearly before the argmax.
        num_classes: K.
        on_frame: called after each frame, for progress and live curves.
        reset: when to go back to the start; never by default.

    Returns:
        The scores of every frame and cell.

    Raises:
        TaskError: if a loss or a prediction is not finite; it names the step.
    """
    reset = reset or ResetSettings()
    method.reset()
    frames: list[FrameScore] = []
    cells: dict[tuple[int, str], NDArray[np.int64]] = {}
    for index, step in enumerate(manifest):
        was_reset = index > 0 and is_reset_due(reset, index, manifest[index - 1].domain, step.domain)
        if was_reset:
            method.reset()
        images, label = load(step)
        started = time.perf_counter()
        outcome = _predict_and_adapt(method, images, index, step)
        if images.is_cuda:
            torch.cuda.synchronize(images.device)
        seconds = time.perf_counter() - started
        confusion = count_confusion(label, classify(outcome.logits, label.shape), num_classes)
        cell = (step.round, step.domain)
        cells[cell] = cells.get(cell, 0) + confusion
        frame = FrameScore(
            index, step, confusion, outcome.loss, outcome.updates, outcome.skipped, was_reset, seconds=seconds
        )
        frames.append(frame)
        if on_frame is not None:
            on_frame(frame)
    return StreamScores(tuple(frames), cells)


def is_reset_due(reset: ResetSettings, index: int, previous_domain: str, domain: str) -> bool:
    """Tell whether a policy resets before a frame.

    Args:
        reset: the policy.
        index: the frame's place in the stream, from 1: the first frame always meets a fresh method.
        previous_domain: the domain of the frame before.
        domain: the frame's own.

    Returns:
        Whether to reset.
    """
    match reset.policy:
        case "never":
            return False
        case "on_shift":
            return domain != previous_domain
        case "every_n":
            return reset.n is not None and index % reset.n == 0
        case "episodic":
            return True


def classify(logits: Tensor, size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Choose the class of every pixel of one frame.

    Args:
        logits: (1, K, h, w).
        size: (H, W) of the label; logits of another size are resized bilinearly (corners not aligned).

    Returns:
        Train ids, uint8 (H, W).
    """
    if tuple(logits.shape[-2:]) != size:
        logits = interpolate(logits, size=size, mode="bilinear", align_corners=False)
    return logits[0].argmax(dim=0).to(torch.uint8).cpu().numpy()


def _predict_and_adapt(method: Method[Any], images: Tensor, index: int, step: Step) -> Outcome:
    try:
        outcome = method.predict_and_adapt(images)
    except TaskError as error:
        raise TaskError(f"The stream stopped at step {index} ({step}). {error}") from error
    if not torch.isfinite(outcome.logits).all():
        raise TaskError(
            f"The stream stopped at step {index} ({step}). The prediction holds values that are not finite. Run this "
            "frame with the method `source`: if that is finite, lower the learning rate (`lr`) or choose a reset "
            "policy; if not, the weights or the frame are broken."
        )
    return outcome
