"""Which source frames are measured: each once, in order, by the seed alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapt.data.layout import Frame
from orchestrator.stages.source_frame import choose_frames

FRAMES = tuple(Frame(name=f"{place:03d}", image=Path(f"{place:03d}.png"), label=None) for place in range(50))


def test_a_choice_is_in_order_and_holds_each_frame_once() -> None:
    chosen = choose_frames(FRAMES, 20, seed=3)
    assert len(set(chosen)) == 20
    assert list(chosen) == sorted(chosen, key=lambda frame: frame.name)
    assert chosen == choose_frames(FRAMES, 20, seed=3)
    assert chosen != choose_frames(FRAMES, 20, seed=4)


@pytest.mark.parametrize("samples", [50, 51])
def test_all_are_taken_where_there_are_no_more_than_wanted(samples: int) -> None:
    assert choose_frames(FRAMES, samples, seed=3) == FRAMES
