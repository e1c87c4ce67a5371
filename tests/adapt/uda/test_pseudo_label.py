"""Pseudo-labels and their weight, worked by hand and against a loop over pixels."""

from __future__ import annotations

import math

import pytest
import torch

from adapt.uda.pseudo_label import make_pseudo_labels, weigh_pixels


def to_logits(probabilities: list[list[list[float]]]) -> torch.Tensor:
    """(N, H, W) probabilities of class 1 of two -> (N, 2, H, W) logits."""
    share = torch.tensor(probabilities)
    return torch.stack([torch.log(1 - share), torch.log(share)], dim=1)


def test_hand_worked_batch() -> None:
    # Confident (>= 0.968) are 0.97, 0.99, 0.01, 0.02 and 0.969: five of eight pixels, over both images together.
    logits = to_logits([[[0.97, 0.60], [0.99, 0.04]], [[0.01, 0.02], [0.50001, 0.969]]])

    label, q = make_pseudo_labels(logits, 0.968)

    assert label.tolist() == [[[1, 1], [1, 0]], [[0, 0], [1, 1]]]
    assert label.dtype == torch.int64
    assert q.dtype == torch.float32
    assert q.item() == 0.625


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_equals_a_loop_over_pixels(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = (4 * torch.randn(2, 6, 7, 5)).to(dtype)
    before = logits.clone()
    confident = 0
    labels = torch.zeros(2, 7, 5, dtype=torch.int64)
    for n in range(2):
        for y in range(7):
            for x in range(5):
                scores = logits[n, :, y, x].tolist()
                labels[n, y, x] = scores.index(max(scores))
                confident += math.exp(max(scores)) / sum(math.exp(score) for score in scores) >= 0.8

    label, q = make_pseudo_labels(logits, 0.8)

    assert 0 < confident < 70
    assert torch.equal(label, labels)
    assert q.dtype == torch.float32
    assert q.item() == pytest.approx(confident / 70)
    assert torch.equal(logits, before)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_give_the_share_of_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    logits = (3 * torch.randn(1, 6, 200, 100)).to(dtype)
    wanted = (torch.softmax(logits.double(), dim=1).amax(dim=1) >= 0.8).double().mean().item()

    assert make_pseudo_labels(logits, 0.8)[1].item() == pytest.approx(wanted, abs=1e-6)


def test_threshold_itself_is_confident() -> None:
    logits = torch.zeros(1, 2, 1, 1)  # both classes at exactly 0.5

    assert make_pseudo_labels(logits, 0.5)[1].item() == 1.0
    assert make_pseudo_labels(logits, 0.5001)[1].item() == 0.0


def test_large_logits_do_not_overflow() -> None:
    logits = torch.tensor([900.0, 1000.0, -1000.0]).reshape(1, 3, 1, 1)

    label, q = make_pseudo_labels(logits, 0.968)

    assert label.item() == 1
    assert q.item() == 1.0


def test_every_pixel_weighs_the_share() -> None:
    weight = weigh_pixels(torch.tensor(0.625), (2, 3, 4))

    assert weight.dtype == torch.float32
    assert weight.tolist() == [[[0.625] * 4] * 3] * 2


def test_ignored_rows_weigh_nothing() -> None:
    weight = weigh_pixels(torch.tensor(0.5), (1, 6, 1), ignore_top=1, ignore_bottom=2)

    assert weight[0, :, 0].tolist() == [0.0, 0.5, 0.5, 0.5, 0.0, 0.0]


def test_invalid_pixels_weigh_nothing() -> None:
    valid = torch.tensor([[[True, False], [True, True], [False, True]]])

    weight = weigh_pixels(torch.tensor(0.25), (1, 3, 2), ignore_top=1, valid=valid)

    assert weight.dtype == torch.float32
    assert weight.tolist() == [[[0.0, 0.0], [0.25, 0.25], [0.0, 0.25]]]
    assert valid.sum() == 4


def test_weights_do_not_share_memory() -> None:
    share = torch.tensor(0.5)

    weigh_pixels(share, (1, 3, 2)).zero_()

    assert share.item() == 0.5


@pytest.mark.parametrize(("top", "bottom"), [(0, 9), (9, 0), (4, 4)])
def test_margins_may_cover_the_crop(top: int, bottom: int) -> None:
    assert weigh_pixels(torch.tensor(1.0), (1, 6, 2), top, bottom).sum() == 0


def test_nothing_reads_from_the_device() -> None:
    # A meta tensor has no values: whatever would wait for a GPU raises here.
    label, q = make_pseudo_labels(torch.zeros(2, 3, 4, 5, device="meta"), 0.9)

    assert weigh_pixels(q, tuple(label.shape), 1, 1, label.bool()).shape == (2, 4, 5)
