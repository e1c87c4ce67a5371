"""Online adaptation over a stream: predict, score, adapt, and nothing else."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from adapt.errors import TaskError
from adapt.tta.feed import Sample
from adapt.tta.method import Method
from adapt.tta.operations import count_operations
from adapt.tta.recovery import Adaptation, Guard, OnNonFinite
from adapt.tta.stream import Step
from adapt.tta.stream_scores import CellKey, FrameScore, StreamScores
from adapt.tta.stream_settings import ResetSettings
from adapt.tta.video_scorer import VideoScorer

Count = TypeVar("Count", np.int64, np.float64)

COUNTED_OF = 25  # one frame of so many has its operations counted; ours: the counter slows a frame by about a fifth

Prepare = Callable[[Step, NDArray[np.uint8]], Tensor]
"""A step and its image, RGB uint8 (H, W, 3), to a batch of one, (1, 3, h, w), as the model takes it."""

OnPrediction = Callable[[int, NDArray[np.uint8], NDArray[np.uint8], Tensor], None]
"""The frame's place in the stream, its image (H, W, 3), its label and its prediction, both (H, W) uint8."""


def run_stream(
    method: Method[Any],
    feed: Iterable[Sample],
    prepare: Prepare,
    num_classes: int,
    *,
    on_frame: Callable[[FrameScore], None] | None = None,
    on_prediction: OnPrediction | None = None,
    reset: ResetSettings | None = None,
    on_non_finite: OnNonFinite = "restore",
    temporal: VideoScorer | None = None,
) -> StreamScores:
    """Walk a method through a stream, scoring each frame by the prediction made before its update.

    The method starts from its remembered state, whatever it did before.

    Args:
        method: prepared by `build_method`.
        feed: the frames in order, from `adapt.tta.feed.open_feed`.
        prepare: makes the model's input of an image.
        num_classes: K.
        on_frame: called after each frame, for progress and live curves.
        on_prediction: called with the prediction of each frame, for pictures.
        reset: when to go back to the start; never by default.
        on_non_finite: what becomes of a loss, a prediction or parameters that are not finite.
        temporal: measures video beside the stream, in a thread; not measured by default.

    Returns:
        The scores of every frame and cell.

    Raises:
        TaskError: if the stream cannot go on; it names the step. Whatever the feed raises.
    """
    reset = reset or ResetSettings()
    guard = Guard(method, on_non_finite, num_classes)
    guard.reset()
    frames: list[FrameScore] = []
    with temporal or contextlib.nullcontext():
        for index, (step, image, label) in enumerate(feed):
            was_reset = index > 0 and is_reset_due(reset, index, frames[-1].step.domain, step.domain)
            if was_reset:
                guard.reset()
            images = prepare(step, image)
            with _count_flops(index) as counter:
                done = _adapt(guard, images, label, index, step)
            flops = None if counter is None else counter.get_total_flops()
            if on_prediction is not None:
                on_prediction(index, image, label, done.counts.prediction)
            if temporal is not None:
                temporal.add(index, step, image, label, done.counts.prediction, images)
            frames.append(_describe(index, step, done, was_reset, flops))
            if on_frame is not None:
                on_frame(frames[-1])
        clips = {} if temporal is None else temporal.finish()
    return StreamScores(
        frames=tuple(frames),
        cells=_add_up((frame.cell, frame.confusion) for frame in frames),
        calibration=_add_up((frame.cell, frame.calibration) for frame in frames),
        clips=clips,
    )


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


def _count_flops(index: int) -> contextlib.AbstractContextManager[FlopCounterMode | None]:
    """Count the operations of some frames, the first of all among them; the others are timed."""
    return count_operations() if is_counted(index) else contextlib.nullcontext()


def is_counted(index: int) -> bool:
    """Tell whether a frame's operations are counted: the first, then one frame of every 25.

    Which of them is drawn, always the same: a method that does something every n frames is not caught in step.
    """
    block, place = divmod(index, COUNTED_OF)
    return place == (0 if block == 0 else int(random.Random(block).random() * COUNTED_OF))


def _adapt(guard: Guard, images: Tensor, label: NDArray[np.uint8], index: int, step: Step) -> Adaptation:
    try:
        return guard.adapt(images, label)
    except TaskError as error:
        raise TaskError(f"The stream stopped at step {index} ({step}). {error}") from error
    except ValueError as error:  # of a layer whose statistics need more values than a small frame leaves
        height, width = images.shape[-2:]
        raise TaskError(
            f"The stream stopped at step {index} ({step}): the network or the method cannot take {width}x{height} pixels "
            f"({error}). Give larger frames, or a larger `resize` of the data set."
        ) from error


def _describe(index: int, step: Step, done: Adaptation, was_reset: bool, flops: int | None) -> FrameScore:
    return FrameScore(
        index=index,
        step=step,
        confusion=done.counts.confusion,
        calibration=done.counts.calibration,
        loss=done.outcome.loss,
        updates=done.outcome.updates,
        skipped=done.outcome.skipped,
        was_reset=was_reset,
        recovered=done.recovered,
        seconds=done.seconds,
        notes=done.outcome.notes,
        flops=flops,
    )


def _add_up(counts: Iterable[tuple[CellKey, NDArray[Count]]]) -> dict[CellKey, NDArray[Count]]:
    sums: dict[CellKey, NDArray[Count]] = {}
    for cell, added in counts:
        sums[cell] = sums[cell] + added if cell in sums else added
    return sums
