"""Tells someone that a sweep ended or that a task failed: a command of the user's, a webhook, or both.

A hook that fails or hangs never harms the sweep: it runs beside it, has `LIMIT_S`, and what went wrong is warned of.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from types import TracebackType
from typing import Any, Literal

from experiments.workspace import NotifySettings
from orchestrator.progress import show_duration
from orchestrator.sweep_state import Status, SweepState

LIMIT_S = 10.0  # a hook that takes longer is ended
GRACE_S = 2.0  # for what has been ended to be gone
VARIABLE_LENGTH = 4000  # ours: the kernel takes 128 KiB; the whole is on standard input

Event = Literal["end", "failure"]


class Notifier:
    """Calls the hooks of a sweep: at the first failure of a task, and when the sweep ends, however it ends.

    Args:
        settings: which hooks, and when; None calls none.
        state: of the sweep; the driver changes it in place.
        store: where the results are, as told to the hooks.
        warn: takes one sentence for each hook that failed.
    """

    def __init__(
        self, settings: NotifySettings | None, state: SweepState, store: str, warn: Callable[[str], None]
    ) -> None:
        self._settings, self._state, self._store, self._warn = settings, state, store, warn
        self._started = time.monotonic()
        self._told_failure = False
        self._threads: list[threading.Thread] = []
        self._problems: list[str] = []

    def __enter__(self) -> Notifier:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._settings is not None and "end" in self._settings.on:
            outcome = "stopped" if kind is not None else "complete" if self._state.is_complete else "failed"
            self._start("end", outcome, None)
        deadline = time.monotonic() + LIMIT_S + GRACE_S
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        if any(thread.is_alive() for thread in self._threads):
            self._problems.append(f"the notification took longer than {LIMIT_S:g} s and was given up")
        for problem in self._problems:
            self._warn(problem)

    def update(self, state: SweepState) -> None:
        """Tell of the first failure, once; it returns at once."""
        if self._told_failure or not state.messages or self._settings is None or "failure" not in self._settings.on:
            return
        failed = next((key for key in state.messages if state.status[key] is Status.FAILED), None)
        if failed is not None:
            self._told_failure = True
            self._start("failure", "running", failed)

    def _start(self, event: Event, outcome: str, key: str | None) -> None:
        summary = summarise(self._state, event, outcome, key, time.monotonic() - self._started, self._store)
        hooks: dict[Callable[[str, dict[str, Any]], None], str | None] = {
            run_command: self._settings.command if self._settings else None,
            post: self._settings.url if self._settings else None,
        }
        for call, target in hooks.items():
            if target is not None:
                thread = threading.Thread(target=self._call, args=(call, target, summary), daemon=True)
                thread.start()
                self._threads.append(thread)

    def _call(self, call: Callable[[str, dict[str, Any]], None], target: str, summary: dict[str, Any]) -> None:
        try:
            call(target, summary)
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            self._problems.append(str(error))


def summarise(
    state: SweepState, event: Event, outcome: str, key: str | None, seconds: float, store: str
) -> dict[str, Any]:
    """Return what a hook is told, as JSON-able data; `text` is the whole in a sentence or two.

    Args:
        state: of the sweep.
        event: what happened.
        outcome: `running`, `complete`, `failed` or `stopped`.
        key: the task that failed, or None.
        seconds: since the sweep began.
        store: where the results are.
    """
    graph = state.graph
    counts = {status.value: state.count(status) for status in Status if status is not Status.SUBMITTED}
    counts["waiting"] += state.count(Status.SUBMITTED)
    task = graph.tasks[key].name if key is not None else None
    message = state.messages.get(key) if key is not None else None
    shown = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    where = f"{graph.name} ({graph.variant}) on {socket.gethostname()}"
    if event == "failure":
        text = f"segshift: {where}: {task} failed: {message} The others go on ({shown}). See `segshift logs {(key or '')[:12]}`."
    else:
        text = f"segshift: {where}: {outcome} after {show_duration(seconds)} ({shown})."
    return {
        "text": text,
        "event": event,
        "experiment": graph.name,
        "profile": graph.variant,
        "title": graph.title,
        "outcome": outcome,
        "counts": counts,
        "task": task,
        "key": key,
        "message": message,
        "seconds": round(seconds, 1),
        "host": socket.gethostname(),
        "store": store,
    }


def describe_variables(summary: dict[str, Any]) -> dict[str, str]:
    """Return a summary as environment variables: `SEGSHIFT_EVENT`, `SEGSHIFT_FAILED` ...; what is None is empty."""
    flat = {name: value for name, value in summary.items() if name != "counts"} | summary["counts"]
    return {
        f"SEGSHIFT_{name.upper()}": "" if value is None else str(value)[:VARIABLE_LENGTH]
        for name, value in flat.items()
    }


def run_command(command: str, summary: dict[str, Any]) -> None:
    """Run a command by the shell with a summary in its environment, and as JSON on its standard input.

    Raises:
        TimeoutError: it took longer than `LIMIT_S`; it was ended, with all that it had started.
        OSError: it ended with another code than 0.
    """
    process = subprocess.Popen(
        command,
        shell=True,
        env=os.environ | describe_variables(summary),
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,  # so that it is ended as a whole, and Ctrl-C of the sweep is not its own
    )
    try:
        _, errors = process.communicate(json.dumps(summary).encode(), timeout=LIMIT_S)
    except subprocess.TimeoutExpired as error:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        raise TimeoutError(f"the notify command took longer than {LIMIT_S:g} s and was ended") from error
    if process.returncode:
        last = errors.decode(errors="replace").strip().splitlines()[-1:]
        raise OSError(f"the notify command ended with code {process.returncode}{': ' + last[0] if last else ''}")


def post(url: str, summary: dict[str, Any]) -> None:
    """Send a summary to a webhook as JSON; Slack and its like show its `text`.

    Raises:
        OSError: it does not answer within `LIMIT_S`, or with an error. The address is a secret and is not named in full.
    """
    request = urllib.request.Request(
        url, json.dumps(summary).encode(), {"Content-Type": "application/json", "User-Agent": "segshift"}
    )
    host = urllib.parse.urlsplit(url).hostname
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S):
            return
    except urllib.error.HTTPError as error:
        raise OSError(f"the notify webhook at {host} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"the notify webhook at {host} does not answer ({getattr(error, 'reason', error)})") from error
