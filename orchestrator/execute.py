"""Run one task to its record: lease, stage function, commit. The same on Ray and in the foreground."""

from __future__ import annotations

import contextlib
import datetime
import gc
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from adapt.data.cache import CacheSettings, ImageCache
from adapt.errors import SegshiftError
from adapt.stopping import Stopped
from experiments.schema import STAGE_VERSIONS
from experiments.task import Task
from orchestrator.disk import explain_full_disk
from orchestrator.environment import (
    describe_process,
    read_peak_gpu_memory_bytes,
    read_peak_memory_bytes,
    reset_peak_memory,
)
from orchestrator.record import Failure, Record
from orchestrator.stages.stage import OnStep, StageContext, StageResult
from orchestrator.store import Store

log = logging.getLogger(__name__)

StageFunction = Callable[[Task, StageContext], StageResult]

CRASH_RETRIES = 2  # a worker or node that dies; an error of the task itself is never retried


@dataclass(frozen=True)
class Assignment:
    """A task with all that a worker needs to run it: small, and pickled to Ray.

    Attributes:
        task: what to run.
        experiment: for whom, for the record.
        profile: under which profile, for the record.
        roots: name of a data set -> its root folder.
        weights: role -> file of outside weights, see `Task.weights`.
        cache: where decoded images are kept, or None.
        folder: where the task leaves what it makes; None is its folder in the store.
    """

    task: Task
    experiment: str
    profile: str
    roots: Mapping[str, Path]
    weights: Mapping[str, Path]
    cache: CacheSettings | None = None
    folder: Path | None = None


@dataclass(frozen=True)
class Attempt:
    """What became of a task's stage, noted in the process that ran it.

    Attributes:
        result: what it made; None where it failed.
        failure: why it failed, or None.
        started_at: ISO 8601, UTC.
        seconds: how long it took.
        environment: of that process.
        peak_memory_bytes: of that process.
        peak_gpu_memory_bytes: of that process.
    """

    result: StageResult | None
    failure: Failure | None
    started_at: str
    seconds: float
    environment: Mapping[str, Any]
    peak_memory_bytes: int | None
    peak_gpu_memory_bytes: int | None


def attempt(assignment: Assignment, store: Store, on_step: OnStep, stage: StageFunction | None = None) -> Attempt:
    """Run a task's stage in this process; an exception is its failure.

    Args:
        assignment: the task.
        store: where its inputs are, and its folder.
        on_step: takes live scalars.
        stage: what to run; None is the function of the task's kind.

    Raises:
        Stopped: this process was asked to stop; what the stage kept stays in the scratch folder.
    """
    started_at, started = _now(), time.perf_counter()
    reset_peak_memory()
    result, failure = None, None
    try:
        result = _run(assignment, store, on_step, stage)
    except Stopped:
        raise
    except Exception as error:
        failure = _describe_failure(explain_full_disk(error, store.root))
        log.warning("task %s failed: %s\n%s", assignment.task.name, failure.message, failure.traceback)
    if failure is not None:
        gc.collect()  # torch may still hold a half-written file open, which takes room on a full disk though it is removed
    return _note(result, failure, started_at, time.perf_counter() - started)


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def _note(result: StageResult | None, failure: Failure | None, started_at: str, seconds: float) -> Attempt:
    peaks = read_peak_memory_bytes(), read_peak_gpu_memory_bytes()
    return Attempt(result, failure, started_at, seconds, describe_process(), *peaks)


def describe_crash(message: str, kind: str = "WorkerDied", seconds: float = 0.0) -> Attempt:
    """Describe a failure that the stage's own process could not note, because it died or was ended."""
    return _note(None, Failure(kind=kind, message=message, traceback=""), _now(), seconds)


def execute(
    assignment: Assignment,
    store: Store,
    on_step: OnStep,
    run: Callable[[Assignment, Store, OnStep], Attempt] = attempt,
) -> Record:
    """Run a task unless it is done, and leave its record in the store.

    A failure is kept as a record too and returned, never raised: a raised exception would look like a crash to Ray and
    be retried. What kills the process (a signal, a lost node) leaves no record, and the task is run again.

    Args:
        assignment: the task.
        store: where it belongs.
        on_step: takes live scalars.
        run: runs its stage: in this process, or in several workers.

    Returns:
        The committed record, or that of the failure.

    Raises:
        Stopped: the process was asked to stop; the task stays to be done.
    """
    task = assignment.task
    with store.working_on(task.key) as ours:
        if not ours:
            return store.read(task.key)
        made = run(assignment, store, on_step)
        try:
            record = _make_record(assignment, store, made)
            if made.failure is None:
                store.commit(record)
            else:
                store.write_failure(record)
        except (OSError, ValueError, SegshiftError) as error:
            # The disk is full or gone, the stage gave what no record holds (a score that is not finite), or another
            # process took the task over: say so as the result, and keep it where the disk lets us.
            failure = _describe_failure(explain_full_disk(error, store.root))
            record = _make_record(assignment, None, replace(made, result=None, failure=failure))
            with contextlib.suppress(OSError, SegshiftError):
                store.write_failure(record)
        return record


def _run(assignment: Assignment, store: Store, on_step: OnStep, stage: StageFunction | None) -> StageResult:
    task = assignment.task
    scratch = store.scratch(task.key)
    scratch.mkdir(parents=True, exist_ok=True)
    for key in task.inputs.values():
        for name in store.read(key).files:
            store.verified_file(key, name)
    context = StageContext(
        folder=assignment.folder or store.folder(task.key),
        scratch=scratch,
        roots=assignment.roots,
        weights=assignment.weights,
        inputs={role: store.folder(key) for role, key in task.inputs.items()},
        threads=max(1, int(task.resources.cpus)),
        gpus=task.resources.gpus,
        on_step=on_step,
        cache=ImageCache(assignment.cache.folder, assignment.cache.max_bytes) if assignment.cache is not None else None,
    )
    if stage is None:
        from orchestrator.stages.catalog import STAGE_FUNCTIONS  # here: imports mmseg

        stage = STAGE_FUNCTIONS[task.kind]
    return stage(task, context)


def record_crash(assignment: Assignment, store: Store, crash: Attempt) -> None:
    """Keep a failure that the worker could not record, because it died or was ended; see `describe_crash`."""
    with contextlib.suppress(OSError, SegshiftError):
        store.write_failure(_make_record(assignment, None, crash))


def _describe_model(task: Task) -> dict[str, Any] | None:
    if task.model is None:
        return None
    hashes = {"config_sha256": task.model.config_sha256, "weights_sha256": task.model.weights_sha256}
    return {**task.model.settings.model_dump(mode="json"), **hashes}


def _describe_failure(error: Exception) -> Failure:
    message = str(error) or type(error).__name__
    if not isinstance(error, SegshiftError):
        message = f"{type(error).__name__}: {message}"
    return Failure(kind=type(error).__name__, message=message, traceback="".join(traceback.format_exception(error)))


def _make_record(assignment: Assignment, store: Store | None, made: Attempt) -> Record:
    task, result = assignment.task, made.result
    scored: dict[str, Any] = {}
    if result is not None:
        scored = {
            name: getattr(result, name)
            for name in ("network", "method", "protocol", "classes", "cells", "metrics", "notes")
        }
    return Record(
        key=task.key,
        status="done" if made.failure is None else "failed",
        experiment=assignment.experiment,
        profile=assignment.profile,
        stage=task.stage,
        label=task.label,
        kind=task.kind,
        code_version=STAGE_VERSIONS[task.kind],
        point=dict(task.point),
        settings=task.settings.model_dump(mode="json"),
        chosen=task.settings.model_dump(mode="json", exclude_unset=True),
        datasets={
            name: {"settings": bound.settings.model_dump(mode="json"), "fingerprint": bound.fingerprint}
            for name, bound in task.datasets.items()
        },
        model=_describe_model(task),
        inputs=dict(task.inputs),
        files=store.list_files(task.key) if store is not None and made.failure is None else {},
        environment=dict(made.environment),
        started_at=made.started_at,
        seconds=made.seconds,
        peak_memory_bytes=made.peak_memory_bytes,
        peak_gpu_memory_bytes=made.peak_gpu_memory_bytes,
        failure=made.failure,
        **scored,
    )
