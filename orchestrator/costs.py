"""What tasks cost: seconds measured by earlier records of a store, for plans and for the time to go."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping

from adapt.tta.stream_settings import StreamSettings
from corruptions.catalog import SEVERITIES
from experiments.graph import Graph
from experiments.schema import SearchStage, StreamStage
from experiments.search import list_points
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
        costs = json.loads(store.read_note(FILE) or "{}")
    except json.JSONDecodeError:
        return {}
    return costs if isinstance(costs, dict) else {}


def add_costs(store: Store, state: SweepState) -> None:
    """Add the seconds that a sweep measured."""
    costs = read_costs(store)
    for key, seconds in state.seconds.items():
        name = name_cost(state.graph.name, state.graph.variant, state.graph.tasks[key].stage)
        costs[name] = [*costs.get(name, []), round(seconds, 2)][-KEPT:]
    store.write_note(FILE, json.dumps(costs, indent=1))


def estimate_s(task: Task, graph: Graph, costs: Costs) -> float | None:
    """Return the seconds that a task is expected to take, or None where nothing is known.

    It is the median of its stage as measured in this store, else what its file expects. A search without either takes the
    time of the stream that it is for once for each trial, by the frames of the two streams where their settings say how
    many these are: more than it will be where trials run side by side.
    """
    measured = costs.get(name_cost(graph.name, graph.variant, task.stage))
    if measured:
        return statistics.median(measured)
    if isinstance(task.settings, SearchStage):
        return _estimate_search_s(task, task.settings, graph, costs)
    return task.settings.expected_seconds


def _estimate_search_s(task: Task, settings: SearchStage, graph: Graph, costs: Costs) -> float | None:
    trials = len(list_points(settings.search))
    for stream in graph.tasks.values():
        if stream.inputs.get("method") == task.key and isinstance(stream.settings, StreamStage):
            each = estimate_s(stream, graph, costs)
            tried, reported = count_frames(settings.search.stream), count_frames(stream.settings.stream)
            share = tried / reported if tried is not None and reported is not None else 1.0
            return None if each is None else each * trials * share
    return None


def count_trials(task: Task) -> int | None:
    """Return how many trials a search makes; None for what is no search."""
    return len(list_points(task.settings.search)) if isinstance(task.settings, SearchStage) else None


def count_frames(stream: StreamSettings) -> int | None:
    """Return how many frames a stream has at most, or None where its settings do not say: then its data sets do."""
    each = stream.run_length if stream.kind == "recurring" and stream.run_length is not None else stream.limit
    if each is None:
        return None
    walks = 2 * len(SEVERITIES) - 1 if stream.kind == "gradual" else 1  # up to the strongest severity, and down again
    return each * len(stream.domains) * stream.rounds * walks


def estimate_remaining_s(state: SweepState, costs: Costs, slots: float) -> float | None:
    """Return the seconds that a sweep still takes, or None where a stage was never measured.

    Work is spread evenly over `slots`; the critical path is not followed, so the end of a sweep can take longer.
    """
    total = 0.0
    measured = {name: list(values) for name, values in costs.items()}
    for key, seconds in state.seconds.items():
        name = name_cost(state.graph.name, state.graph.variant, state.graph.tasks[key].stage)
        measured.setdefault(name, []).append(seconds)
    medians = {
        name: [statistics.median(values)] for name, values in measured.items() if values
    }  # once, not once a task
    for key, status in state.status.items():
        if status in (Status.WAITING, Status.SUBMITTED):
            task = state.graph.tasks[key]
            expected = estimate_s(task, state.graph, medians)
            if expected is None:
                return None
            total += expected * (1 - state.live.get(key, {}).get("progress", 0.0))
    return total / max(slots, 1.0)
