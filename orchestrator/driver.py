"""The driver: a graph to finished records on Ray, by one loop (ready, submit, wait, note).

It holds no state that the store lacks: after Ctrl-C, kill -9 or a lost machine the same command goes on. What dies is tried
again here, not by Ray, so that one place decides how often, and with how much memory.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from experiments.planning import Plan
from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.capacity import Machine
from orchestrator.cluster_session import list_machines
from orchestrator.costs import estimate_s, read_costs
from orchestrator.elastic import ask_for_machines
from orchestrator.execute import CRASH_RETRIES, Assignment, Attempt, describe_crash, record_crash
from orchestrator.head import HeadLostError, HeadWatch
from orchestrator.priority import longest_remaining
from orchestrator.profiles import name_profile, pack, read_profiles
from orchestrator.ready_queue import ReadyQueue
from orchestrator.request import ask, find_limit_s, is_coordinator
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState
from orchestrator.tracker import MirrorTarget, Poll, Tracker
from orchestrator.worker import Outcome, run_on_worker

log = logging.getLogger(__name__)

GRACE_S = (
    30.0  # ours: for tasks to keep what they go on from when the sweep is stopped; cloud notices are 30 s at least
)
BEGIN_S = 3.0  # ours: so long what a task says when it begins may be on its way to the tracker
CLOSE_TIMEOUT_S = 10.0  # for MLflow after Ctrl-C: longer than a flush, shorter than patience
LIMIT_SLACK_S = 5.0  # ours: a task at its time limit first writes its stacks to its log
MACHINES_S = 10.0  # between two looks at which machines there are
STOPS = 100  # ours: how often a task moves away from machines that are taken back before that is a failure
UNKNOWN_S = 60.0  # ours: for the order of tasks of which nothing is known
WAIT_S = 0.5  # between two looks at live scalars


def run_sweep(
    plan: Plan,
    state: SweepState,
    store: Store,
    mirror: MirrorTarget | None,
    on_change: Callable[[SweepState], None],
    grace_s: float = 0.0,
    is_elastic: bool = False,
) -> SweepState:
    """Run the waiting tasks of a graph on the Ray cluster that this process is connected to.

    A task is submitted once its inputs are committed. A failed task skips those that need it and nothing else.

    Args:
        plan: what to run.
        state: from `survey`; changed in place and returned.
        store: where results go.
        mirror: the MLflow to mirror to, or None.
        on_change: called after every change and every `WAIT_S`, to draw progress.
        grace_s: on Ctrl-C or SIGTERM tasks may take so long to keep what they go on from; a second one ends them at once.
        is_elastic: whether the cluster starts machines when they are asked for; it is asked for those that ready tasks want.

    Returns:
        The state at the end.

    Raises:
        HeadLostError: the head of the cluster is gone.
    """
    sweep = _Sweep(plan, state, store, mirror, is_elastic)
    with sweep.stopping(on_change, grace_s), sweep.letting_go():
        sweep.queue.add(sweep.start())
        sweep.submit()
        while sweep.running:
            on_change(state)
            for task, reference in sweep.wait():
                sweep.settle(task, reference)
            sweep.submit()
            sweep.look_at_tasks()
        on_change(state)
    state.mirror_problem = sweep.close()
    return state


def mirror_cached(state: SweepState, store: Store, mirror: MirrorTarget) -> None:
    """Send records that MLflow does not have yet, without a cluster; nothing is imported where all are there."""
    missing = list_unmirrored(list(state.graph.tasks.values()), mirror, store)
    if missing:
        tracker = Tracker(mirror, store)
        for task in missing:
            tracker.finish(task.key, task.name)
        state.mirror_problem = tracker.close("FINISHED")


def list_unmirrored(tasks: list[Task], mirror: MirrorTarget, store: Store) -> list[Task]:
    """Return the tasks whose records MLflow does not have yet."""
    present = mirror.list_mirrored(store)
    return [task for task in tasks if task.key not in present]


def assign(plan: Plan, task: Task) -> Assignment:
    """Return a task with the places of its data and weights."""
    roots: dict[str, Path] = {}
    for name in task.datasets:
        root = plan.facts.find_root(name)
        if root is not None:
            roots[name] = root.absolute()
    weights = {role: plan.facts.find_weights(file) for role, file in task.weights.items()}
    return Assignment(task, plan.graph.name, plan.graph.profile, roots, weights, plan.cache)


def name_in_dashboard(experiment: str, task: Task) -> str:
    """Return how Ray's dashboard calls a task: `uda:gta2cityscapes/daformer/seed=0`."""
    return "/".join([f"{task.kind}:{experiment}", task.stage, *task.list_axes()])


class _Sweep:
    """The moving parts of one sweep: which tasks run, and how many inputs each waiting one still lacks."""

    def __init__(
        self, plan: Plan, state: SweepState, store: Store, mirror: MirrorTarget | None, is_elastic: bool
    ) -> None:
        import ray
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        self.ray = ray
        self.head = HeadWatch(ray.get_runtime_context().gcs_address)
        self.plan, self.state, self.store, self.is_elastic = plan, state, store, is_elastic
        self.running: dict[Any, Task] = {}
        self.ended: dict[Any, Attempt] = {}  # references of tasks that this driver ended, and what became of those
        self.begun: dict[Any, float] = {}  # references of tasks with a time limit, and when they began to work
        self.crashes: Counter[str] = Counter()
        self.stops: Counter[str] = Counter()
        self.given_more: set[str] = set()
        self.dependants = state.graph.dependants()
        self.lacking: dict[str, int] = {}
        self.profiles = read_profiles(store)
        self.machines: tuple[Machine, ...] = ()
        self.looked_at_machines = self.looked_at_tasks = self.wanted_machines = float("-inf")
        self.queue = ReadyQueue(self._rank(), self.look_at_machines)
        self.remote = ray.remote(run_on_worker)
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        # Beside the driver: it shall not be lost with some other machine.
        options = {"num_cpus": 0, "scheduling_strategy": here, "max_restarts": -1}
        self.tracker = ray.remote(Tracker).options(**options).remote(mirror, store)
        if mirror is not None:
            cached = [state.graph.tasks[key] for key, status in state.status.items() if status is Status.CACHED]
            for task in list_unmirrored(cached, mirror, store):
                self.tracker.finish.remote(task.key, task.name)

    def _rank(self) -> dict[str, float]:
        """Return how long the way from each waiting task's start to the end of the sweep is."""
        graph, costs = self.state.graph, read_costs(self.store)
        waiting = {key: task for key, task in graph.tasks.items() if self.state.status[key] is Status.WAITING}
        seconds = {key: estimate_s(task, graph, costs) or UNKNOWN_S for key, task in waiting.items()}
        return longest_remaining(seconds, {key: list(task.inputs.values()) for key, task in waiting.items()})

    def look_at_machines(self) -> tuple[Machine, ...]:
        """Return the machines of the cluster, as they were a moment ago: they come and go."""
        if time.monotonic() - self.looked_at_machines > MACHINES_S:
            self.head.require()
            self.machines, self.looked_at_machines = list_machines(), time.monotonic()
        return self.machines

    def want_machines(self) -> None:
        """Have a cluster that starts machines make room for what runs and what is ready."""
        if self.is_elastic and time.monotonic() - self.wanted_machines > MACHINES_S:
            ask_for_machines([*self.running.values(), *self.queue.list_waiting()])
            self.wanted_machines = time.monotonic()

    @contextlib.contextmanager
    def letting_go(self) -> Iterator[None]:
        """Ask for no machines any more after the body."""
        try:
            yield
        except HeadLostError:  # there is nobody to ask
            self.is_elastic = False
            raise
        finally:
            if self.is_elastic:
                ask_for_machines([])

    def start(self) -> list[Task]:
        """Count what each waiting task lacks and return those that lack nothing."""
        status, ready = self.state.status, []
        for key, task in self.state.graph.tasks.items():
            if status[key] is Status.WAITING:
                self.lacking[key] = sum(status[needed] is not Status.CACHED for needed in set(task.inputs.values()))
                if self.lacking[key] == 0:
                    ready.append(self._pack(task))
        return ready

    def _pack(self, task: Task) -> Task:
        packed = pack(task.resources, self.profiles.get(name_profile(self.state.graph, task)))
        holding = [machine for machine in self.look_at_machines() if machine.count_places(task.resources)]
        if holding and packed.memory_gb and not any(machine.count_places(packed) for machine in holding):
            most_gb = max(machine.amounts["GB"] for machine in holding)  # else no machine would ever take it
            packed = packed.model_copy(update={"memory_gb": most_gb})
        return replace(task, resources=packed)

    def submit(self) -> None:
        """Hand Ray what is due; it starts when its resources are free."""
        for task in self.queue.take():
            options = {"name": name_in_dashboard(self.state.graph.name, task), "max_retries": 0, **ask(task)}
            assignment = assign(self.plan, task)
            reference = self.remote.options(**options).remote(assignment, self.store, self.tracker)
            self.running[reference] = task
            self.state.status[task.key] = Status.SUBMITTED

    def wait(self) -> list[tuple[Task, Any]]:
        """Wait a moment for finished tasks and return all there are."""
        finished, _ = self.ray.wait(list(self.running), num_returns=1, timeout=WAIT_S)
        if finished:
            finished, _ = self.ray.wait(list(self.running), num_returns=len(self.running), timeout=0)
        return [(self.running.pop(reference), reference) for reference in finished]

    def settle(self, task: Task, reference: Any) -> None:
        """Note how a task ended and queue those that it made ready, or queue it again where its process died."""
        self.queue.give_back(task)
        outcome = self._read(task, reference)
        if isinstance(outcome, Task):
            self.state.status[task.key] = Status.WAITING
            self.tracker.start.remote(task.key, False)
            self.queue.add([outcome])
            return
        self.state.status[task.key] = Status.DONE if outcome.status == "done" else Status.FAILED
        self.state.seconds[task.key] = outcome.seconds
        self.tracker.finish.remote(task.key, task.name)
        if outcome.status != "done":
            self.state.messages[task.key] = outcome.message or "no reason was given"
            self.skip_dependants(task)
            return
        for key in self.dependants[task.key]:
            if self.state.status[key] is Status.WAITING:
                self.lacking[key] -= 1
                if self.lacking[key] == 0:
                    self.queue.add([self._pack(self.state.graph.tasks[key])])

    def _read(self, task: Task, reference: Any) -> Outcome | Task:
        """Return how a task ended, or the task as it is to be tried again."""
        try:
            outcome: Outcome = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:  # raised outside the stage: no lease, no store
            cause = error.cause or error
            return self._fail(task, describe_crash(f"{type(cause).__name__}: {cause}", type(cause).__name__))
        except self.ray.exceptions.RayError as error:
            return self._read_crash(task, reference, error)
        if outcome.status != "stopped":
            return outcome
        self.stops[task.key] += 1
        if self.stops[task.key] <= STOPS:
            return task
        return self._fail(task, describe_crash(f"its machine was taken back {STOPS + 1} times"))

    def _read_crash(self, task: Task, reference: Any, error: Exception) -> Outcome | Task:
        """Return what becomes of a task whose process is gone."""
        self._free(task)
        if reference in self.ended:
            return self._fail(task, self.ended.pop(reference))
        cause = str(error).strip().splitlines()[0]
        if isinstance(error, self.ray.exceptions.OutOfMemoryError) and not is_coordinator(task):
            more = self._ask_for_more(task)
            if more is not None:
                log.warning("%s ran out of memory; again with %.3g GB", task.name, more.resources.memory_gb)
                return more
            return self._fail(task, describe_crash(self._describe_memory(task), "OutOfMemory"))
        self.crashes[task.key] += 1
        if self.crashes[task.key] <= CRASH_RETRIES:
            log.warning("%s: its worker died (%s); again", task.name, cause)
            return task
        return self._fail(task, describe_crash(f"its worker died {CRASH_RETRIES + 1} times ({cause})"))

    def _fail(self, task: Task, crash: Attempt) -> Outcome:
        """Keep the failure of a task whose process could not."""
        record_crash(assign(self.plan, task), self.store, crash)
        return Outcome("failed", crash.seconds, crash.failure.message if crash.failure is not None else None)

    def _free(self, task: Task) -> None:
        """Free what the trials of a search had reserved: Ray keeps that when the search's own process is gone."""
        if find_search(task.settings) is not None:
            from orchestrator.reservation import free_resources

            free_resources(self.store.scratch(task.key))

    def _ask_for_more(self, task: Task) -> Task | None:
        """Return a task that ran out of memory with twice the memory, once; None where it had that already."""
        if task.key in self.given_more:
            return None
        self.given_more.add(task.key)
        wanted = task.resources
        machines = [machine for machine in self.look_at_machines() if machine.count_places(wanted)]
        if not machines:
            return None
        biggest = max(machines, key=lambda machine: machine.amounts["GB"]).amounts
        share = biggest["GB"] * wanted.cpus / biggest["CPU"]  # what a task without a reservation may count on
        memory_gb = min(2 * (wanted.memory_gb or share), biggest["GB"])
        return replace(task, resources=wanted.model_copy(update={"memory_gb": memory_gb}))

    def _describe_memory(self, task: Task) -> str:
        asked = f" the second time with {task.resources.memory_gb:.3g} GB reserved" if task.resources.memory_gb else ""
        return (
            f"its worker ran out of memory twice,{asked} and was ended before its machine was. Give the stage more "
            "(`resources.memory_gb`), smaller batches, or a larger machine; `segshift profile` measures what it needs"
        )

    def skip_dependants(self, failed: Task) -> None:
        """Mark all that needs a failed task, directly or not."""
        pending = [failed]
        while pending:
            cause = pending.pop()
            for key in self.dependants[cause.key]:
                if self.state.status[key] is Status.WAITING:
                    self.state.status[key] = Status.SKIPPED
                    self.state.messages[key] = f"needs {cause.name}, which has no result"
                    pending.append(self.state.graph.tasks[key])

    def look_at_tasks(self) -> None:
        """Hear how the running tasks do, and end those that are overdue; not at every turn, where tasks end quickly."""
        if time.monotonic() - self.looked_at_tasks > WAIT_S:
            self.end_overdue(self.poll())
            self.want_machines()
            self.looked_at_tasks = time.monotonic()

    def poll(self) -> Poll:
        """Take the latest live scalars and how MLflow keeps up into the state, and return all that the tracker knows."""
        try:
            poll: Poll = self.ray.get(self.tracker.poll.remote(), timeout=WAIT_S)
        except (self.ray.exceptions.GetTimeoutError, self.ray.exceptions.RayActorError) as error:
            self.head.check()
            if isinstance(error, self.ray.exceptions.RayActorError):
                self.state.mirror_problem = "the tracker died"
            return Poll(self.state.live, {}, self.state.mlflow_queue, self.state.mirror_problem)
        self.head.hear()
        self.state.live, self.state.mlflow_queue, self.state.mirror_problem = poll.latest, poll.unsent, poll.problem
        return poll

    def end_overdue(self, poll: Poll) -> None:
        """End the tasks that have run for longer than their limit. A search's limit is each of its trials'."""
        for reference, task in self.running.items():
            limit = find_limit_s(task)
            if limit is None or reference in self.ended:
                continue
            now = time.monotonic()
            if task.key in poll.seconds:
                self.begun[reference] = now - poll.seconds[task.key]
            seconds = now - self.begun.get(
                reference, now
            )  # the tracker may have been started anew, and know nothing of it
            if seconds < limit + LIMIT_SLACK_S:
                continue
            message = (
                f"it ran for longer than its time limit (`time_limit_s: {limit:g}`) and was ended. Where its threads were then "
                f"stands in {self.store.log_file(task.key)}"
            )
            self.ended[reference] = describe_crash(message, "TimeLimit", seconds)
            self.ray.cancel(reference, force=True)

    def close(self) -> str | None:
        """Let the tracker send what is left; return what went wrong with MLflow, if anything."""
        try:
            problem: str | None = self.ray.get(
                self.tracker.close.remote("FINISHED" if self.state.is_complete else "FAILED")
            )
        except self.ray.exceptions.RayActorError as error:
            return f"the tracker died ({str(error).strip().splitlines()[0]})"
        return problem

    @contextlib.contextmanager
    def stopping(self, on_change: Callable[[SweepState], None], grace_s: float) -> Iterator[None]:
        """When the body is left by an exception, Ctrl-C above all, stop what runs and end the sweep's run in MLflow."""
        try:
            yield
        except HeadLostError:  # there is nobody to cancel anything
            raise
        except BaseException as error:
            try:
                if isinstance(error, KeyboardInterrupt):
                    self.stop(on_change, grace_s)
            finally:
                for reference in self.running:
                    with contextlib.suppress(self.ray.exceptions.RayError):
                        self.ray.cancel(reference, force=True)
                with contextlib.suppress(self.ray.exceptions.RayError, KeyboardInterrupt):
                    self.ray.get(self.tracker.close.remote("KILLED"), timeout=CLOSE_TIMEOUT_S)
            raise

    def withdraw(self) -> None:
        """Take back the tasks that have not begun."""
        with contextlib.suppress(self.ray.exceptions.RayError):
            begun = self.ray.get(self.tracker.poll.remote(), timeout=CLOSE_TIMEOUT_S).seconds
            for reference, task in self.running.items():
                if task.key not in begun:
                    self.ray.cancel(reference, force=True)

    def stop(self, on_change: Callable[[SweepState], None], grace_s: float) -> None:
        """Have running tasks keep what they go on from, and wait for them so long; those that have not begun are withdrawn."""
        self.state.is_stopping = True
        self.tracker.stop.remote()
        asked, are_withdrawn = time.monotonic(), False
        while self.running and time.monotonic() < asked + grace_s:
            if not are_withdrawn and time.monotonic() > asked + BEGIN_S:
                self.withdraw()
                are_withdrawn = True
            for task, reference in self.wait():
                with contextlib.suppress(self.ray.exceptions.RayError):
                    outcome: Outcome = self.ray.get(reference)
                    if outcome.status == "done":
                        self.state.status[task.key] = Status.DONE
                        self.state.seconds[task.key] = outcome.seconds
                        self.tracker.finish.remote(task.key, task.name)
            on_change(self.state)
