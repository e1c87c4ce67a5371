"""What Tune hears when Ray has ended the process of a trial for memory."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ray.air.execution import FixedResourceManager
from ray.air.execution._internal import RayActorManager
from ray.exceptions import ActorDiedError, OutOfMemoryError, RayActorError

from orchestrator.trial_processes import OUT_OF_MEMORY, TrialProcesses
from orchestrator.tune_adapter import describe_death


def hear(manager: Any, error: Exception) -> Exception:
    """Return what Tune's callbacks get of an error of a trial."""
    heard: list[Exception] = []
    actor = SimpleNamespace(actor_id=0, _on_error=None)
    task = SimpleNamespace(_tracked_actor=actor, _on_error=lambda actor, error: heard.append(error))
    manager._cleanup_actor = lambda tracked_actor: None
    manager._actor_task_failed(task, error)
    return heard[0]


def test_memory_that_ran_out_is_the_death_of_one_process() -> None:
    resources = FixedResourceManager({"CPU": 1.0})
    with pytest.raises(RuntimeError, match="unexpected exception"):  # once Tune takes it, ours can go
        hear(RayActorManager(resource_manager=resources), OutOfMemoryError("low on memory"))
    error = hear(TrialProcesses(resource_manager=resources), OutOfMemoryError("low on memory"))
    assert isinstance(error, RayActorError)
    assert describe_death(SimpleNamespace(get_error=lambda: error)) == OUT_OF_MEMORY
    assert "`resources.memory_gb`" in OUT_OF_MEMORY
    other = ActorDiedError()
    assert hear(TrialProcesses(resource_manager=resources), other) is other
