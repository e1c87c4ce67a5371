"""How the entries of a table are called: briefly, and no two alike."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adapt.settings import Settings
from adapt.tta.settings import name_method
from experiments.graph import Graph
from experiments.schema import StreamStage
from experiments.task import Task, describe

SEED_AXIS = "seed"


@dataclass(frozen=True)
class Name:
    """How an entry is called: how its network was trained, its test-time method, and what else tells it apart."""

    method: str
    adaptation: str | None
    axes: tuple[tuple[str, str], ...]


def name_entries(graph: Graph, tasks: list[Task]) -> list[Name]:
    """Name entries briefly, and the ones that would share a name more fully.

    Args:
        graph: the graph that they are of.
        tasks: one task of each entry.
    """
    brief = [_name_entry(graph, task, describe) for task in tasks]
    full = [_name_entry(graph, task, _describe_fully) for task in tasks]
    names = [full[i] if brief.count(name) > 1 else name for i, name in enumerate(brief)]
    return [
        replace(name, method=f"{name.method} [{find_trained(graph, task).stage}]") if names.count(name) > 1 else name
        for name, task in zip(names, tasks, strict=True)
    ]


def find_trained(graph: Graph, task: Task) -> Task:
    """Return the task that trained the network that a task scores; the task itself where the weights came from outside."""
    return graph.tasks.get(task.inputs.get("checkpoint", ""), task)


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


def _name_entry(graph: Graph, task: Task, show: Callable[[Any], str]) -> Name:
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
            axes[axis] = show(value)
    return Name(method, adaptation, tuple(axes.items()))


def _describe_fully(value: Any) -> str:
    if not isinstance(value, dict):
        return describe(value)
    rest = ", ".join(f"{key}={item}" for key, item in value.items() if key != "name")
    return f"{describe(value)}({rest})" if rest and "name" in value else describe(value)
