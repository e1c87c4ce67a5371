"""The learning rate at every iteration, against the closed formula and DAFormer's log."""

from __future__ import annotations

import pytest
import torch

from adapt.openmmlab import PARAM_SCHEDULERS
from adapt.training.schedule import build_schedule
from adapt.training.settings import ScheduleSettings

# lhoyer/DAFormer's log: logged iteration -> lr, four digits; the logged iteration N is iteration N - 1.
LOGGED = {
    50: 1.958e-06,
    100: 3.950e-06,
    150: 5.938e-06,
    200: 7.920e-06,
    250: 9.898e-06,
    16550: 3.518e-05,
    16600: 3.510e-05,
}


def run_schedule(settings: ScheduleSettings, iterations: int, lr: float, count: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=lr)
    schedulers = [
        PARAM_SCHEDULERS.build({**config, "optimizer": optimizer}) for config in build_schedule(settings, iterations)
    ]
    rates = []
    for _ in range(count):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
    return rates


def compute_lr(t: int, lr: float, total: int, warmup: int, ratio: float, power: float) -> float:
    factor = 1 - (1 - t / warmup) * (1 - ratio) if t < warmup else 1.0
    return lr * (1 - t / total) ** power * factor


def test_daformer_schedule() -> None:
    rates = run_schedule(ScheduleSettings(), 40_000, 6e-5, 16_600)

    for iteration, logged in LOGGED.items():
        assert float(f"{rates[iteration - 1]:.3e}") == logged
    for t in (0, 1, 2, 749, 1498, 1499, 1500, 1501, 1502, 9999, 16_599):
        assert rates[t] == pytest.approx(compute_lr(t, 6e-5, 40_000, 1500, 1e-6, 1), rel=1e-9)


@pytest.mark.parametrize("power", [0.9, 2.0])
def test_short_schedule_with_other_power(power: float) -> None:
    rates = run_schedule(ScheduleSettings(warmup_iterations=5, warmup_ratio=0.1, power=power), 20, 1.0, 20)

    assert rates == pytest.approx([compute_lr(t, 1.0, 20, 5, 0.1, power) for t in range(20)])


def test_no_warmup() -> None:
    settings = ScheduleSettings(warmup_iterations=0)

    assert [config["type"] for config in build_schedule(settings, 10)] == ["PolyLR"]
    assert run_schedule(settings, 10, 1.0, 10) == pytest.approx([1 - t / 10 for t in range(10)])
