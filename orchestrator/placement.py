"""Tasks that wait for a place, and which of them starts next, and where: list scheduling.

Of all that fits somewhere now, the task with the longest way to the end of the sweep comes first; one that fits nowhere lets
those after it pass. Several workers of a task are placed together or not at all, on one node or on several.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Generic, TypeVar

from orchestrator.room import Demand, Place, Room, Shape

T = TypeVar("T")


@dataclass(frozen=True)
class Placed(Generic[T]):
    """A task that has its places, one for each worker; to be given back by `PlacementQueue.release`."""

    task: T
    shape: Shape
    places: tuple[Place, ...]


class PlacementQueue(Generic[T]):
    """The tasks whose inputs are done.

    Tasks of one demand wait in one queue, and a queue whose first task fits nowhere is not looked at again until a node has
    more room: a step costs as much as there are different demands, whatever the number of tasks.

    Args:
        room: of the cluster; only this queue takes from it.
    """

    def __init__(self, room: Room) -> None:
        self._room = room
        self._groups: dict[tuple[Demand, int], int] = {}
        self._shapes: list[tuple[Shape, int]] = []
        self._queues: list[list[tuple[float, int, T]]] = []
        self._blocked: list[bool] = []
        self._count = 0
        self._pushed = 0

    def __len__(self) -> int:
        return self._count

    def push(self, task: T, demand: Demand, workers: int, remaining_s: float) -> None:
        """Let a task wait for places.

        Args:
            task: what `pop` returns.
            demand: what each worker asks for.
            workers: how many places it takes.
            remaining_s: its longest way to the end; of equals, the one that came first goes first.
        """
        group = self._groups.setdefault((demand, workers), len(self._groups))
        if group == len(self._queues):
            self._shapes.append((self._room.shape(demand), workers))
            self._queues.append([])
            self._blocked.append(False)
        self._pushed += 1
        self._count += 1
        heapq.heappush(self._queues[group], (-remaining_s, self._pushed, task))

    def pop(self) -> Placed[T] | None:
        """Return the next task that fits, which from now on holds its places; None where none of them fits."""
        while True:
            candidates = [g for g, queue in enumerate(self._queues) if queue and not self._blocked[g]]
            if not candidates:
                return None
            group = min(candidates, key=lambda g: self._queues[g][0][:2])
            shape, workers = self._shapes[group]
            nodes = self._room.find(shape, workers)
            if nodes is None:
                self._blocked[group] = True
                continue
            self._count -= 1
            _, _, task = heapq.heappop(self._queues[group])
            return Placed(task, shape, tuple(self._room.take(shape, node) for node in nodes))

    def release(self, placed: Placed[T]) -> None:
        """Give the places of a task back."""
        for place in placed.places:
            self._room.release(placed.shape, place)
        for node in {place.node for place in placed.places}:
            self.look_again(node)

    def set_up(self, node: int, is_up: bool) -> None:
        """Let a node take work, or no more; what is on it keeps its places until it is released."""
        self._room.set_up(node, is_up)
        if is_up:
            self.look_again(node)

    def look_again(self, node: int) -> None:
        """Look again at the tasks that may fit now that a node has more room."""
        for group, (shape, workers) in enumerate(self._shapes):
            if self._blocked[group] and (workers > 1 or self._room.fits(shape, node)):
                self._blocked[group] = False
