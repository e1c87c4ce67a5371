"""Ready tasks that wait to be handed to Ray: the most urgent that fits first, and none before there is room for it.

Ray starts what it was handed in the order of arrival, and holds every waiting task in the driver's memory: what is handed over
early runs in the wrong order, and a hundred thousand at once would not be quick.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from experiments.task import Task
from orchestrator.capacity import Machine
from orchestrator.placement import Placed, PlacementQueue
from orchestrator.request import is_coordinator
from orchestrator.room import Room, read_demand

LEAST = 32  # ours: handed over of each request that no machine holds yet, so that a cluster that can starts machines
COORDINATORS = 16  # ours: at once; each is a process of its own beside those that it starts


class ReadyQueue:
    """Ready tasks, and what those that were handed over hold of the machines.

    Args:
        urgency: key -> how long the way from the task's start to the end of the sweep is.
        look_at_machines: returns the machines of the cluster as they are now.
    """

    def __init__(self, urgency: Mapping[str, float], look_at_machines: Callable[[], tuple[Machine, ...]]) -> None:
        self._urgency = urgency
        self._look_at_machines = look_at_machines
        self._machines = look_at_machines()
        self._placement: PlacementQueue[Task] = PlacementQueue(Room(self._machines))
        self._waiting: dict[str, Task] = {}  # for a place, by key
        self._held: dict[str, Placed[Task]] = {}  # by key
        self._apart: dict[
            str, list[tuple[float, int, Task]]
        ] = {}  # coordinators, and what no machine holds, by request
        self._handed: Counter[str] = Counter()  # of those
        self._of: dict[str, str] = {}  # key -> request, of those that are handed over
        self._count = 0

    def list_waiting(self) -> list[Task]:
        """Return the tasks that wait, the most urgent first."""
        apart = [entry[2] for waiting in self._apart.values() for entry in waiting]
        return sorted([*self._waiting.values(), *apart], key=lambda task: -self._urgency.get(task.key, 0.0))

    def __len__(self) -> int:
        return len(self._waiting) + sum(map(len, self._apart.values()))

    def add(self, tasks: Iterable[Task]) -> None:
        """Take tasks that are ready."""
        for task in tasks:
            urgency = self._urgency.get(task.key, 0.0)
            if not is_coordinator(task) and any(machine.count_places(task.resources) for machine in self._machines):
                self._waiting[task.key] = task
                self._placement.push(task, read_demand(task.resources), 1, urgency)
            else:
                self._count += 1  # among equals the earlier
                heapq.heappush(self._apart.setdefault(_describe_request(task), []), (-urgency, self._count, task))

    def take(self) -> list[Task]:
        """Return the tasks that should be handed to Ray now, the most urgent first; `give_back` ends their place."""
        self._follow_machines()
        taken: list[Task] = []
        while (placed := self._placement.pop()) is not None:
            self._held[placed.task.key] = placed
            taken.append(self._waiting.pop(placed.task.key))
        for request, waiting in self._apart.items():
            while waiting and self._handed[request] < (COORDINATORS if is_coordinator(waiting[0][2]) else LEAST):
                task = heapq.heappop(waiting)[2]
                self._handed[request] += 1
                self._of[task.key] = request
                taken.append(task)
        return sorted(taken, key=lambda task: -self._urgency.get(task.key, 0.0))

    def give_back(self, task: Task) -> None:
        """Note that Ray is done with a task that `take` returned, or is handed it again as another request."""
        placed, request = self._held.pop(task.key, None), self._of.pop(task.key, None)
        if placed is not None:
            self._placement.release(placed)
        elif request is not None:
            self._handed[request] -= 1

    def _follow_machines(self) -> None:
        """Give places out anew where machines have come or gone; what runs keeps one where there still is room for it."""
        machines = self._look_at_machines()
        if machines == self._machines:
            return
        self._machines = machines
        room = Room(machines)
        running: PlacementQueue[Task] = PlacementQueue(room)
        for placed in self._held.values():
            running.push(placed.task, placed.shape.demand, 1, 0.0)
        self._held = {again.task.key: again for again in iter(running.pop, None)}
        self._placement = PlacementQueue(room)
        apart = [entry[2] for waiting in self._apart.values() for entry in waiting]
        waiting, self._waiting, self._apart = [*self._waiting.values(), *apart], {}, {}
        self.add(waiting)


def _describe_request(task: Task) -> str:
    return f"{is_coordinator(task)} {task.resources.model_dump_json()}"
