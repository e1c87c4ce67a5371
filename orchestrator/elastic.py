"""Asking a cluster that starts machines when they are wanted for those that the ready tasks of a sweep want.

The driver hands Ray a task when there is room for it, so Ray's autoscaler would see no task that waits.
"""

from __future__ import annotations

from collections.abc import Iterable

from experiments.task import Task
from orchestrator.request import is_coordinator, list_bundle

MOST = 2000  # ours: tasks that are asked for at once; more than a cluster's limit changes nothing, and the list travels


def ask_for_machines(tasks: Iterable[Task]) -> None:
    """Have Ray's autoscaler make room for these tasks, running and ready ones together, in the place of what was asked before.

    Coordinators are left out: what they start asks for itself. None at all lets machines go when they are idle.
    """
    from ray.autoscaler.sdk import request_resources

    wanted = [task.resources for task in tasks if not is_coordinator(task)][:MOST]
    bundles = [{name: amount for name, amount in list_bundle(each).items() if name != "memory"} for each in wanted]
    labels = [dict(each.labels) for each in wanted]
    request_resources(bundles=bundles, **({"bundle_label_selectors": labels} if any(labels) else {}))
