"""How much memory a stage needs: its task run for a moment in a process of its own, and thrown away."""

from __future__ import annotations

import multiprocessing
import shutil
import tempfile
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from pathlib import Path

from adapt.errors import PrerequisiteError, SpecError, TaskError
from experiments.schema import BenchmarkStage, EvaluateStage, StageSettings, StreamStage, TrainStage, UdaStage
from experiments.task import Task
from orchestrator.execute import Assignment, Attempt, attempt
from orchestrator.profiles import MemoryProfile
from orchestrator.store import Store


def measure_memory(assignment: Assignment, store: Store, iterations: int, frames: int) -> tuple[MemoryProfile, float]:
    """Run a task for a moment, as its stage would run it, and tell what it held.

    Args:
        assignment: the task; what it needs is done.
        store: where its inputs are. Nothing of the measurement stays there.
        iterations: of a training; the peak of a training is reached in its first few.
        frames: of each data set or domain, of what scores a network.

    Returns:
        The profile of its process, and the seconds it took.

    Raises:
        SpecError: the stage has nothing that could be shortened, or is trained by several workers.
        PrerequisiteError: the process was killed.
        TaskError: the task failed.
    """
    task = assignment.task
    short = replace(task, key=f"profile-{task.key}", settings=shorten(task.settings, iterations, frames))
    try:
        with tempfile.TemporaryDirectory() as folder:
            shortened = replace(assignment, task=short, folder=Path(folder))
            with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
                made, totals = pool.submit(_attempt, shortened, store).result()
    except BrokenProcessPool as error:
        raise PrerequisiteError(
            f"{task.name} was killed while it was measured: most often the machine's memory ran out. Measure it on a larger "
            "machine, or lower its batch size or crop."
        ) from error
    finally:
        shutil.rmtree(store.folder(short.key), ignore_errors=True)
    if made.failure is not None:
        raise TaskError(f"{task.name} failed while it was measured: {made.failure.message}")
    if made.peak_memory_bytes is None:
        raise PrerequisiteError(
            "this system does not tell a process's peak memory (/proc/self/status): measure on Linux."
        )
    is_on_gpu = bool(totals) and task.resources.gpus > 0
    profile = MemoryProfile(
        memory_bytes=made.peak_memory_bytes,
        gpu_memory_bytes=made.peak_gpu_memory_bytes if is_on_gpu else None,
        gpu_total_bytes=min(totals) if is_on_gpu else None,
    )
    return profile, made.seconds


def shorten(settings: StageSettings, iterations: int, frames: int) -> StageSettings:
    """Return a stage's settings with less work of the same size.

    Raises:
        SpecError: there is nothing to shorten.
    """
    if isinstance(settings, TrainStage | UdaStage):
        if settings.training.workers > 1:
            raise SpecError(
                "a training of several workers is measured as one of a single worker: add `training.workers=1` for the stage."
            )
        training = settings.training.model_copy(update={"iterations": min(iterations, settings.training.iterations)})
        return settings.model_copy(update={"training": training, "search": None})
    if isinstance(settings, StreamStage):
        limit = min(frames, settings.stream.limit or frames)
        stream = settings.stream.model_copy(update={"limit": limit})
        return settings.model_copy(update={"stream": stream, "search": None})
    if isinstance(settings, EvaluateStage | BenchmarkStage):
        changes: dict[str, int] = {"limit": min(frames, settings.limit or frames)}
        if isinstance(settings, BenchmarkStage):
            changes["shards"] = 1
        return settings.model_copy(update=changes)
    raise SpecError(
        f"a stage of kind '{getattr(settings, 'kind', '?')}' is not measured ahead: a sweep measures it when it first runs. "
        "Measure a train, uda, stream, evaluate or benchmark stage."
    )


def list_missing(task: Task, store: Store, names: Mapping[str, str]) -> list[str]:
    """Return the names of the tasks that a task needs and that are not done."""
    return [names[key] for key in task.inputs.values() if not store.is_done(key)]


def _attempt(assignment: Assignment, store: Store) -> tuple[Attempt, list[int]]:
    made = attempt(assignment, store, lambda step, values: None)
    totals = made.environment.get("gpu_memory_bytes") or []
    return replace(made, result=None), list(totals)
