"""The wall-clock limit of one trial: a hung one is ended, with the stacks of its threads in the log of its search."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from orchestrator.stages.trial import Trial

ENDED = 3  # exit status of a process whose trial took too long


@contextlib.contextmanager
def limit_time(trial: Trial, limit_s: float | None, log: Path) -> Iterator[None]:
    """End this process if the body takes longer than a limit; the trial then has an outcome, and is not made again.

    Args:
        trial: what runs.
        limit_s: seconds; None is no limit.
        log: where the stacks of all threads go.
    """
    if limit_s is None:
        yield
        return
    timer = threading.Timer(limit_s, _end, (trial, limit_s, log))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _end(trial: Trial, limit_s: float, log: Path) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(f"The trial {trial.number} ran longer than its limit of {limit_s:g} s. Its threads:\n")
        file.flush()
        faulthandler.dump_traceback(file, all_threads=True)
    if trial.read() is None:
        trial.keep("failed", limit_s, reason=f"ran longer than its limit of {limit_s:g} s")
    os._exit(ENDED)
