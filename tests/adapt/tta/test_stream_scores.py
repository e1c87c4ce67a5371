"""Sums over the frames of a stream."""

from __future__ import annotations

import numpy as np
import pytest

from adapt.tta.stream import Step
from adapt.tta.stream_scores import FrameScore, StreamScores


def frame(index: int, seconds: float, **values) -> FrameScore:
    step = Step(1, "night", "set", f"f{index}", None, None, None)
    fields = {"loss": None, "updates": 0, "skipped": 0, "was_reset": False, "recovered": None} | values
    return FrameScore(index, step, np.zeros((2, 2), np.int64), np.zeros((3, 15)), seconds=seconds, **fields)


def test_counts_add_up():
    scores = StreamScores(
        (
            frame(0, 1, updates=1),
            frame(1, 1, updates=2, was_reset=True),
            frame(2, 1, skipped=3, recovered="loss"),
            frame(3, 1, recovered="parameters", was_reset=True),
            frame(4, 1, recovered="prediction"),
        )
    )
    assert (scores.updates, scores.skipped, scores.resets, scores.recovered) == (3, 3, 2, 3)


def test_frames_whose_operations_are_counted_are_not_timed():
    frames = (frame(0, 100.0, flops=7), frame(1, 0.25), frame(2, 30.0, flops=7), frame(3, 0.75))
    assert StreamScores(frames).frames_per_s == pytest.approx(2.0)
    assert StreamScores((frame(0, 0.5, flops=7),)).frames_per_s == pytest.approx(2.0)  # better than nothing
    assert StreamScores().frames_per_s is None


def test_a_frame_knows_its_cell():
    assert frame(0, 1.0).cell == (1, "night")
