"""What a stream gave: by frame, by (round, domain), by video clip, and over all of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from adapt.scores.temporal import ClipScore
from adapt.tta.stream import Step

CellKey = tuple[int, str]
"""(round, domain)."""


@dataclass(frozen=True)
class FrameScore:
    """What one frame gave.

    Attributes:
        index: the frame's place in the stream, from 0.
        step: its row of the manifest.
        confusion: int64 (K, K), rows are labels, columns predictions.
        calibration: float64 (3, 15), see `adapt.scores.calibration.CalibrationBins.counts`.
        loss: the loss of the adaptation; None where the method has none, or where it was not finite.
        updates: optimiser steps taken and kept.
        skipped: optimiser steps that the method decided not to take.
        was_reset: whether the reset policy took the method back to its start before this frame.
        recovered: what was not finite (`loss`, `prediction` or `parameters`), so that the method went back to an
            earlier state and only predicted this frame; None on every other frame.
        seconds: the time of prediction and adaptation, without loading and scoring.
        notes: the method's own numbers, see `adapt.tta.method.Outcome.notes`.
        flops: floating-point operations of prediction and adaptation, forward and backward (a multiplication and an
            addition are two); None where they were not counted.
    """

    index: int
    step: Step
    confusion: NDArray[np.int64]
    calibration: NDArray[np.float64]
    loss: float | None
    updates: int
    skipped: int
    was_reset: bool
    recovered: str | None
    seconds: float
    notes: Mapping[str, float] = field(default_factory=dict)
    flops: int | None = None

    @property
    def cell(self) -> CellKey:
        """The (round, domain) that the frame is scored in."""
        return (self.step.round, self.step.domain)


@dataclass(frozen=True)
class StreamScores:
    """What a stream gave.

    Attributes:
        frames: one entry for each step, in order.
        cells: (round, domain) -> confusion int64 (K, K), the sum over the cell's frames; cells in order of appearance.
        calibration: (round, domain) -> float64 (3, 15), likewise.
        clips: (round, domain) -> the cell's video clips in order; empty without temporal settings.
    """

    frames: tuple[FrameScore, ...] = ()
    cells: dict[CellKey, NDArray[np.int64]] = field(default_factory=dict)
    calibration: dict[CellKey, NDArray[np.float64]] = field(default_factory=dict)
    clips: dict[CellKey, tuple[ClipScore, ...]] = field(default_factory=dict)

    @property
    def updates(self) -> int:
        """Optimiser steps taken and kept."""
        return sum(frame.updates for frame in self.frames)

    @property
    def skipped(self) -> int:
        """Optimiser steps that the method decided not to take."""
        return sum(frame.skipped for frame in self.frames)

    @property
    def resets(self) -> int:
        """How often the reset policy took the method back to its start, not counting the start of the stream."""
        return sum(frame.was_reset for frame in self.frames)

    @property
    def recovered(self) -> int:
        """How many frames found something that was not finite and were predicted from an earlier state."""
        return sum(frame.recovered is not None for frame in self.frames)

    @property
    def flops_per_frame(self) -> float | None:
        """Floating-point operations per frame, the mean of those counted; None without frames.

        The first frame, where a method is not yet what it becomes (a reservoir has one model), counts where it is alone.
        """
        counted = [frame.flops for frame in self.frames if frame.flops is not None]
        later = counted[1:] or counted
        return sum(later) / len(later) if later else None

    @property
    def frames_per_s(self) -> float | None:
        """Frames per second of prediction and adaptation, without loading and scoring; None without frames.

        Frames whose operations were counted, the first of all among them, are slower and left out where there are others.
        """
        timed = [frame for frame in self.frames if frame.flops is None] or self.frames
        seconds = sum(frame.seconds for frame in timed)
        return len(timed) / seconds if seconds > 0 else None
