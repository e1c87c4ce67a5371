"""What tasks cost: seconds measured by earlier records of a store, for plans and for the time to go."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping

from adapt.tta.stream_settings import StreamSettings
from corruptions.catalog import SEVERITIES
from experiments.graph import Graph
from experiments.schema import SearchStage, StreamStage
from experiments.search import count_trials as count_search_trials
from experiments.searched_training import find_search
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

    It is the median of its stage as measured in this store, else what its file expects: of a training with a search, for
    each of its trials. The search of a stream takes the time of that stream once for each trial, by the frames of the two
    streams where their settings say how many these are. Both are more than it will be where trials run side by side, and
    hours that a search is given are the most that it takes.
    """
    measured = costs.get(name_cost(graph.name, graph.variant, task.stage))
    if measured:
        return statistics.median(measured)
    search = find_search(task.settings)
    if search is None:
        return task.settings.expected_seconds
    trials, each = count_search_trials(search), task.settings.expected_seconds
    if isinstance(task.settings, SearchStage):
        each = _estimate_stream_trial_s(task, task.settings, graph, costs)
    limits = [] if search.hours is None else [3600 * search.hours]
    return min([*limits, *([] if each is None or trials is None else [each * trials])], default=None)


def _estimate_stream_trial_s(task: Task, settings: SearchStage, graph: Graph, costs: Costs) -> float | None:
    for stream in graph.tasks.values():
        if stream.inputs.get("method") == task.key and isinstance(stream.settings, StreamStage):
            each = estimate_s(stream, graph, costs)
            tried, reported = count_frames(settings.search.stream), count_frames(stream.settings.stream)
            share = tried / reported if tried is not None and reported is not None else 1.0
            return None if each is None else each * share
    return None


def count_trials(task: Task) -> int | None:
    """Return how many trials a search makes at most; None for what is no search, or where its hours alone decide."""
    search = find_search(task.settings)
    return None if search is None else count_search_trials(search)


def describe_budget(task: Task) -> str | None:
    """Say how many trials a search makes: `12 trials`, `up to 40 trials in 2 h`; None for what is no search."""
    search = find_search(task.settings)
    if search is None:
        return None
    trials = count_search_trials(search)
    number = "" if trials is None else f"{trials} trial{'s' if trials > 1 else ''}"
    if search.hours is None:
        return number
    return f"up to {number} in {search.hours:g} h" if number else f"trials for {search.hours:g} h"


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
