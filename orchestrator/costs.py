"""What tasks cost: seconds measured by earlier records of a store, for plans and for the time to go."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping

from adapt.atomic import write_atomically
from experiments.task import Task
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState

FILE = "costs.json"
KEPT = 20  # measurements of each stage that are kept: the newest

Costs = Mapping[str, list[float]]


def name_cost(experiment: str, profile: str, stage: str) -> str:
    """Return under which name a stage's seconds are kept."""
    return f"{experiment}/{profile}/{stage}"


def read_costs(store: Store) -> dict[str, list[float]]:
    """Return measured seconds by stage; empty where nothing was measured yet."""
    try:
        costs = json.loads((store.root / FILE).read_text())
    except (OSError, json.JSONDecodeError):
        return {}
    return costs if isinstance(costs, dict) else {}


def add_costs(store: Store, state: SweepState) -> None:
    """Add the seconds that a sweep measured."""
    costs = read_costs(store)
    for key, seconds in state.seconds.items():
        name = name_cost(state.graph.name, state.graph.variant, state.graph.tasks[key].stage)
        costs[name] = [*costs.get(name, []), round(seconds, 2)][-KEPT:]
    write_atomically(store.root / FILE, json.dumps(costs, indent=1))


def estimate_task_s(task: Task, experiment: str, profile: str, costs: Costs) -> float | None:
    """Return the median seconds of a task's stage: measured in this store, else as its file expects, else None."""
    measured = costs.get(name_cost(experiment, profile, task.stage))
    return statistics.median(measured) if measured else task.settings.expected_seconds


def estimate_remaining_s(state: SweepState, costs: Costs, slots: float) -> float | None:
    """Return the seconds that a sweep still takes, or None where a stage was never measured.

    Work is spread evenly over `slots`; the critical path is not followed, so the end of a sweep can take longer.
    """
    total = 0.0
    measured = {name: list(values) for name, values in costs.items()}
    for key, seconds in state.seconds.items():
        name = name_cost(state.graph.name, state.graph.variant, state.graph.tasks[key].stage)
        measured.setdefault(name, []).append(seconds)
    for key, status in state.status.items():
        if status in (Status.WAITING, Status.SUBMITTED):
            task = state.graph.tasks[key]
            expected = estimate_task_s(task, state.graph.name, state.graph.variant, measured)
            if expected is None:
                return None
            total += expected * (1 - state.live.get(key, {}).get("progress", 0.0))
    return total / max(slots, 1.0)
