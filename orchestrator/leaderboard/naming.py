"""How the entries of a table are called: briefly, and no two alike."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from adapt.settings import Settings
from adapt.tta.settings import name_method
from experiments.graph import Graph
from experiments.schema import StreamStage
from experiments.task import Task, describe, describe_apart

SEED_AXIS = "seed"


@dataclass(frozen=True)
class Name:
    """How an entry is called: how its network was trained, its test-time method, and what else tells it apart."""

    method: str
    adaptation: str | None
    axes: tuple[tuple[str, str], ...]


def name_entries(graph: Graph, tasks: Sequence[Task]) -> list[Name]:
    """Name entries briefly, and the ones that would share a name by what tells them apart; as a last resort by a number.

    Args:
        graph: the graph that they are of.
        tasks: one task of each entry.

    Returns:
        A name for each; no two are alike.
    """
    names = [_name_entry(graph, task) for task in tasks]
    for add in (_add_axes, _add_stages):
        for name in [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            alike = [index for index, other in enumerate(names) if other == name]
            told = add(graph, name, [tasks[index] for index in alike])
            for index, new in zip(alike, told, strict=True):
                names[index] = new
    unique: list[Name] = []
    for name in names:
        numbered = (replace(name, method=f"{name.method} ({number})") for number in itertools.count(2))
        unique.append(next(each for each in itertools.chain([name], numbered) if each not in unique))
    return unique


def find_trained(graph: Graph, task: Task) -> Task:
    """Return the task that trained the network that a task scores; the task itself where the weights came from outside."""
    return graph.tasks.get(task.inputs.get("checkpoint", ""), task)


def name_dataset(task: Task, name: str) -> str:
    """Name a data set of a task by what it is, such as `camvid test (0001TP)`; one of the user's own as its file calls it."""
    dataset = task.datasets[name].settings
    if dataset.type == "folder":  # a data set of the user's own: its type says nothing
        return name
    split = dataset.split if isinstance(dataset.split, str) else "+".join(dataset.split)
    subset = f" ({', '.join(dataset.subset)})" if dataset.subset else ""
    return f"{dataset.type} {split}{subset}"


def show_settings(settings: Settings, without: Collection[str] = ()) -> dict[str, str]:
    """Print the settings of a method that are not its defaults; those of the method that it wraps as `base.lr`.

    Args:
        settings: of a method; its name, and those of what it wraps, are left out.
        without: dotted names of settings to leave out.
    """
    changed = settings.model_dump(exclude_defaults=True)
    below = tuple(f"{name}." for name in without)
    return {
        name: show_value(value)
        for name, value in _flatten(changed)
        if name not in without and not name.startswith(below)
    }


def show_value(value: Any) -> str:
    """Print one value of a setting briefly."""
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(show_value, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _flatten(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        elif key != "name":
            yield f"{prefix}{key}", value


def _name_entry(graph: Graph, task: Task) -> Name:
    trained = find_trained(graph, task)
    method = trained.label if trained is not task else str(getattr(task.settings, "model", None))
    adaptation, name, axes = None, None, {}
    if isinstance(task.settings, StreamStage):
        adaptation, name = name_method(task.settings.method), task.settings.method.name
        tuned = task.settings.search.space if task.settings.search is not None else {}
        axes = dict.fromkeys(tuned, "tuned") | show_settings(task.settings.method, without=tuned)
    for axis, value in task.point.items():
        is_reference = str(value).startswith("${")
        is_method = isinstance(value, dict) and name is not None and value.get("name") == name
        is_label = isinstance(value, dict) and value.get("label") == method
        if axis != SEED_AXIS and not is_reference and not is_method and not is_label:
            axes[axis] = describe(value)
    return Name(method, adaptation, tuple(axes.items()))


def _add_axes(graph: Graph, name: Name, tasks: list[Task]) -> list[Name]:
    """Add the axes on which entries of one name differ: all but the one that chose the network, which has named it."""
    result = [dict(name.axes) for _ in tasks]
    for axis in dict.fromkeys(axis for task in tasks for axis in task.point):
        places = [place for place, task in enumerate(tasks) if axis in task.point]
        values = [tasks[place].point[axis] for place in places]
        networks = [f"${{{find_trained(graph, tasks[place]).stage}.checkpoint}}" for place in places]
        if values != networks and (len(places) < len(tasks) or any(value != values[0] for value in values)):
            for place, text in zip(places, describe_apart(values), strict=True):
                result[place][axis] = text
    return [replace(name, axes=tuple(axes.items())) for axes in result]


def _add_stages(graph: Graph, name: Name, tasks: list[Task]) -> list[Name]:
    """Add the stages that trained the networks; or that score them, where these differ."""
    stages = [find_trained(graph, task).stage for task in tasks]
    if len(set(stages)) == 1:
        stages = [task.stage for task in tasks]
    if len(set(stages)) == 1:
        return [name for _ in stages]
    return [replace(name, method=f"{name.method} [{stage}]") for stage in stages]
