"""The teacher's average, against the reference's alphas and a hand-worked update."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from adapt.uda.ema import compute_ema_alpha, update_teacher

# From the formula min(1 - 1/(t+1), 0.999), ten digits.
ALPHAS = {0: 0.0, 1: 0.5, 2: 0.6666666667, 9: 0.9, 99: 0.99, 998: 0.998998999, 999: 0.999, 5000: 0.999}


@pytest.mark.parametrize(("iteration", "alpha"), ALPHAS.items())
def test_alpha(iteration: int, alpha: float) -> None:
    assert compute_ema_alpha(iteration, 0.999) == pytest.approx(alpha, abs=5e-11)


def make_network(value: float) -> nn.Module:
    network = nn.Sequential(nn.Linear(2, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(value)
        network[1].running_mean.fill_(value)
    return network


def test_update_moves_parameters_and_leaves_buffers() -> None:
    teacher, student = make_network(8.0), make_network(4.0)

    update_teacher(teacher, student, 0.75)

    assert all(torch.equal(p, torch.full_like(p, 7.0)) for p in teacher.parameters())
    assert all(torch.equal(p, torch.full_like(p, 4.0)) for p in student.parameters())
    assert teacher[1].running_mean.item() == 8.0


def test_alpha_zero_copies_even_over_nan() -> None:
    teacher, student = make_network(float("nan")), make_network(0.1)

    update_teacher(teacher, student, 0.0)

    assert all(torch.equal(a, b) for a, b in zip(teacher.parameters(), student.parameters(), strict=True))
