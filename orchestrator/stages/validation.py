"""The frames that a training looks at while it runs, and what its looks become in the record."""

from __future__ import annotations

from collections.abc import Sequence

from adapt.data.layout import list_frames
from adapt.training.validation import Validation
from experiments.schema import ValidationSettings
from experiments.task import Task
from orchestrator.stages.stage import StageContext


def open_validation(settings: ValidationSettings | None, task: Task, context: StageContext) -> Validation | None:
    """Return what a training looks at, or None where its stage has no validation."""
    if settings is None:
        return None
    dataset = task.datasets[settings.dataset].settings
    frames = list_frames(dataset, context.roots[settings.dataset])
    return Validation(frames[: settings.limit], dataset, settings.interval)


def score_looks(looks: Sequence[tuple[int, float]]) -> dict[str, float | None]:
    """Return the best and the last mIoU of a training's looks, (iteration, mIoU) each; nothing without any."""
    if not looks:
        return {}
    best_iteration, best = max(looks, key=lambda look: look[1])
    return {"miou_best": best, "miou_last": looks[-1][1], "best_iteration": float(best_iteration)}
