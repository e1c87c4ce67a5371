"""One benchmark in several processes of the cluster: each loads the network once and claims units until none is left."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from adapt.benchmark.unit import Unit
from adapt.errors import TaskError
from experiments.schema import BenchmarkStage
from experiments.task import Task
from orchestrator.execute import CRASH_RETRIES, Assignment, Attempt, attempt
from orchestrator.stages.stage import OnStep, StageContext
from orchestrator.store import Store

WAIT_S = 1.0  # between two looks at how many units are done


def attempt_in_shards(assignment: Assignment, store: Store, on_step: OnStep) -> Attempt:
    """Run a benchmark whose units are shared out among processes of the cluster.

    Args:
        assignment: the task.
        store: on a disk that every machine of the cluster sees.
        on_step: takes live scalars of the benchmark, in this process.

    Returns:
        What the benchmark made, or its failure.
    """
    from orchestrator.stages import benchmark  # here: imports mmseg

    return attempt(assignment, store, on_step, functools.partial(benchmark.run, compute=compute_on_cluster))


def compute_on_cluster(task: Task, context: StageContext, units: Sequence[Unit], on_done: Callable[[], None]) -> None:
    """Compute units in as many processes as the stage asks for, as soon as there is room for each.

    What a process that dies had claimed is computed by new ones, `CRASH_RETRIES` times.

    Args:
        task: the benchmark.
        context: its context; it travels to the processes, less its `on_step`.
        units: what to compute.
        on_done: called now and then while units are finished.

    Raises:
        TaskError: the computation stopped by an error in one of them, or they kept dying.
    """
    from orchestrator.stages.benchmark import plan_benchmark

    benchmark = plan_benchmark(task, context)
    left, cause = list(units), ""
    for _ in range(CRASH_RETRIES + 1):
        cause = _compute(task, context, left, on_done, benchmark.count_done) or cause
        left = benchmark.list_left()
        if not left:
            return
    raise TaskError(f"A process of this benchmark died {CRASH_RETRIES + 1} times ({cause}). Finished units are kept.")


def _compute(
    task: Task,
    context: StageContext,
    units: Sequence[Unit],
    on_done: Callable[[], None],
    count_done: Callable[[], int],
) -> str | None:
    """Start processes and wait until none has work left; return why one died, or None."""
    import ray

    if not isinstance(task.settings, BenchmarkStage):
        raise TypeError(f"{task.name} is no benchmark")
    wanted = task.resources
    memory = int(wanted.memory_gb * 2**30) if wanted.memory_gb else None
    shard = ray.remote(num_cpus=wanted.cpus, num_gpus=wanted.gpus, memory=memory, max_restarts=0)(_Shard)
    queue: Any = ray.remote(num_cpus=0)(_Queue).remote(tuple(units))
    there = replace(context, on_step=_ignore)
    shards = [shard.remote() for _ in range(min(task.settings.shards, len(units)))]
    running = {one.compute.remote(task, there, queue): one for one in shards}
    cause, wanted_done = None, count_done() + len(units)
    try:
        while running and count_done() < wanted_done:  # some may still wait for room when the others have done it all
            done, _ = ray.wait(list(running), timeout=WAIT_S)
            on_done()
            for reference in done:
                del running[reference]
                try:
                    problem = ray.get(reference)
                except ray.exceptions.RayActorError as error:
                    cause = str(error).strip().splitlines()[0]
                    continue
                if problem is not None:
                    failure = TaskError(problem[0])
                    failure.add_note(problem[1])
                    raise failure
    finally:
        for one in (*shards, queue):
            ray.kill(one)
    return cause


class _Queue:
    """The units that nobody has claimed yet; one actor that all shards of a benchmark ask."""

    def __init__(self, units: Sequence[Unit]) -> None:
        self.units = list(reversed(units))

    def claim(self) -> Unit | None:
        """Give the next unit away."""
        return self.units.pop() if self.units else None


class _Shard:
    """One process with one network."""

    def compute(self, task: Task, context: StageContext, queue: Any) -> tuple[str, str] | None:
        """Compute units until the queue is empty; return message and traceback of an error, which Ray would take for a crash."""
        import ray

        from orchestrator.stages.benchmark import compute_claimed

        try:
            compute_claimed(task, context, lambda: ray.get(queue.claim.remote()), _nothing)
        except Exception as error:
            return str(error) or type(error).__name__, traceback.format_exc()
        return None


def _ignore(step: int, values: Any) -> None:
    pass


def _nothing() -> None:
    pass
