"""Ready tasks that wait to be handed to Ray: the most urgent first, and not more at once than the cluster could soon start.

Ray starts what it was handed in the order of arrival, and holds every waiting task in the driver's memory: a hundred thousand
of them at once would be neither quick nor in the right order.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from experiments.task import Task
from orchestrator.request import is_coordinator

AHEAD = 2  # ours: times the places of the cluster that are handed over, so that no machine waits for the driver
LEAST = 32  # ours: handed over at least, where a cluster has no place yet and starts machines for what waits
COORDINATORS = 16  # ours: at once; each is a process of its own beside those that it starts


class ReadyQueue:
    """Ready tasks by what they ask for: what waits for a GPU never keeps back what needs none.

    Args:
        urgency: key -> how long the way from the task's start to the end of the sweep is.
        count_places: how many tasks like this one the cluster holds at once.
    """

    def __init__(self, urgency: Mapping[str, float], count_places: Callable[[Task], int]) -> None:
        self._urgency = urgency
        self._count_places = count_places
        self._waiting: dict[str, list[tuple[float, int, Task]]] = {}
        self._handed: Counter[str] = Counter()
        self._count = 0

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def add(self, tasks: Iterable[Task]) -> None:
        """Take tasks that are ready."""
        for task in tasks:
            self._count += 1  # among equals the earlier
            entry = (-self._urgency.get(task.key, 0.0), self._count, task)
            heapq.heappush(self._waiting.setdefault(_describe_request(task), []), entry)

    def take(self) -> list[Task]:
        """Return the tasks that should be handed to Ray now, the most urgent first; `give_back` ends their place."""
        taken = []
        for request, waiting in self._waiting.items():
            if not waiting:
                continue
            task = waiting[0][2]
            window = COORDINATORS if is_coordinator(task) else max(LEAST, AHEAD * self._count_places(task))
            while waiting and self._handed[request] < window:
                taken.append(heapq.heappop(waiting))
                self._handed[request] += 1
        return [task for _, _, task in sorted(taken, key=lambda entry: entry[:2])]

    def give_back(self, task: Task) -> None:
        """Note that Ray is done with a task that `take` returned, or is handed it again as another request."""
        self._handed[_describe_request(task)] -= 1


def _describe_request(task: Task) -> str:
    return f"{is_coordinator(task)} {task.resources.model_dump_json()}"
