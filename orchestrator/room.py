"""What is free on each node of a cluster, and where tasks fit: exact to 1/10,000 of a core or GPU, as Ray counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from experiments.schema import ResourceSettings
from orchestrator.capacity import Machine, is_chosen

UNIT = 10_000  # Ray's FixedPoint (src/ray/common/scheduling/fixed_point.h): amounts are whole numbers of these

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Demand:
    """What a task, or each of its workers, asks one node for; equal demands share a queue.

    Attributes:
        cpus: cores.
        gpus: GPUs; a fraction is of one GPU, as Ray has it.
        memory_gb: GiB that are reserved.
        custom: other resources by name, sorted.
        labels: label of the node -> `value`, `!value`, `in(a, b)` or `!in(a, b)`, sorted.
    """

    cpus: float = 0.0
    gpus: float = 0.0
    memory_gb: float = 0.0
    custom: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def amounts(self) -> dict[str, float]:
        """Name of a resource -> how much of it, of those that are asked for."""
        named = {"CPU": self.cpus, "GPU": self.gpus, "GB": self.memory_gb, **dict(self.custom)}
        return {name: amount for name, amount in named.items() if amount}

    def __str__(self) -> str:
        asked = [f"{amount:g} {name}" for name, amount in self.amounts.items()]
        asked += [f"{label}={wanted}" for label, wanted in self.labels]
        return ", ".join(asked) or "nothing"


def read_demand(wanted: ResourceSettings) -> Demand:
    """Return what a stage's `resources` ask for."""
    custom, labels = tuple(sorted(wanted.custom.items())), tuple(sorted(wanted.labels.items()))
    return Demand(wanted.cpus, wanted.gpus, wanted.memory_gb or 0.0, custom, labels)


@dataclass(frozen=True)
class Place:
    """What one worker holds on a node: `gpus` are (index of the GPU, units of it)."""

    node: int
    gpus: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Shape:
    """A demand in units, with the nodes whose labels it accepts."""

    demand: Demand
    amounts: Ints
    gpus: int
    accepted: npt.NDArray[np.bool_]


class Room:
    """The free capacity of all nodes; work goes to the first one with room.

    Args:
        machines: all that there are; a node is its place in this list.
        is_up: whether they take work from the start.
    """

    def __init__(self, machines: Sequence[Machine], is_up: bool = True) -> None:
        self._machines = machines
        self._names = sorted({name for machine in machines for name in machine.amounts} - {"GPU"})
        self._free = np.array(
            [[_to_units(machine.amounts.get(name, 0.0)) for name in self._names] for machine in machines], np.int64
        ).reshape(len(machines), len(self._names))
        gpus = [int(machine.amounts.get("GPU", 0.0)) for machine in machines]
        self._gpus = [[UNIT] * count for count in gpus]
        self._whole = np.array(gpus, np.int64)  # GPUs that are all free
        self._most = np.array([UNIT if count else 0 for count in gpus], np.int64)  # free of the freest GPU
        self._up = np.full(len(machines), is_up)

    def __len__(self) -> int:
        return len(self._machines)

    def shape(self, demand: Demand) -> Shape:
        """Return a demand as this cluster measures it; one for a resource that no node has fits nowhere."""
        amounts = demand.amounts
        known = {*self._names, "GPU"}
        accepted = np.array(
            [
                all(name in known for name in amounts)
                and all(is_chosen(machine.labels.get(label), wanted) for label, wanted in demand.labels)
                for machine in self._machines
            ],
            np.bool_,
        )
        units = np.array([_to_units(amounts.get(name, 0.0)) for name in self._names], np.int64)
        return Shape(demand, units, _to_units(demand.gpus), accepted)

    def set_up(self, node: int, is_up: bool) -> None:
        """Let a node take work, or no more."""
        self._up[node] = is_up

    def fits(self, shape: Shape, node: int) -> bool:
        """Say whether one worker fits a node now."""
        if not (self._up[node] and shape.accepted[node]) or (self._free[node] < shape.amounts).any():
            return False
        if shape.gpus >= UNIT:
            return bool(self._whole[node] * UNIT >= shape.gpus)
        return bool(self._most[node] >= shape.gpus)

    def find(self, shape: Shape, workers: int) -> list[int] | None:
        """Return a node for each worker, the first ones with room; None where not all of them fit now."""
        fitting = self._up & shape.accepted & (self._free >= shape.amounts).all(axis=1)
        fitting &= self._whole * UNIT >= shape.gpus if shape.gpus >= UNIT else self._most >= shape.gpus
        if workers == 1:
            first = int(fitting.argmax())
            return [first] if fitting[first] else None
        found: list[int] = []
        for node in np.flatnonzero(fitting):
            found += [int(node)] * min(self.count_places(shape, int(node)), workers - len(found))
            if len(found) == workers:
                return found
        return None

    def count_places(self, shape: Shape, node: int) -> int:
        """Return how many workers fit a node that fits at least one."""
        counts = [int(free // wanted) for free, wanted in zip(self._free[node], shape.amounts, strict=True) if wanted]
        if shape.gpus >= UNIT:
            counts.append(int(self._whole[node]) * UNIT // shape.gpus)
        elif shape.gpus:
            counts.append(sum(free // shape.gpus for free in self._gpus[node]))
        return min(counts, default=1_000_000)

    def take(self, shape: Shape, node: int) -> Place:
        """Hold what one worker asks for; a fraction of a GPU goes where it leaves least."""
        self._free[node] -= shape.amounts
        if not shape.gpus:
            return Place(node, ())
        free = self._gpus[node]
        if shape.gpus >= UNIT:
            chosen = [index for index, left in enumerate(free) if left == UNIT][: shape.gpus // UNIT]
            held = tuple((index, UNIT) for index in chosen)
        else:
            tightest = min((left, index) for index, left in enumerate(free) if left >= shape.gpus)
            held = ((tightest[1], shape.gpus),)
        self._change_gpus(node, held, -1)
        return Place(node, held)

    def release(self, shape: Shape, place: Place) -> None:
        """Give back what `take` held."""
        self._free[place.node] += shape.amounts
        if place.gpus:
            self._change_gpus(place.node, place.gpus, 1)

    def _change_gpus(self, node: int, held: tuple[tuple[int, int], ...], sign: int) -> None:
        free = self._gpus[node]
        for index, units in held:
            free[index] += sign * units
        self._whole[node] = free.count(UNIT)
        self._most[node] = max(free)


def _to_units(amount: float) -> int:
    return round(amount * UNIT)
