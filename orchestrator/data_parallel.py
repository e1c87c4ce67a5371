"""One training task in several processes: Ray Train starts the workers and the process group between them.

Every worker runs the same stage function. The first one alone leaves the artifact, reports live scalars and makes the
result; the others get a folder of their own that is thrown away. The task's lease and its commit stay with the caller.
"""

from __future__ import annotations

import os
import tempfile
import time
import uuid
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from adapt.stopping import Stopped
from orchestrator.execute import CRASH_RETRIES, Assignment, Attempt, attempt, describe_crash
from orchestrator.reporter import Reporter
from orchestrator.request import list_bundle
from orchestrator.store import Store
from orchestrator.task_log import find_dump_time, keep_log, left_until

START_TIMEOUT_S = (
    600  # ours: how long started workers may take to import torch; Ray Train's 60 is short for a busy machine
)
CONSEQUENCE_S = (
    10.0  # ours: five of Ray Train's looks at its workers, so that it sees the cause before what follows from it
)


class WorkerError(Exception):
    """The stage failed in a worker; it carries what became of it, and makes Ray Train end the other workers."""

    def __init__(self, failed: Attempt) -> None:
        super().__init__(failed)
        self.failed = failed


def attempt_in_workers(assignment: Assignment, store: Store, reporter: Reporter) -> Attempt:
    """Run a task's stage in as many workers as its training asks for; wait until the cluster has room for all of them.

    A worker that dies ends the others. All are started again then, `CRASH_RETRIES` times, and go on from the resume point.

    Args:
        assignment: the task.
        store: on a disk that every worker sees.
        reporter: takes live scalars of the first worker, and tells it when to stop; it is pickled to it.

    Returns:
        What the first worker made, or the failure that ended them all.

    Raises:
        Stopped: they were asked to stop.
    """
    from ray.train import WorkerGroupError

    trainer = _build_trainer(assignment, store, reporter)
    cause = ""
    for _ in range(CRASH_RETRIES + 1):
        try:
            made: Attempt = trainer.fit().return_value
            return made
        except WorkerGroupError as error:
            failures = [error.worker_failures[rank] for rank in sorted(error.worker_failures)]
            stopped = next((failure for failure in failures if isinstance(failure, Stopped)), None)
            if stopped is not None:
                raise stopped from None
            if failures and all(isinstance(failure, WorkerError) for failure in failures):
                return find_cause([failure.failed for failure in failures])
            crash = next((f for f in failures if not isinstance(f, WorkerError)), error)
            cause = str(getattr(crash, "health_check_failure", crash)).strip().splitlines()[0]
    return describe_crash(f"a worker died {CRASH_RETRIES + 1} times ({cause})")


def _build_trainer(assignment: Assignment, store: Store, reporter: Reporter) -> Any:
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", str(START_TIMEOUT_S))
    os.environ["RAY_CHDIR_TO_TRIAL_DIR"] = "0"  # paths in settings are relative to where the sweep was started
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    task = assignment.task
    wanted = task.resources
    return TorchTrainer(
        _work,
        train_loop_config={
            "assignment": assignment,
            "store": store,
            "reporter": reporter,
            "dump_at": find_dump_time(task),
        },
        scaling_config=ScalingConfig(
            num_workers=task.workers,
            use_gpu=wanted.gpus > 0,
            resources_per_worker=list_bundle(wanted),
            label_selector=dict(wanted.labels) or None,
        ),
        run_config=RunConfig(name=f"workers-{uuid.uuid4().hex}", storage_path=str(store.scratch(task.key).absolute())),
    )


def _work(config: Mapping[str, Any]) -> Attempt | None:
    """Run the stage in one worker; return what it made in the first and nothing in the others."""
    from adapt.training.distributed import get_rank

    assignment, store, reporter = config["assignment"], config["store"], config["reporter"]
    task = assignment.task
    with keep_log(store.log_file(task.key), f"{task.name}, worker {get_rank()}", left_until(config["dump_at"])):
        if get_rank() == 0:
            with reporter.hearing_stops():
                made = attempt(assignment, store, reporter)
        else:
            with tempfile.TemporaryDirectory() as folder:
                made = attempt(replace(assignment, folder=Path(folder)), store, _ignore)
    if made.failure is not None:
        if is_consequence(made):
            time.sleep(CONSEQUENCE_S)
        raise WorkerError(made)
    return made if get_rank() == 0 else None


def _ignore(step: int, values: Mapping[str, float]) -> None:
    pass


def is_consequence(failed: Attempt) -> bool:
    """Say whether a worker failed because another one had: the connection between them was gone."""
    text = failed.failure.message.lower() if failed.failure is not None else ""
    return any(word in text for word in ("gloo", "nccl", "connection closed by peer", "connection reset by peer"))


def find_cause(failed: list[Attempt]) -> Attempt:
    """Return the failure that the others follow from: the first that is no consequence, or the first."""
    return next((made for made in failed if not is_consequence(made)), failed[0])
