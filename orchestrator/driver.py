"""The driver: a graph to finished records on Ray, by one loop (ready, submit, wait, note).

It holds no state that the store lacks: after Ctrl-C, kill -9 or a lost machine the same command goes on.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from experiments.planning import Plan
from experiments.schema import BenchmarkStage
from experiments.search_space import describe_point
from experiments.searched_training import find_search
from experiments.task import Task
from orchestrator.execute import CRASH_RETRIES, Assignment, Attempt, attempt, execute, record_crash
from orchestrator.mlflow_mirror import name_trial_run
from orchestrator.stages.stage import OnStep
from orchestrator.store import Store
from orchestrator.sweep_state import Status, SweepState
from orchestrator.tracker import MirrorTarget, Tracker

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 10.0  # for MLflow after Ctrl-C: longer than a flush, shorter than patience
WAIT_S = 0.5  # between two looks at live scalars


def run_sweep(
    plan: Plan,
    state: SweepState,
    store: Store,
    mirror: MirrorTarget | None,
    on_change: Callable[[SweepState], None],
) -> SweepState:
    """Run the waiting tasks of a graph on the Ray cluster that this process is connected to.

    A task is submitted once its inputs are committed. A failed task skips those that need it and nothing else.

    Args:
        plan: what to run.
        state: from `survey`; changed in place and returned.
        store: where results go.
        mirror: the MLflow to mirror to, or None.
        on_change: called after every change and every `WAIT_S`, to draw progress.

    Returns:
        The state at the end.
    """
    sweep = _Sweep(plan, state, store, mirror)
    with sweep.cancelling():
        sweep.submit(sweep.start())
        while sweep.running:
            on_change(state)
            for task, reference in sweep.wait():
                sweep.submit(sweep.settle(task, reference))
            state.live = sweep.poll()
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


def run_on_worker(assignment: Assignment, store: Store, tracker: Any) -> tuple[str, float, str | None]:
    """Run a task in a Ray worker; return (status, seconds, message): the record itself stays in the store."""
    task = assignment.task

    def on_step(step: int, values: Mapping[str, float]) -> None:
        tracker.report.remote(task.key, task.name, step, dict(values))

    def on_trial(number: int, point: Mapping[str, Any], step: int, values: Mapping[str, float]) -> None:
        tracker.report.remote(name_trial_run(task.key, number), describe_point(point), step, dict(values))

    record = execute(assignment, store, on_step, _choose_attempt(task, on_trial))
    return record.status, record.seconds, record.failure.message if record.failure else None


def _choose_attempt(task: Task, on_trial: Callable[..., None]) -> Callable[[Assignment, Store, OnStep], Attempt]:
    """Return how a task is run: in its worker, or in others that it starts and waits for."""
    if find_search(task.settings) is not None:
        from orchestrator.search import attempt_search

        return functools.partial(attempt_search, on_trial=on_trial)
    if is_sharded(task):
        from orchestrator.shards import attempt_in_shards

        return attempt_in_shards
    if task.workers > 1:
        from orchestrator.data_parallel import attempt_in_workers

        return attempt_in_workers
    return attempt


def is_sharded(task: Task) -> bool:
    """Say whether several processes of the cluster share a task's work."""
    return isinstance(task.settings, BenchmarkStage) and task.settings.shards > 1


def _ask(task: Task) -> dict[str, float | None]:
    """Return what a task asks Ray for; one that only starts others and waits for them asks for nothing itself.

    Those each ask for the task's resources: a search's trials, a training's workers, a benchmark's shards.
    """
    if task.workers > 1 or is_sharded(task) or find_search(task.settings) is not None:
        return {"num_cpus": 0}
    memory_gb = task.resources.memory_gb
    memory = int(memory_gb * 2**30) if memory_gb else None
    return {"num_cpus": task.resources.cpus, "num_gpus": task.resources.gpus, "memory": memory}


class _Sweep:
    """The moving parts of one sweep: which tasks run, and how many inputs each waiting one still lacks."""

    def __init__(self, plan: Plan, state: SweepState, store: Store, mirror: MirrorTarget | None) -> None:
        import ray

        self.ray = ray
        self.plan, self.state, self.store = plan, state, store
        self.running: dict[Any, Task] = {}
        self.dependants = state.graph.dependants()
        self.lacking: dict[str, int] = {}
        self.remote = ray.remote(run_on_worker)
        self.tracker = ray.remote(Tracker).options(num_cpus=0).remote(mirror, store)
        if mirror is not None:
            cached = [state.graph.tasks[key] for key, status in state.status.items() if status is Status.CACHED]
            for task in list_unmirrored(cached, mirror, store):
                self.tracker.finish.remote(task.key, task.name)

    def start(self) -> list[Task]:
        """Count what each waiting task lacks and return those that lack nothing."""
        status, ready = self.state.status, []
        for key, task in self.state.graph.tasks.items():
            if status[key] is Status.WAITING:
                self.lacking[key] = sum(status[needed] is not Status.CACHED for needed in set(task.inputs.values()))
                if self.lacking[key] == 0:
                    ready.append(task)
        return ready

    def submit(self, tasks: list[Task]) -> None:
        """Hand tasks to Ray; they start when their resources are free."""
        for task in tasks:
            reference = self.remote.options(name=task.name, max_retries=CRASH_RETRIES, **_ask(task)).remote(
                assign(self.plan, task), self.store, self.tracker
            )
            self.running[reference] = task
            self.state.status[task.key] = Status.SUBMITTED

    def wait(self) -> list[tuple[Task, Any]]:
        """Wait a moment for finished tasks and return all there are."""
        finished, _ = self.ray.wait(list(self.running), num_returns=1, timeout=WAIT_S)
        if finished:
            finished, _ = self.ray.wait(list(self.running), num_returns=len(self.running), timeout=0)
        return [(self.running.pop(reference), reference) for reference in finished]

    def settle(self, task: Task, reference: Any) -> list[Task]:
        """Note how a task ended; return the tasks that it made ready."""
        try:
            status, seconds, message = self.ray.get(reference)
        except self.ray.exceptions.RayTaskError as error:  # raised outside the stage: no lease, no store
            cause = error.cause or error
            status, seconds, message = "failed", 0.0, f"{type(cause).__name__}: {cause}"
        except self.ray.exceptions.RayError as error:
            cause = str(error).strip().splitlines()[0]
            status, seconds, message = "failed", 0.0, f"its worker died {CRASH_RETRIES + 1} times ({cause})"
            record_crash(assign(self.plan, task), self.store, message)
            if find_search(task.settings) is not None:
                from orchestrator.reservation import free_resources

                free_resources(self.store.scratch(task.key))
        self.state.status[task.key] = Status.DONE if status == "done" else Status.FAILED
        self.state.seconds[task.key] = seconds
        self.tracker.finish.remote(task.key, task.name)
        if status != "done":
            self.state.messages[task.key] = message or "no reason was given"
            self.skip_dependants(task)
            return []
        ready = []
        for key in self.dependants[task.key]:
            if self.state.status[key] is Status.WAITING:
                self.lacking[key] -= 1
                if self.lacking[key] == 0:
                    ready.append(self.state.graph.tasks[key])
        return ready

    def skip_dependants(self, failed: Task) -> None:
        """Mark all that needs a failed task, directly or not."""
        for key in self.dependants[failed.key]:
            if self.state.status[key] is Status.WAITING:
                self.state.status[key] = Status.SKIPPED
                self.state.messages[key] = f"needs {failed.name}, which has no result"
                self.skip_dependants(self.state.graph.tasks[key])

    def poll(self) -> Mapping[str, Mapping[str, float]]:
        """Return the latest live scalars, or the last known ones where the tracker is busy."""
        try:
            latest: Mapping[str, Mapping[str, float]] = self.ray.get(self.tracker.latest.remote(), timeout=WAIT_S)
        except (self.ray.exceptions.GetTimeoutError, self.ray.exceptions.RayActorError):
            return self.state.live
        return latest

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
    def cancelling(self) -> Iterator[None]:
        """Cancel what runs, and end the sweep's run in MLflow, when the body is left by an exception: Ctrl-C above all."""
        try:
            yield
        except BaseException:
            for reference in self.running:
                with contextlib.suppress(self.ray.exceptions.RayError):
                    self.ray.cancel(reference, force=True)
            with contextlib.suppress(self.ray.exceptions.RayError, KeyboardInterrupt):
                self.ray.get(self.tracker.close.remote("KILLED"), timeout=CLOSE_TIMEOUT_S)
            raise
