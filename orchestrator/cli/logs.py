"""`segshift logs`: what a task printed and logged, while it runs and afterwards."""

from __future__ import annotations

import argparse
import codecs
import collections
import contextlib
import sys
import time
from pathlib import Path

from adapt.errors import PrerequisiteError, SpecError
from experiments.task import KEY_LENGTH, describe
from orchestrator.cli.options import add_command, add_experiment_options, add_workspace_options, read_workspace
from orchestrator.cli.status import find_sweep
from orchestrator.store import Store, open_store
from orchestrator.sweep_note import SweepNote, read_notes
from orchestrator.sweep_status import find_answering

EXAMPLES = """\
  segshift logs 5f3a09                                 the log of the task whose key starts with 5f3a09
  segshift logs 'daformer[seed=0]' --lines 50          its last 50 lines, by the name that status shows
  segshift logs 'daformer[seed=0]' gta2cityscapes -f   go on printing until the task ends
"""
POLL_S = 0.5
LOOK_EVERY_S = 5.0  # at notes, which are larger than the end of a log
SHOWN_MATCHES = 10
CHUNK_BYTES = 2**16


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "logs", "print what a task printed and logged", EXAMPLES)
    parser.add_argument("task", help="the first digits of its key, or its name as shown")
    add_experiment_options(parser, required=False)
    add_workspace_options(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="go on printing until the task ends")
    parser.add_argument("-n", "--lines", type=_read_count, metavar="N", help="only the last N lines of what is there")
    parser.set_defaults(run=run, late_argument="experiment")


def _read_count(text: str) -> int:
    count = int(text)
    if count < 0:
        raise argparse.ArgumentTypeError("a number of lines is 0 or more")
    return count


def run(options: argparse.Namespace) -> int:
    """Print the log.

    Raises:
        SpecError: no task, or several, are meant.
        PrerequisiteError: the task has no log.
    """
    store = open_store(read_workspace(options).store)
    key = find_task(options, store)
    if store.find_log(key) is None and not (options.follow and _is_going_on(key, store)):
        raise PrerequisiteError(
            f"task {key[:12]} has no log in {store.place}: it has not started yet, or an older segshift ran it. "
            "`--follow` waits for one that is to run; `failure.json` in its folder tells why one failed."
        )
    with contextlib.suppress(KeyboardInterrupt):
        print_log(key, store, options.lines, options.follow)
    return 0


def find_task(options: argparse.Namespace, store: Store) -> str:
    """Return the key of the task that is meant, among those of one experiment or of the whole store.

    Raises:
        SpecError: there is none, or several.
    """
    names = _list_tasks(options, store)
    wanted = options.task
    found = {key: name for key, name in names.items() if name == wanted} or {
        key: name for key, name in names.items() if key.startswith(wanted)
    }
    if not found and len(wanted) == KEY_LENGTH and store.find_log(wanted) is not None:  # failed outside any sweep
        return str(wanted)
    if len(found) == 1:
        return next(iter(found))
    where = f"of {options.experiment}" if options.experiment else f"in the store {store.place}"
    if not found:
        raise SpecError(
            f"no task {where} has the name '{wanted}', or a key that starts so. `segshift status EXPERIMENT` lists names "
            "and keys."
        )
    shown = ", ".join(f"{key[:12]} ({name})" for key, name in list(found.items())[:SHOWN_MATCHES])
    raise SpecError(
        f"'{wanted}' means {len(found)} tasks {where}: {shown}{' ...' if len(found) > SHOWN_MATCHES else ''}. "
        "Give more digits of the key, or the experiment after the task."
    )


def _list_tasks(options: argparse.Namespace, store: Store) -> dict[str, str]:
    """Return key -> name of the tasks that may be meant: an experiment's, or all that notes and records tell of."""
    if options.experiment is not None:
        return {key: task.name for key, task in find_sweep(options, store)().status.note.tasks.items()}
    names = {key: task.name for note in read_notes(store).values() for key, task in note.tasks.items()}
    wanted, others = options.task, store.list_done() - names.keys()
    if wanted in names.values():
        return names
    by_key = dict.fromkeys((key for key in others if key.startswith(wanted)), "")
    if by_key or any(key.startswith(wanted) for key in names):
        others = set(by_key)  # a key is meant: the other records need not be read
    for key in others:
        record = store.read(key)
        axes = ", ".join(f"{axis}={describe(value)}" for axis, value in record.point.items())
        names[key] = f"{record.stage}[{axes}]" if axes else record.stage
    return names


def _is_going_on(key: str, store: Store) -> bool:
    """Say whether a task runs, or a driver that lives is going to run it."""
    if store.is_held(key):
        return True
    notes: dict[str, SweepNote] = {
        name: note
        for name, note in read_notes(store).items()
        if key in note.tasks and note.tasks[key].status in ("waiting", "running")
    }
    return bool(find_answering(notes, store))


def print_log(key: str, store: Store, lines: int | None, follow: bool) -> None:
    """Print a log, and with `follow` what is added to it until its task ends.

    Args:
        key: of the task; it need not have a log yet.
        store: where it lies.
        lines: so many of the last lines that are there; None prints all.
        follow: whether to go on.
    """
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    file = store.find_log(key)
    place = find_tail(file, lines) if lines is not None and file is not None else 0
    goes_on, next_look = True, time.monotonic()
    while goes_on:
        if time.monotonic() >= next_look:  # before reading, so that what a task says last is not missed
            goes_on = follow and _is_going_on(key, store)
            next_look = time.monotonic() + LOOK_EVERY_S
        file = store.find_log(key)
        place += _print_from(file, place, decoder) if file is not None else 0
        if goes_on:
            time.sleep(POLL_S)


def _print_from(file: Path, place: int, decoder: codecs.IncrementalDecoder) -> int:
    """Print a file from a place on; return how many bytes were there."""
    count = 0
    with file.open("rb") as log:
        log.seek(place)
        while chunk := log.read(CHUNK_BYTES):
            sys.stdout.write(decoder.decode(chunk))
            count += len(chunk)
    sys.stdout.flush()
    return count


def find_tail(file: Path, lines: int) -> int:
    """Return where the last so many lines of a file begin, in bytes."""
    starts: collections.deque[int] = collections.deque(maxlen=lines)
    place = 0
    with file.open("rb") as log:
        for line in log:
            starts.append(place)
            place += len(line)
    return starts[0] if starts else place
