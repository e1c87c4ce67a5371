"""Tune's processes of trials, one of which may run out of memory without the end of the whole search.

Ray ends the process that eats too much before its machine dies of it, and names the cause. Tune (2.60) knows that cause from
tasks alone: of a trial it takes it for an error of its own, and gives up.
"""

from __future__ import annotations

from typing import Any

from ray.air.execution._internal import RayActorManager
from ray.exceptions import OutOfMemoryError, RayActorError
from ray.tune.execution import tune_controller

OUT_OF_MEMORY = (
    "memory ran out: give the trials more by `resources.memory_gb` of the stage, make their batches smaller, or leave such points "
    "out of the `space`; `segshift profile` measures what they need"
)


class TrialProcesses(RayActorManager):
    """Keeps a search going when memory ran out for a trial: its process has died, like others do."""

    def _actor_task_failed(self, tracked_actor_task: Any, exception: Exception) -> None:
        is_hungry = isinstance(exception, OutOfMemoryError)
        super()._actor_task_failed(
            tracked_actor_task, RayActorError(error_msg=OUT_OF_MEMORY) if is_hungry else exception
        )


def adopt_trial_processes() -> None:
    """Have Tune use them, in this process."""
    tune_controller.RayActorManager = TrialProcesses
