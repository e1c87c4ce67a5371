"""Pseudo-labels and their weight, worked by hand."""

from __future__ import annotations

import math

import pytest
import torch

from adapt.uda.pseudo_label import make_pseudo_labels


def to_logits(probabilities: list[list[list[float]]]) -> torch.Tensor:
    """(N, H, W) probabilities of class 1 of two -> (N, 2, H, W) logits."""
    share = torch.tensor(probabilities)
    return torch.stack([torch.log(1 - share), torch.log(share)], dim=1)


def test_hand_worked_batch() -> None:
    # Confident (>= 0.968) are 0.97, 0.99, 0.01, 0.02 and 0.969: five of eight pixels, over both images together.
    logits = to_logits([[[0.97, 0.60], [0.99, 0.04]], [[0.01, 0.02], [0.50001, 0.969]]])

    label, weight, q = make_pseudo_labels(logits, 0.968)

    assert label.tolist() == [[[1, 1], [1, 0]], [[0, 0], [1, 1]]]
    assert label.dtype == torch.int64
    assert q.item() == 0.625
    assert weight.tolist() == [[[0.625, 0.625], [0.625, 0.625]]] * 2


def test_threshold_itself_is_confident() -> None:
    logits = torch.tensor([[0.0, math.nan], [0.0, math.nan]])[None, :, None, :1]  # both classes at exactly 0.5

    assert make_pseudo_labels(logits, 0.5)[2].item() == 1.0
    assert make_pseudo_labels(logits, 0.5001)[2].item() == 0.0


def test_ignored_rows_weigh_nothing_but_count_for_q() -> None:
    logits = to_logits([[[0.99], [0.99], [0.6], [0.6], [0.99], [0.6]]])

    _, weight, q = make_pseudo_labels(logits, 0.968, ignore_top=1, ignore_bottom=2)

    assert q.item() == 0.5
    assert weight[0, :, 0].tolist() == [0.0, 0.5, 0.5, 0.5, 0.0, 0.0]


@pytest.mark.parametrize(("top", "bottom"), [(0, 9), (9, 0), (4, 4)])
def test_margins_may_cover_the_crop(top: int, bottom: int) -> None:
    _, weight, _ = make_pseudo_labels(to_logits([[[0.99]] * 6]), 0.968, top, bottom)

    assert weight.sum() == 0
