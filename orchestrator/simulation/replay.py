"""Replay a graph on a described cluster, event by event: list scheduling as the driver does it, and nodes that fail.

A task is ready when its inputs are done; which of the ready ones starts, and where, `orchestrator.placement` decides. A lost
node sends its tasks back to where their last resume points were; what is finished is in the store and stays.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np

from adapt.errors import PrerequisiteError
from orchestrator.placement import Placed, PlacementQueue
from orchestrator.priority import longest_remaining
from orchestrator.room import Demand, Room
from orchestrator.simulation.cluster import ClusterSettings
from orchestrator.simulation.work import Work

MAX_INTERRUPTIONS = 1000  # ours: of one task; more means that it will never end


class Event(IntEnum):
    """What happens; at equal times in this order, so that a task that ends as its node is lost has ended."""

    END = 0
    NODE_UP = 1
    LOSS = 2
    READY = 3
    SUBMIT = 4


@dataclass
class Timeline:
    """The state after each moment at which something happened: tasks ready and running, cores and GPUs busy."""

    seconds: list[float] = field(default_factory=list)
    ready: list[int] = field(default_factory=list)
    running: list[int] = field(default_factory=list)
    cpus: list[float] = field(default_factory=list)
    gpus: list[float] = field(default_factory=list)


@dataclass
class Replay:
    """What became of a sweep.

    Attributes:
        makespan_s: from its start to the end of its last task.
        busy_s: resource -> resource-seconds held by tasks, lost work and overheads included.
        offered_s: resource -> resource-seconds of the nodes while they were up, until the end.
        stage_s: stage -> seconds of its tasks, times their workers; lost work and overheads included.
        lost_s: seconds of work that failures undid, times workers.
        failures: nodes lost.
        interruptions: key -> how often its task was interrupted, where it was.
        cost: of all nodes.
        starts, ends: key -> when its last attempt began and ended.
        timeline: of this replay.
    """

    makespan_s: float = 0.0
    busy_s: dict[str, float] = field(default_factory=dict)
    offered_s: dict[str, float] = field(default_factory=dict)
    stage_s: dict[str, float] = field(default_factory=dict)
    lost_s: float = 0.0
    failures: int = 0
    interruptions: dict[str, int] = field(default_factory=dict)
    cost: float = 0.0
    starts: dict[str, float] = field(default_factory=dict)
    ends: dict[str, float] = field(default_factory=dict)
    timeline: Timeline = field(default_factory=Timeline)

    def utilisation(self, resource: str) -> float | None:
        """Return which share of a resource was held while it was there; None where there is none of it."""
        offered = self.offered_s.get(resource, 0.0)
        return self.busy_s.get(resource, 0.0) / offered if offered else None


def replay(works: Sequence[Work], cluster: ClusterSettings, seed: int = 0) -> Replay:
    """Replay a graph.

    Args:
        works: what is to be done; needs that are not among it are done already.
        cluster: where.
        seed: of the failures.

    Returns:
        What became of it.

    Raises:
        PrerequisiteError: a task fits no node, or is interrupted for ever.
        ValueError: tasks need each other in a circle.
    """
    return _Replay(works, cluster, seed).run()


def check_fits(works: Sequence[Work], cluster: ClusterSettings) -> None:
    """Refuse work that a cluster could not even hold while it is empty.

    Raises:
        PrerequisiteError: names the stage, what it asks for and what the nodes have.
    """
    room = Room([node.offer() for _, node in cluster.list_nodes()])
    seen: set[tuple[Demand, int]] = set()
    for work in works:
        if work.workers and (work.demand, work.workers) not in seen:
            seen.add((work.demand, work.workers))
            if room.find(room.shape(work.demand), work.workers) is None:
                each = f" for each of {work.workers} workers" if work.workers > 1 else ""
                raise PrerequisiteError(
                    f"stage '{work.stage}' asks for {work.demand}{each} and the cluster has no room for that even while it "
                    f"is empty ({cluster.describe()}). Describe larger nodes, or lower the stage's `resources`."
                )


@dataclass
class _Run:
    """A task that runs: where, since when, and from which second of its work on."""

    placed: Placed[int] | None
    started: float
    resumed_at: float


class _Replay:
    def __init__(self, works: Sequence[Work], cluster: ClusterSettings, seed: int) -> None:
        check_fits(works, cluster)
        self.works, self.overheads = works, cluster.overheads
        self.nodes = [settings for _, settings in cluster.list_nodes()]
        self.queue: PlacementQueue[int] = PlacementQueue(Room([node.offer() for node in self.nodes], is_up=False))
        self.random, self.result = np.random.default_rng(seed), Replay()
        index = {work.key: number for number, work in enumerate(works)}
        remaining = longest_remaining({w.key: w.seconds for w in works}, {w.key: w.needs for w in works})
        self.remaining_s = [remaining[work.key] for work in works]
        self.dependants: list[list[int]] = [[] for _ in works]
        self.lacking = [0] * len(works)
        for number, work in enumerate(works):
            for needed in set(work.needs):
                if needed in index:
                    self.dependants[index[needed]].append(number)
                    self.lacking[number] += 1
        self.runs: dict[int, _Run] = {}
        self.on_node: list[set[int]] = [set() for _ in self.nodes]
        self.up_since: list[float | None] = [None] * len(self.nodes)
        self.paid_since: list[float | None] = [0.0] * len(self.nodes)
        self.done_s = [0.0] * len(works)  # what the last resume point holds
        self.attempts = [0] * len(works)
        self.left = len(works)
        self.events: list[tuple[float, Event, int, int]] = []  # the last: which attempt an END is of
        self.to_submit: list[tuple[float, int]] = []
        self.is_submitting = False
        self.held = {"CPU": 0.0, "GPU": 0.0}
        self.now = 0.0

    def run(self) -> Replay:
        """Let everything happen."""
        for node, settings in enumerate(self.nodes):
            self.push(60 * settings.start_minutes, Event.NODE_UP, node)
        self.offer([number for number, count in enumerate(self.lacking) if count == 0])
        while self.left:
            if not self.events:
                raise ValueError(f"{self.left} tasks wait for something that never happens")
            self.now = self.events[0][0]
            while self.left and self.events and self.events[0][0] == self.now:
                _, event, subject, attempt = heapq.heappop(self.events)
                self.handle(event, subject, attempt)
            self.place()
            self.note()
        self.close()
        return self.result

    def push(self, seconds: float, event: Event, subject: int, attempt: int = 0) -> None:
        """Let something happen so many seconds from now."""
        heapq.heappush(self.events, (self.now + seconds, event, subject, attempt))

    def handle(self, event: Event, subject: int, attempt: int) -> None:
        """Let one event happen; `subject` is a task or a node."""
        if event is Event.END:
            if attempt == self.attempts[subject]:
                self.end(subject)
        elif event is Event.READY:
            self.enqueue(subject)
        elif event is Event.SUBMIT:
            self.submit()
        elif event is Event.NODE_UP:
            self.start_node(subject)
        else:
            self.lose_node(subject)

    def offer(self, ready: list[int]) -> None:
        """Take tasks that have become ready: the driver submits them at its own pace, the longest way first."""
        rate = self.overheads.submit_per_second
        if rate is None:
            for number in ready:
                self.enqueue(number)
            return
        for number in ready:
            heapq.heappush(self.to_submit, (-self.remaining_s[number], number))
        if self.to_submit and not self.is_submitting:
            self.is_submitting = True
            self.push(1 / rate, Event.SUBMIT, 0)

    def submit(self) -> None:
        """Hand the next task to the cluster, and go on with the one after it."""
        self.enqueue(heapq.heappop(self.to_submit)[1])
        self.is_submitting = bool(self.to_submit)
        if self.is_submitting:
            self.push(1 / (self.overheads.submit_per_second or 1.0), Event.SUBMIT, 0)

    def enqueue(self, number: int) -> None:
        """Let a submitted task wait for a place; one that needs none starts at once."""
        work = self.works[number]
        if work.workers == 0:
            self.start(number, None)
        else:
            self.queue.push(number, work.demand, work.workers, self.remaining_s[number])

    def place(self) -> None:
        """Start what fits."""
        while (placed := self.queue.pop()) is not None:
            self.start(placed.task, placed)

    def start(self, number: int, placed: Placed[int] | None) -> None:
        """Begin an attempt of a task."""
        work = self.works[number]
        self.attempts[number] += 1
        self.runs[number] = _Run(placed, self.now, self.done_s[number])
        for place in placed.places if placed is not None else ():
            self.on_node[place.node].add(number)
        self.hold(work, 1)
        overhead = self.overheads.task_seconds if placed is not None else 0.0
        self.push(overhead + work.seconds - self.done_s[number], Event.END, number, self.attempts[number])

    def end(self, number: int) -> None:
        """Finish a task and offer what it made ready."""
        work, run = self.works[number], self.free(number)
        self.result.starts[work.key], self.result.ends[work.key] = run.started, self.now
        self.left -= 1
        ready = []
        for dependant in self.dependants[number]:
            self.lacking[dependant] -= 1
            if self.lacking[dependant] == 0:
                ready.append(dependant)
        self.offer(ready)

    def free(self, number: int) -> _Run:
        """Take a task off its places, and note what it held."""
        work, run = self.works[number], self.runs.pop(number)
        elapsed = self.now - run.started
        self.hold(work, -1)
        for name, amount in work.demand.amounts.items():
            self.result.busy_s[name] = self.result.busy_s.get(name, 0.0) + amount * work.workers * elapsed
        self.result.stage_s[work.stage] = self.result.stage_s.get(work.stage, 0.0) + work.workers * elapsed
        if run.placed is not None:
            for place in run.placed.places:
                self.on_node[place.node].discard(number)
            self.queue.release(run.placed)
        return run

    def hold(self, work: Work, sign: int) -> None:
        """Count cores and GPUs that are held now."""
        self.held["CPU"] += sign * work.demand.cpus * work.workers
        self.held["GPU"] += sign * work.demand.gpus * work.workers

    def start_node(self, node: int) -> None:
        """Let a node take work, and draw when it will be lost."""
        settings = self.nodes[node]
        self.queue.set_up(node, True)
        self.up_since[node] = self.now
        if self.paid_since[node] is None:
            self.paid_since[node] = self.now
        if settings.mean_hours_between_failures is not None:
            self.push(self.random.exponential(3600 * settings.mean_hours_between_failures), Event.LOSS, node)

    def lose_node(self, node: int) -> None:
        """Take a node away; its tasks go back to their last resume points and wait again."""
        settings = self.nodes[node]
        self.result.failures += 1
        self.queue.set_up(node, False)
        for number in sorted(self.on_node[node]):
            self.interrupt(number, settings.warning_seconds)
        self.bill(node)
        self.push(60 * settings.restart_minutes, Event.NODE_UP, node)

    def interrupt(self, number: int, warning_s: float) -> None:
        """End an attempt of a task early; what its last resume point holds is kept."""
        work, run = self.works[number], self.free(number)
        self.attempts[number] += 1  # so that the END of this attempt is of none
        worked = min(max(0.0, self.now - run.started - self.overheads.task_seconds), work.seconds - run.resumed_at)
        position = run.resumed_at + worked
        if work.resume_every_s is not None:
            kept = position // work.resume_every_s * work.resume_every_s
            if warning_s:
                kept = max(kept, position - warning_s)
            self.done_s[number] = max(run.resumed_at, kept)
        self.result.lost_s += work.workers * (self.now - run.started - (self.done_s[number] - run.resumed_at))
        count = self.result.interruptions.get(work.key, 0) + 1
        self.result.interruptions[work.key] = count
        if count > MAX_INTERRUPTIONS:
            raise PrerequisiteError(
                f"{work.key} was interrupted {MAX_INTERRUPTIONS} times: it takes {work.seconds / 3600:.3g} h, and the nodes of "
                "this cluster are lost too often for it ever to end. Give it a smaller `checkpoint_interval`, or nodes that "
                "last longer."
            )
        self.push(self.overheads.notice_seconds, Event.READY, number)

    def bill(self, node: int) -> None:
        """Note what a node offered and cost until now."""
        settings = self.nodes[node]
        up, paid = self.up_since[node], self.paid_since[node]
        if up is not None:
            for name, amount in settings.offer().amounts.items():
                self.result.offered_s[name] = self.result.offered_s.get(name, 0.0) + amount * (self.now - up)
        if paid is not None:
            self.result.cost += settings.price_per_hour * (self.now - paid) / 3600
        self.up_since[node] = self.paid_since[node] = None

    def note(self) -> None:
        """Add this moment to the timeline."""
        line = self.result.timeline
        line.seconds.append(self.now)
        line.ready.append(len(self.queue) + len(self.to_submit))
        line.running.append(len(self.runs))
        line.cpus.append(self.held["CPU"])
        line.gpus.append(self.held["GPU"])

    def close(self) -> None:
        """Note the end."""
        self.result.makespan_s = self.now
        for node in range(len(self.nodes)):
            self.bill(node)
