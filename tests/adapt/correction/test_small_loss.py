"""Small-loss selection against sorting in plain Python, and the falling share."""

from __future__ import annotations

import hypothesis
import pytest
import torch
from hypothesis import strategies as st

from adapt.correction.settings import CoTeachingSettings
from adapt.correction.small_loss import compute_keep, select_small


@hypothesis.settings(deadline=None)
@hypothesis.given(
    pixels=st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=12, max_size=12),
    keep=st.floats(0, 1),
)
def test_equals_a_sort(pixels: list[tuple[int, bool]], keep: float) -> None:
    losses = torch.tensor([float(loss) for loss, _ in pixels]).view(2, 2, 3)
    valid = torch.tensor([is_valid for _, is_valid in pixels]).view(2, 2, 3)
    candidates = sorted((loss, place) for place, (loss, is_valid) in enumerate(pixels) if is_valid)
    wanted = {place for _, place in candidates[: round(keep * len(candidates))]}

    chosen = select_small(losses, valid, keep)

    assert chosen.dtype == torch.bool
    assert chosen.shape == losses.shape
    assert set(chosen.flatten().nonzero().flatten().tolist()) == wanted


def test_by_hand() -> None:
    losses = torch.tensor([[[0.5, 0.1], [9.0, 0.3]], [[0.2, 0.0], [0.4, 0.3]]])
    valid = torch.tensor([[[True, True], [True, True]], [[True, False], [True, True]]])
    # 3.5 of 7 rounds to 4: 0.1, 0.2 and both 0.3.
    assert select_small(losses, valid, 0.5).tolist() == [[[False, True], [False, True]], [[True, False], [False, True]]]


def test_of_equal_losses_the_first_are_taken() -> None:
    chosen = select_small(torch.ones(2, 30, 40), torch.ones(2, 30, 40, dtype=torch.bool), 0.25)
    assert chosen.flatten().nonzero().flatten().tolist() == list(range(600))


def test_the_extremes() -> None:
    losses, valid = torch.rand(2, 3, 4), torch.rand(2, 3, 4) > 0.3
    assert torch.equal(select_small(losses, valid, 1.0), valid)
    assert not select_small(losses, valid, 0.0).any()
    assert not select_small(losses, torch.zeros_like(valid), 0.7).any()


def test_nothing_waits_for_the_device() -> None:
    """On the meta device a tensor has no values: reading one would raise."""
    losses = torch.empty(2, 3, 4, device="meta")
    chosen = select_small(losses, torch.empty(2, 3, 4, device="meta", dtype=torch.bool), 0.5)
    assert chosen.device.type == "meta"
    assert chosen.shape == (2, 3, 4)


def test_the_share_falls_to_what_is_kept_in_the_end() -> None:
    settings = CoTeachingSettings(forget_rate=0.2, warmup_epochs=8)
    assert [compute_keep(epoch, settings) for epoch in (0, 2, 4, 8, 100)] == pytest.approx([1, 0.95, 0.9, 0.8, 0.8])
    assert compute_keep(1.0, CoTeachingSettings(forget_rate=0.2, warmup_epochs=0.5)) == pytest.approx(0.8)
