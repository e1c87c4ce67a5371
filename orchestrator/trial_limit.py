"""The wall-clock limit of one trial: a hung one is ended, with the stacks of its threads in the log of its search.

One that hangs in compiled code may keep the interpreter to itself, so that no Python runs any more, a timer's neither. It is
ended a little later from outside the interpreter, where nothing but its stacks can be left behind; they are the proof.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from orchestrator.stages.trial import Trial

ENDED = 3  # exit status of a process whose trial took too long
SLACK_S = 30.0  # ours: for the timer to do it properly, on a busy machine
STACKS = ".stacks"  # beside a trial's folder: empty while it runs, and filled where it was ended from outside the interpreter


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
    keep_overdue(trial, limit_s, log)
    timer = threading.Timer(limit_s, _end, (trial, limit_s, log))
    timer.daemon = True
    stacks = trial.folder.with_suffix(STACKS)
    with stacks.open("wb") as file:
        timer.start()
        faulthandler.dump_traceback_later(limit_s + SLACK_S, file=file, exit=True)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            timer.cancel()
            stacks.unlink(missing_ok=True)


def keep_overdue(trial: Trial, limit_s: float, log: Path) -> None:
    """Keep the outcome of a trial whose process was ended from outside the interpreter, if it was.

    Args:
        trial: any.
        limit_s: seconds.
        log: where its stacks go.
    """
    file = trial.folder.with_suffix(STACKS)
    stacks = file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
    if stacks:
        with log.open("a", encoding="utf-8") as whole:
            whole.write(f"{_describe(trial, limit_s)}{stacks}\n")
        _keep(trial, limit_s)


def _end(trial: Trial, limit_s: float, log: Path) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(_describe(trial, limit_s))
        file.flush()
        faulthandler.dump_traceback(file, all_threads=True)
    _keep(trial, limit_s)
    os._exit(ENDED)


def _describe(trial: Trial, limit_s: float) -> str:
    return f"The trial {trial.number} ran longer than its limit of {limit_s:g} s. Its threads:\n"


def _keep(trial: Trial, limit_s: float) -> None:
    if trial.read() is None:
        trial.keep("failed", limit_s, reason=f"ran longer than its limit of {limit_s:g} s")
    trial.folder.with_suffix(STACKS).unlink(missing_ok=True)
