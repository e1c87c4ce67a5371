"""What the machines of a cluster can hold, and which tasks none of them ever can: Ray would let those wait for ever."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from adapt.errors import PrerequisiteError
from experiments.graph import Graph
from experiments.schema import ResourceSettings
from experiments.workspace import LOCAL_VARIABLE, StorePlace
from orchestrator.request import is_coordinator

_RESERVED = ("CPU", "GPU", "memory", "object_store_memory")
_SELECTOR = re.compile(r"(?P<no>!?)(?:in\((?P<several>.*)\)|(?P<one>.*))")


@dataclass(frozen=True)
class Machine:
    """One machine of a cluster.

    Attributes:
        amounts: `CPU`, `GPU` and custom resources by name, and `GB` of memory (GiB).
        labels: what label selectors choose machines by.
    """

    amounts: Mapping[str, float]
    labels: Mapping[str, str] = field(default_factory=dict)

    def count_places(self, wanted: ResourceSettings) -> int:
        """Return how many tasks that ask for this much it holds at once."""
        if not all(is_chosen(self.labels.get(label), selector) for label, selector in wanted.labels.items()):
            return 0
        places = [
            int(self.amounts.get(name, 0.0) / amount + 1e-9)
            for name, amount in list_amounts(wanted).items()
            if name != "GPU" or amount >= 1
        ]
        if 0 < wanted.gpus < 1:  # a fraction is of one GPU
            places.append(int(self.amounts.get("GPU", 0.0)) * int(1 / wanted.gpus + 1e-9))
        return min(places)

    def __str__(self) -> str:
        labels = [f"{name}={value}" for name, value in self.labels.items() if not name.startswith("ray.io/node")]
        return ", ".join([_describe(self.amounts), *labels])


def read_machine(node: Mapping[str, object]) -> Machine:
    """Return the machine that an entry of `ray.nodes()` describes."""
    resources, labels = node["Resources"], node.get("Labels") or {}
    if not isinstance(resources, dict) or not isinstance(labels, dict):
        raise TypeError("this is no entry of ray.nodes()")
    custom = {
        name: float(amount)
        for name, amount in resources.items()
        if name not in _RESERVED and not name.startswith(("node:", "accelerator_type:"))
    }
    known = {"CPU": float(resources.get("CPU", 0.0)), "GPU": float(resources.get("GPU", 0.0))}
    return Machine({**known, "GB": float(resources.get("memory", 0.0)) / 2**30, **custom}, labels)


def list_amounts(wanted: ResourceSettings) -> dict[str, float]:
    """Return what is asked for, in the names and units of `Machine.amounts`."""
    amounts = {"CPU": wanted.cpus, "GPU": wanted.gpus, "GB": wanted.memory_gb or 0.0, **wanted.custom}
    return {name: amount for name, amount in amounts.items() if amount}


def is_chosen(value: str | None, selector: str) -> bool:
    """Say whether a machine whose label has this value (None: has no such label) is one that a selector means.

    Args:
        value: of the label.
        selector: `value`, `!value`, `in(a, b)` or `!in(a, b)`, as Ray has them: a machine without the label is not `value`.
    """
    found = _SELECTOR.fullmatch(selector)
    if found is None:
        raise ValueError(f"'{selector}' is no label selector")
    several = found["several"]
    names = [found["one"]] if several is None else [name.strip() for name in several.split(",")]
    return (value in names) != bool(found["no"])


def check_fits(graph: Graph, machines: Sequence[Machine]) -> None:
    """Refuse a graph with tasks that these machines can never hold.

    A task, or each of its workers, must fit one machine.

    Raises:
        PrerequisiteError: naming every such stage, what it asks for and what the machines have.
    """
    wishes = {(task.stage, task.resources.model_dump_json()): task for task in graph.tasks.values()}
    problems = []
    for task in wishes.values():
        places = sum(machine.count_places(task.resources) for machine in machines)
        if places >= task.workers:
            continue
        asked = _describe(list_amounts(task.resources))
        if task.resources.labels:
            asked += " with " + ", ".join(f"{label}={value}" for label, value in task.resources.labels.items())
        if task.workers > 1:
            problems.append(
                f"stage '{task.stage}' asks for {task.workers} workers of {asked} each, and the cluster has room for {places}"
            )
        else:
            problems.append(
                f"stage '{task.stage}' asks for {asked} on one machine, and no machine of the cluster has that"
            )
    if problems:
        there = "; ".join(dict.fromkeys(map(str, machines))) or "none"
        raise PrerequisiteError(
            f"{'; '.join(problems)}. Its machines: {there}. Lower `resources` (or `training.workers`) of the stage, use another "
            "profile, or a larger cluster (--address); with --elastic a cluster that starts machines when they are asked for "
            "may hold it later."
        )


def check_shared_work(graph: Graph, place: StorePlace, are_several: bool) -> None:
    """Refuse tasks whose processes could not see each other's files.

    The trials of a search, the shards of a benchmark and the workers of a training meet in a folder: that of the store, or,
    where the store is a bucket, the working place of each machine.

    Args:
        graph: what is to run.
        place: of the store.
        are_several: whether the cluster has, or may come to have, several machines.

    Raises:
        PrerequisiteError: naming the stages and what to do.
    """
    if isinstance(place, Path) or not are_several or os.environ.get(LOCAL_VARIABLE):
        return
    stages = list(dict.fromkeys(task.stage for task in graph.tasks.values() if is_coordinator(task)))
    if stages:
        raise PrerequisiteError(
            f"the processes of {', '.join(stages)} (a search, or a stage with `shards` or `workers`) may run on several machines, "
            f"and the store {place} is a bucket: they would not see each other's files. Name a folder that all machines see by "
            f"{LOCAL_VARIABLE}, on every one of them, or use a store on a shared disk."
        )


def _describe(amounts: Mapping[str, float]) -> str:
    return ", ".join(f"{amount:.3g} {name}" for name, amount in amounts.items())
