"""Expand an experiment into its graph of tasks: pure, and the same on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.binding import Facts
from experiments.expansion import Expansion, name_search
from experiments.load import LoadedExperiment
from experiments.references import order_stages
from experiments.schema import LeaderboardStage
from experiments.task import Task, name_apart


@dataclass(frozen=True)
class Graph:
    """The tasks of an experiment in an order in which every task follows its inputs.

    Attributes:
        name: the experiment.
        profile: the profile that it was expanded under.
        title: one line on what it asks.
        tasks: key -> task; tasks with equal keys are one.
        nodes: every (stage, point) of the file as a task, equal keys included: what a leaderboard shows.
        leaderboards: the leaderboard stages by name.
        overrides: what the command line changed; such a run keeps its leaderboard, costs and MLflow run apart.
        given: how the experiment was named, for commands: by its name, or by the path of its file.
    """

    name: str
    profile: str
    title: str
    tasks: Mapping[str, Task]
    nodes: tuple[Task, ...]
    leaderboards: Mapping[str, LeaderboardStage]
    overrides: tuple[str, ...] = ()
    given: str = ""

    @property
    def variant(self) -> str:
        """The profile, with a short hash of the overrides where there are any."""
        return name_variant(self.profile, self.overrides)

    def dependants(self) -> dict[str, list[str]]:
        """Return key -> keys of the tasks that take its output."""
        result: dict[str, list[str]] = {key: [] for key in self.tasks}
        for task in self.tasks.values():
            for needed in set(task.inputs.values()):
                result[needed].append(task.key)
        return result


def name_variant(profile: str, overrides: tuple[str, ...]) -> str:
    """Return a profile with a short hash of the overrides where there are any."""
    return f"{profile}+{hashlib.sha256(repr(overrides).encode()).hexdigest()[:6]}" if overrides else profile


def expand(loaded: LoadedExperiment, facts: Facts) -> Graph:
    """Expand an experiment into tasks with content keys.

    Args:
        loaded: the validated experiment.
        facts: binds data sets and models to the bytes behind them.

    Raises:
        SpecError: a stage is not understood, refers to what does not exist, or the references form a cycle.
    """
    expansion = Expansion(loaded, facts)
    boards = [stage for stage, data in loaded.settings.stages.items() if data["kind"] == "leaderboard"]
    for stage in order_stages(loaded):
        if stage not in boards:
            expansion.expand_stage(stage)
    leaderboards = {stage: expansion.expand_leaderboard(stage) for stage in boards}
    names = (name for stage in loaded.settings.stages for name in (name_search(stage), stage))
    named = {stage: name_apart(tasks) for stage, tasks in expansion.nodes.items()}
    nodes = tuple(task for name in names for task in named.get(name, ()))
    unique = {task.key: task for tasks in named.values() for task in tasks}
    title = loaded.settings.title
    return Graph(loaded.name, loaded.profile, title, unique, nodes, leaderboards, loaded.overrides, loaded.given)
