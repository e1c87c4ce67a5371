"""What a task asks Ray for, in the words of each of Ray's interfaces."""

from __future__ import annotations

from typing import Any

from experiments.schema import BenchmarkStage, ResourceSettings
from experiments.searched_training import find_search
from experiments.task import Task


def count_bytes(memory_gb: float | None) -> int | None:
    """Return GiB as bytes, the unit of Ray's `memory`."""
    return int(memory_gb * 2**30) if memory_gb else None


def list_options(wanted: ResourceSettings) -> dict[str, Any]:
    """Return the options of a Ray task or actor that holds this much."""
    return {
        "num_cpus": wanted.cpus,
        "num_gpus": wanted.gpus,
        "memory": count_bytes(wanted.memory_gb),
        "resources": dict(wanted.custom) or None,
        "label_selector": dict(wanted.labels) or None,
    }


def list_bundle(wanted: ResourceSettings) -> dict[str, float]:
    """Return the bundle of a placement group that holds this much; labels go beside it."""
    amounts = {"CPU": wanted.cpus, "GPU": wanted.gpus, "memory": count_bytes(wanted.memory_gb) or 0, **wanted.custom}
    return {name: amount for name, amount in amounts.items() if amount}


def is_sharded(task: Task) -> bool:
    """Say whether several processes of the cluster share a task's work."""
    return isinstance(task.settings, BenchmarkStage) and task.settings.shards > 1


def is_coordinator(task: Task) -> bool:
    """Say whether a task only starts others and waits for them: each of those asks for the task's resources.

    They are a search's trials, a training's workers and a benchmark's shards. A coordinator that held resources itself could
    keep its own trials waiting for ever.
    """
    return task.workers > 1 or is_sharded(task) or find_search(task.settings) is not None


def ask(task: Task) -> dict[str, Any]:
    """Return the options under which a task is submitted."""
    return {"num_cpus": 0} if is_coordinator(task) else list_options(task.resources)


def find_limit_s(task: Task) -> float | None:
    """Return how long a task may run, in seconds; None is without a limit. A search's limit is each of its trials' instead."""
    return task.settings.time_limit_s if find_search(task.settings) is None else None
