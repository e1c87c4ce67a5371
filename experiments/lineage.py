"""What a result comes from but for seeds: tasks that agree on it are runs of one entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from experiments.schema import INPUT_OUTPUTS
from experiments.task import Task


def describe_lineage(tasks: Mapping[str, Task], task: Task) -> list[Any]:
    """Return all that a score depends on but seeds.

    These are the seeds of what it was made from, of its search and of its stream. Streams whose seed decides what is seen
    never meet in one table, as do benchmarks of two seeds.

    Args:
        tasks: key -> task, with all that it was made from.
        task: a scored task.

    Returns:
        JSON-able data: its kind, its own settings and its data, which are equal for the rows of one table; then its model
        and, role by role, the lineage of its inputs.
    """
    named = {"label", "resources", "expected_seconds", *(role for role in task.inputs if role in INPUT_OUTPUTS)}
    settings = task.settings.model_dump(mode="json", exclude=named)
    if task.kind in ("train", "uda", "styles", "fisher"):
        settings.pop("seed")
    search = settings.get("search") or {}
    for seeded in (settings.get("stream"), search, search.get("stream")):
        if seeded:
            del seeded["seed"]
    data = {name: bound.fingerprint for name, bound in task.datasets.items()}
    model = [task.model.config_sha256, task.model.weights_sha256, task.model.settings.overrides] if task.model else None
    inputs = [tasks[task.inputs[role]] for role in sorted(task.inputs)]
    return [task.kind, settings, data, model, [[needed.label, *describe_lineage(tasks, needed)] for needed in inputs]]
