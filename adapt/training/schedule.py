"""The learning-rate schedule as mmengine's scheduler configs."""

from __future__ import annotations

from typing import Any

from adapt.training.settings import ScheduleSettings


def build_schedule(settings: ScheduleSettings, iterations: int) -> list[dict[str, Any]]:
    """Linear warm-up times polynomial decay, per iteration.

    With T iterations, warm-up W and ratio r the learning rate of iteration t (from 0) is
    `lr * (1 - t/T)^power * (1 - (1 - t/W) * (1 - r) if t < W else 1)`. mmengine counts the last point
    in, hence the `+ 1`.

    Args:
        settings: Warm-up and power.
        iterations: Length of the run, T.

    Returns:
        Configs for `Runner(param_scheduler=...)`; no `LinearLR` when there is no warm-up.
    """
    decay = {
        "type": "PolyLR", "eta_min": 0.0, "power": settings.power, "begin": 0, "end": iterations + 1, "by_epoch": False,
    }  # fmt: skip
    if settings.warmup_iterations == 0:
        return [decay]
    warmup = {
        "type": "LinearLR",
        "start_factor": settings.warmup_ratio,
        "begin": 0,
        "end": settings.warmup_iterations + 1,
        "by_epoch": False,
    }
    return [warmup, decay]
