"""A graph of tasks to the work that is simulated: searches as their trials, sharded benchmarks as their shards."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from experiments.graph import Graph
from experiments.grid import find_grid
from experiments.schema import BenchmarkStage, TrainStage, UdaStage
from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.costs import name_cost
from orchestrator.profiles import MemoryProfile, pack
from orchestrator.request import is_sharded
from orchestrator.room import Demand, read_demand
from orchestrator.simulation.durations import Durations
from orchestrator.simulation.work import Work


def list_work(
    graph: Graph,
    durations: Durations,
    profiles: Mapping[str, MemoryProfile],
    done: Collection[str] = (),
) -> list[Work]:
    """Return the work of a graph.

    A search is its trials, at most `concurrent` at once (in so many lanes, one trial after the other), and an end that waits
    for them; a benchmark in shards is its shards and such an end. An end has the key of the task.

    Args:
        graph: the tasks.
        durations: of the tasks.
        profiles: measured memory by stage, for stages that pack.
        done: keys of tasks that are not run again.
    """
    works: list[Work] = []
    for key, task in graph.tasks.items():
        if key in done:
            continue
        wanted = pack(task.resources, profiles.get(name_cost(graph.name, graph.variant, task.stage)))
        demand = read_demand(wanted)
        if key in durations.trials:
            works += _list_trials(task, demand, durations.trials[key])
        elif is_sharded(task):
            works += _list_shards(task, demand, durations.seconds[key])
        else:
            works.append(_make(task, key, demand, durations.seconds[key]))
    return works


def _make(task: Task, key: str, demand: Demand, seconds: float, needs: tuple[str, ...] | None = None) -> Work:
    """Return one piece of a task's work."""
    inputs = tuple(task.inputs.values()) if needs is None else needs
    return Work(key, task.stage, seconds, inputs, demand, task.workers, find_resume_s(task, seconds))


def _list_trials(task: Task, demand: Demand, seconds: tuple[float, ...]) -> list[Work]:
    search = find_search(task.settings)
    lanes = (search.concurrent if search is not None else None) or len(seconds)
    inputs = tuple(task.inputs.values())
    trials: list[Work] = []
    for index, each in enumerate(seconds):
        before = (f"{task.key}/{index - lanes}",) if index >= lanes else ()
        trials.append(_make(task, f"{task.key}/{index}", demand, each, (*inputs, *before)))
    return [*trials, _make_end(task, trials)]


def _list_shards(task: Task, demand: Demand, seconds: float) -> list[Work]:
    shards = task.settings.shards if isinstance(task.settings, BenchmarkStage) else 1
    parts = [_make(task, f"{task.key}/{index}", demand, seconds) for index in range(shards)]
    return [*parts, _make_end(task, parts)]


def _make_end(task: Task, parts: list[Work]) -> Work:
    return Work(task.key, task.stage, 0.0, tuple(part.key for part in parts), workers=0)


def find_resume_s(task: Task, seconds: float) -> float | None:
    """Return the seconds between two resume points of a task; None where it starts anew after an interruption.

    A training has a point every `checkpoint_interval` iterations; a benchmark keeps finished blocks of frames: a cell here, its
    blocks being smaller.
    """
    settings = task.settings
    if isinstance(settings, TrainStage | UdaStage):
        return seconds * min(1.0, settings.training.checkpoint_interval / settings.training.iterations) or None
    if isinstance(settings, BenchmarkStage):
        return seconds / (len(find_grid(settings).cells) + 1 + len(settings.shifts)) or None
    return None
