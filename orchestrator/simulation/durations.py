"""How long the tasks of a graph take: measured, expected by their file, or assumed; and which of these it is."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from adapt.errors import SegshiftError
from experiments.graph import Graph
from experiments.search import TRIALS_FILE
from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.costs import Costs, count_trials, estimate_s, name_cost
from orchestrator.store import Store

ASSUMED_S = 3600.0  # ours: a task of which nothing is known; every report names the stages that it stands for

Origin = Literal["measured", "expected", "assumed", "given"]


@dataclass
class Durations:
    """Seconds of each task, and of each trial of those that are searches.

    Attributes:
        seconds: key -> seconds of the task, or of one of its trials on average.
        trials: key -> seconds of each trial, of searches.
        by_stage: stage -> seconds of its last task, or of a trial of it.
        origins: stage -> where its seconds come from.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    trials: dict[str, tuple[float, ...]] = field(default_factory=dict)
    by_stage: dict[str, float] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)

    def list_assumed(self) -> dict[str, float]:
        """Return the seconds of the stages of which nothing was known."""
        return {stage: self.by_stage[stage] for stage, origin in self.origins.items() if origin == "assumed"}


def find_durations(
    graph: Graph, store: Store, costs: Costs, given: Mapping[str, float], assumed_s: float = ASSUMED_S
) -> Durations:
    """Return how long every task of a graph takes.

    Args:
        graph: the tasks.
        store: its records know exactly what was run before.
        costs: measured seconds by stage.
        given: stage -> seconds that the user wants in the place of all others.
        assumed_s: of a task of which nothing is known.
    """
    done, found = store.list_done(), Durations()
    for key, task in graph.tasks.items():
        seconds, origin = _find(task, graph, store, costs, given, assumed_s, key in done)
        trials = count_trials(task)
        if trials is not None:
            kept = _read_trials(store, key) if key in done and origin == "measured" else ()
            found.trials[key] = kept or (seconds,) * trials
        found.seconds[key] = found.by_stage[task.stage] = seconds
        found.origins[task.stage] = origin
    return found


def _find(
    task: Task,
    graph: Graph,
    store: Store,
    costs: Costs,
    given: Mapping[str, float],
    assumed_s: float,
    is_done: bool,
) -> tuple[float, Origin]:
    """Return the seconds of a task, or of one trial of a search, and where they come from."""
    if task.stage in given:
        return given[task.stage], "given"
    trials = count_trials(task)
    if is_done and trials is None:
        return store.read(task.key).seconds, "measured"
    estimate = estimate_s(task, graph, costs)
    if estimate is None:
        return assumed_s, "assumed"
    name = name_cost(graph.name, graph.variant, task.stage)
    if trials is None:
        return estimate, "measured" if costs.get(name) else "expected"
    if costs.get(name):
        return estimate / _count_waves(task, trials), "measured"
    return estimate / trials, "expected"


def _count_waves(task: Task, trials: int) -> int:
    """Return how many trials followed each other in a search that was measured: all, where nothing limits or tells it."""
    search = find_search(task.settings)
    concurrent = search.concurrent if search is not None else None
    return math.ceil(trials / concurrent) if concurrent else trials


def _read_trials(store: Store, key: str) -> tuple[float, ...]:
    """Return the seconds of each trial of a finished search; empty where they cannot be read."""
    try:
        listed = json.loads(store.verified_file(key, TRIALS_FILE).read_text(encoding="utf-8"))
        return tuple(float(trial["seconds"]) for trial in listed)
    except (SegshiftError, OSError, ValueError, KeyError, TypeError):
        return ()
