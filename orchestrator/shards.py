"""One benchmark in several processes of the cluster: each loads the network once and claims units until none is left."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adapt.benchmark.kept import count_kept
from adapt.benchmark.unit import Unit
from adapt.errors import TaskError
from experiments.task import Task
from orchestrator.backend import LOG_FILE
from orchestrator.environment import (
    describe_process,
    read_peak_gpu_memory_bytes,
    read_peak_memory_bytes,
    reset_peak_memory,
)
from orchestrator.execute import CRASH_RETRIES, Assignment, Attempt, attempt
from orchestrator.record import Network
from orchestrator.request import list_options
from orchestrator.stages.stage import OnStep, StageContext
from orchestrator.store import Store
from orchestrator.task_log import find_dump_time, keep_log, left_until

if TYPE_CHECKING:
    from orchestrator.stages.benchmark import Benchmark

WAIT_S = 1.0  # between two looks at how many units are done


@dataclass(frozen=True)
class ShardReport:
    """What a process that ended well tells of itself.

    Attributes:
        network: that it loaded.
        environment: of the process, as in records.
        peak_memory_bytes: of the process.
        peak_gpu_memory_bytes: of the process.
    """

    network: Network
    environment: Mapping[str, Any]
    peak_memory_bytes: int | None
    peak_gpu_memory_bytes: int | None


def attempt_in_shards(assignment: Assignment, store: Store, on_step: OnStep) -> Attempt:
    """Run a benchmark whose units are shared out among processes of the cluster.

    Args:
        assignment: the task.
        store: on a disk that every machine of the cluster sees.
        on_step: takes live scalars of the benchmark, in this process.

    Returns:
        What the benchmark made, or its failure. Its environment is that of the first process that ended, its memory that of
        the largest.
    """
    from orchestrator.stages import benchmark  # here: imports mmseg

    reports: list[ShardReport] = []
    compute = functools.partial(compute_on_cluster, reports=reports)
    made = attempt(assignment, store, on_step, functools.partial(benchmark.run, compute=compute))
    if not reports:
        return made
    return replace(
        made,
        environment=reports[0].environment,
        peak_memory_bytes=max((r.peak_memory_bytes or 0 for r in reports), default=0) or None,
        peak_gpu_memory_bytes=max((r.peak_gpu_memory_bytes or 0 for r in reports), default=0) or None,
    )


def compute_on_cluster(
    benchmark: Benchmark,
    task: Task,
    context: StageContext,
    units: Sequence[Unit],
    on_done: Callable[[], None],
    *,
    reports: list[ShardReport],
) -> Network:
    """Compute units in as many processes as the stage asks for, as soon as there is room for each.

    What a process that dies had claimed is computed by new ones, `CRASH_RETRIES` times.

    Args:
        benchmark: what the task computes; it travels to the processes, which need not list the data again.
        task: the task.
        context: its context; it travels to the processes, less its `on_step`.
        units: what to compute.
        on_done: called now and then while units are finished.
        reports: takes what each process that ended well tells of itself.

    Returns:
        The description of the network.

    Raises:
        TaskError: the computation stopped by an error in one of them, or they kept dying.
    """
    import torch

    from orchestrator.stages.network import load_network

    left, cause = list(units), ""
    for _ in range(CRASH_RETRIES + 1):
        cause = _Round(benchmark, task, context, left).compute(on_done, reports) or cause
        left = benchmark.list_left()
        if not left:
            return reports[0].network if reports else load_network(task, context, torch.device("cpu"))[2]
    if not cause:
        raise TaskError(
            f"{len(left)} blocks of frames have no counts ({left[0].name} first) though every process ended well. Check that "
            "the store lies on a disk that every machine of the cluster sees."
        )
    raise TaskError(
        f"Processes of this benchmark died in {CRASH_RETRIES + 1} rounds ({cause}). Finished blocks are kept: run it again, "
        "with fewer `shards` or more `resources` if memory ran out."
    )


class _Round:
    """Processes that share out units until these are done, or until no process is left."""

    def __init__(self, benchmark: Benchmark, task: Task, context: StageContext, units: Sequence[Unit]) -> None:
        import ray

        self.ray, self.units, self.folder = ray, units, benchmark.folder
        shard = ray.remote(max_restarts=0, **list_options(task.resources))(_Shard)
        self.queue: Any = ray.remote(num_cpus=0)(_Queue).remote(tuple(units))
        there = replace(context, on_step=_ignore)
        shards = [shard.remote() for _ in range(min(benchmark.settings.shards, len(units)))]
        shared = ray.put(benchmark)
        dump_at = find_dump_time(task)
        self.running = {one.compute.remote(shared, task, there, self.queue, dump_at): one for one in shards}

    def compute(self, on_done: Callable[[], None], reports: list[ShardReport]) -> str | None:
        """Wait for the processes; return why one died, or None."""
        cause = None
        try:
            # Some may still wait for room when the others have done it all: then the first to report ends the round.
            while self.running and (self._count_left() or not reports):
                cause = self._wait(reports) or cause
                on_done()
        finally:
            for one in (*self.running.values(), self.queue):
                self.ray.kill(one)
        return cause

    def _count_left(self) -> int:
        return len(self.units) - count_kept(self.folder, self.units)

    def _wait(self, reports: list[ShardReport]) -> str | None:
        """Take what an ended process returns, and free what it holds; return why it died, or None."""
        cause = None
        done, _ = self.ray.wait(list(self.running), timeout=WAIT_S)
        for reference in done:
            self.ray.kill(self.running.pop(reference))
            try:
                outcome = self.ray.get(reference)
            except self.ray.exceptions.RayError as error:  # killed, out of memory, its machine or the queue lost
                cause = str(error).strip().splitlines()[0]
                continue
            if not isinstance(outcome, ShardReport):
                failure = TaskError(outcome[0])
                failure.add_note(outcome[1])
                raise failure
            reports.append(outcome)
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

    def compute(
        self, benchmark: Benchmark, task: Task, context: StageContext, queue: Any, dump_at: float | None
    ) -> ShardReport | tuple[str, str]:
        """Compute units until the queue is empty.

        Returns:
            What the process tells of itself; or message and traceback of an error, which Ray would take for a crash.

        Raises:
            RayError: the queue is lost.
        """
        import ray

        from orchestrator.stages.benchmark import compute_claimed

        reset_peak_memory()
        try:
            with keep_log(context.folder / LOG_FILE, f"{task.name}, shard", left_until(dump_at)):
                network = compute_claimed(benchmark, task, context, lambda: ray.get(queue.claim.remote()), _nothing)
        except ray.exceptions.RayError:
            raise
        except Exception as error:
            return str(error) or type(error).__name__, traceback.format_exc()
        return ShardReport(network, describe_process(), read_peak_memory_bytes(), read_peak_gpu_memory_bytes())


def _ignore(step: int, values: Any) -> None:
    pass


def _nothing() -> None:
    pass
