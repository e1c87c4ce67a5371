"""The loop of a live stream: take a frame, predict and adapt, hand the result on."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from adapt.errors import TaskError
from adapt.scores.confusion import IGNORE
from adapt.tta.live.frames import LiveFrame
from adapt.tta.live.output import FrameResult
from adapt.tta.recovery import Guard

Picture = NDArray[np.uint8]


@dataclass
class LiveTotals:
    """Sums over the frames, growing as they come.

    Attributes:
        frames: how many have a prediction.
        unusable: how many have none.
        updates: optimiser steps taken.
        skipped: optimiser steps that the method decided not to take.
        resets: how often the method went back to its start by the policy.
        recovered: how often it went back because something was not finite.
        seconds: of prediction and adaptation, without reading, writing and the source's prediction.
    """

    frames: int = 0
    unusable: int = 0
    updates: int = 0
    skipped: int = 0
    resets: int = 0
    recovered: int = 0
    seconds: float = 0.0

    @property
    def frames_per_s(self) -> float | None:
        """Frames per second of prediction and adaptation; None without frames."""
        return self.frames / self.seconds if self.seconds > 0 else None

    def add(self, result: FrameResult) -> None:
        """Add a frame."""
        self.frames += result.prediction is not None
        self.unusable += result.prediction is None
        self.updates += result.updates
        self.skipped += result.skipped
        self.resets += result.was_reset
        self.recovered += result.recovered is not None
        self.seconds += result.seconds


def adapt_frames(
    guard: Guard,
    frames: Iterable[LiveFrame],
    to_batch: Callable[[Picture], Tensor],
    hand_on: Callable[[FrameResult], None],
    totals: LiveTotals,
    reset_every: int | None = None,
    predict_source: Callable[[Picture], Picture] | None = None,
) -> None:
    """Walk a method over frames; each prediction is made before the update that its frame leads to.

    The method starts from its remembered state. Frames that cannot be used, and those of a size that the network or the
    method cannot take, are handed on without a prediction; they neither change the method nor count for the resets.

    Args:
        guard: holds the method, and takes it back where something is not finite.
        frames: in order.
        to_batch: an RGB picture (H, W, 3) uint8 to the batch (1, 3, h, w) that the model takes.
        hand_on: called with the result of each frame, in order.
        totals: grows with each frame, so that it says what was done when the loop is broken off.
        reset_every: the method goes back to its start before every so many-th frame; 1 is episodic, None never does.
        predict_source: a picture to the train ids (H, W) that the source model predicts; None leaves that out.

    Raises:
        TaskError: if something is not finite and the guard has no way to go on; it names the frame.
    """
    guard.reset()
    sizes: set[tuple[int, ...]] = set()  # of the frames that went through
    for frame in frames:
        if frame.image is None:
            totals.add(FrameResult(frame))
            hand_on(FrameResult(frame))
            continue
        was_reset = reset_every is not None and totals.frames > 0 and totals.frames % reset_every == 0
        if was_reset:
            guard.reset()
        size = frame.image.shape[:2]
        # A size may be too small for a layer, which shows in the midst of a pass only.
        before = None if size in sizes else guard.method.save()
        try:
            done = guard.adapt(to_batch(frame.image), np.full(size, IGNORE, np.uint8))
            source_prediction = None if predict_source is None else predict_source(frame.image)
        except TaskError as error:
            raise TaskError(f"The stream stopped at frame {frame.index} ('{frame.name}'). {error}") from error
        except (RuntimeError, ValueError) as error:
            if before is None or isinstance(error, torch.OutOfMemoryError):
                raise
            guard.method.load(before)
            skipped = dataclasses.replace(frame, image=None, problem=_describe_size(size, error))
            totals.add(FrameResult(skipped))
            hand_on(FrameResult(skipped))
            continue
        sizes.add(size)
        result = FrameResult(
            frame,
            prediction=done.counts.prediction.cpu().numpy(),
            source_prediction=source_prediction,
            loss=done.outcome.loss,
            updates=done.outcome.updates,
            skipped=done.outcome.skipped,
            notes=done.outcome.notes,
            was_reset=was_reset,
            recovered=done.recovered,
            seconds=done.seconds,
        )
        totals.add(result)
        hand_on(result)


def _describe_size(size: tuple[int, ...], error: Exception) -> str:
    """Say that a network broke at the first frame of a size; its own words tell more than can be known here."""
    words = " ".join(str(error).split("\n")[0].split())
    return (
        f"the network or the method cannot take {size[1]}x{size[0]} pixels ({type(error).__name__}: {words}): scale the "
        "frames by --resize WIDTHxHEIGHT, or take larger ones"
    )
