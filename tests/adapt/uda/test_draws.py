"""Draws of a step: the same in every run, different in every step, and one batch's however many workers share it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from adapt.uda import draws
from adapt.uda.draws import StepDraws, draw_step
from adapt.uda.settings import MicSettings

SETTINGS = MicSettings(masked_consistency={"block": 8})


def list_values(step: StepDraws) -> list[Any]:
    assert step.keep is not None
    return [step.class_orders.tolist(), repr(step.strong), repr(step.masked_strong), step.keep.tolist()]


def test_depends_on_seed_and_position_only() -> None:
    first = draw_step(SETTINGS, 3, 7, torch.zeros(2, 32, 48), None)
    torch.manual_seed(99)

    assert list_values(first) == list_values(draw_step(SETTINGS, 3, 7, torch.zeros(2, 32, 48), None))
    for other in (
        draw_step(SETTINGS, 4, 7, torch.zeros(2, 32, 48), None),
        draw_step(SETTINGS, 3, 8, torch.zeros(2, 32, 48), None),
    ):
        assert all(a != b for a, b in zip(list_values(first), list_values(other), strict=True))


def test_workers_share_the_draws_of_their_joint_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw_step(SETTINGS, 3, 7, torch.zeros(4, 32, 48), None)
    monkeypatch.setattr(draws, "count_workers", lambda: 2)
    for rank in (0, 1):
        monkeypatch.setattr(draws, "get_rank", lambda rank=rank: rank)
        own = draw_step(SETTINGS, 3, 7, torch.zeros(2, 32, 48), None)
        images = slice(2 * rank, 2 * rank + 2)

        assert torch.equal(own.class_orders, whole.class_orders[images])
        assert whole.keep is not None
        assert own.keep is not None
        assert torch.equal(own.keep, whole.keep[images])
        assert whole.strong is not None
        assert repr(own.strong) == repr(whole.strong.select(images.start, images.stop))


def test_parts_that_are_off_draw_nothing() -> None:
    plain = SETTINGS.model_copy(update={"masked_consistency": None, "strong_augment": None})

    step = draw_step(plain, 3, 7, torch.zeros(2, 32, 48), None)

    assert (step.strong, step.masked_strong, step.keep, step.source_box) == (None, None, None, None)
    assert step.class_orders.shape == (2, 256)
