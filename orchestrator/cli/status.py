"""`segshift status`: what a store holds, or how far an experiment is; it reads the store alone."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from adapt.errors import PrerequisiteError
from experiments.planning import Plan
from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
)
from orchestrator.store import Store, open_store
from orchestrator.sweep_note import FOLDER, SCHEMA_VERSION, SweepNote, name_note, read_note, read_notes
from orchestrator.sweep_status import FinishedStage, SweepStatus, find_answering, judge, sum_finished, survey_records

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

EXAMPLES = """\
  segshift status                             sweeps that run now; finished tasks by experiment and stage
  segshift status gta2cityscapes              done, running, failed and waiting tasks; why a task failed; time to go
  segshift status gta2cityscapes --watch      the same, drawn anew until the sweep ends
  segshift status gta2cityscapes --json       for a program to read
"""
REDRAW_S = 2.0
LINE_EVERY_S = 15.0  # where the output is no terminal: a line now and then, as `segshift sweep` prints
SHOWN_RUNNING = 3  # in such a line


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "status", "show what is done, running and failed, from any terminal", EXAMPLES)
    add_experiment_options(parser, required=False)
    add_workspace_options(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--watch", action="store_true", help="draw it anew every two seconds until the sweep ends")
    how.add_argument("--json", action="store_true", help="print it as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the status; the exit code is 1 where a task of the experiment failed."""
    from rich.console import Console

    store = open_store(read_workspace(options).store)
    look: Callable[[], Picture] = lambda: StorePicture.take(store)  # noqa: E731
    if options.experiment is not None:
        look = find_sweep(options, store)
    if options.json:
        picture = look()
        print(json.dumps(picture.to_json(), indent=1))
    else:
        console = Console()
        picture = watch(look, console) if options.watch else look()
        console.print(picture.draw())
    return picture.code


class Picture(Protocol):
    """What is known at one moment, to be shown in one of several ways."""

    @property
    def is_over(self) -> bool:
        """Whether nothing will change any more."""

    @property
    def code(self) -> int:
        """The exit code that it stands for."""

    def draw(self) -> RenderableType:
        """Draw it for a terminal."""

    def describe(self) -> list[str]:
        """Describe it in lines, for where there is no terminal."""

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-able data: see docs/monitoring.md."""


@dataclass(frozen=True)
class SweepPicture:
    """One sweep."""

    status: SweepStatus

    @property
    def is_over(self) -> bool:
        """Whether it ended, or its driver no longer answers; what never began is waited for."""
        counts = self.status.note.count()
        if self.status.state == "unknown":
            return not (counts["running"] or counts["waiting"])
        return self.status.state != "running" and not counts["running"]

    @property
    def code(self) -> int:
        """1 where a task failed."""
        return 1 if self.status.note.count()["failed"] else 0

    def draw(self) -> RenderableType:
        """Draw it for a terminal."""
        from orchestrator.status_view import draw_status

        return draw_status(self.status)

    def describe(self) -> list[str]:
        """Describe it in lines: how far it is and its first few running tasks, then each failure."""
        from orchestrator.status_view import describe_task, summarise

        tasks = self.status.note.tasks.values()
        running = [f"{task.name} {describe_task(task)}" for task in tasks if task.status == "running"]
        failed = [f"failed {task.name}: {task.message}" for task in tasks if task.status == "failed"]
        return [f"{summarise(self.status)}  {'; '.join(running[:SHOWN_RUNNING])}".rstrip(), *failed]

    def to_json(self) -> dict[str, Any]:
        """Return the sweep with all its tasks."""
        return self.status.to_json()


@dataclass(frozen=True)
class StorePicture:
    """All sweeps that left a note in a store, and its finished tasks."""

    root: str
    sweeps: list[SweepStatus]
    finished: list[FinishedStage]

    @classmethod
    def take(cls, store: Store) -> StorePicture:
        """Look at a store."""
        notes = read_notes(store)
        answering = find_answering(notes, store)
        sweeps = [
            SweepStatus(note, "running" if name in answering else note.ended or "lost") for name, note in notes.items()
        ]
        return cls(str(store.place), sweeps, sum_finished(store))

    @property
    def is_over(self) -> bool:
        """Whether no sweep runs."""
        return all(status.state != "running" for status in self.sweeps)

    @property
    def code(self) -> int:
        """Always 0: which failures matter, only an experiment says."""
        return 0

    def draw(self) -> RenderableType:
        """Draw it for a terminal."""
        from orchestrator.status_view import draw_store

        return draw_store(self.sweeps, self.finished, self.root)

    def describe(self) -> list[str]:
        """Describe the sweeps that run in a line each."""
        from orchestrator.status_view import summarise

        running = [status for status in self.sweeps if status.state == "running"]
        return [f"{status.note.experiment} ({status.note.variant}) {summarise(status)}" for status in running]

    def to_json(self) -> dict[str, Any]:
        """Return the sweeps without their tasks, and the finished tasks by stage."""
        sweeps = [{name: value for name, value in s.to_json().items() if name != "tasks"} for s in self.sweeps]
        finished = [dataclasses.asdict(stage) for stage in self.finished]
        return {"schema_version": SCHEMA_VERSION, "store": self.root, "sweeps": sweeps, "finished": finished}


def watch(look: Callable[[], Picture], console: Console) -> Picture:
    """Draw a picture anew every `REDRAW_S` until it is over or Ctrl-C is pressed; return the last one.

    Where there is no terminal, lines are printed every `LINE_EVERY_S`, and what is new in them, such as a failure, at once.
    """
    from rich.live import Live
    from rich.text import Text

    picture, told, last = look(), set[str](), float("-inf")
    live = (
        Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else contextlib.nullcontext()
    )
    with contextlib.suppress(KeyboardInterrupt), live:
        while not picture.is_over:
            if isinstance(live, Live):
                live.update(picture.draw(), refresh=True)
            else:
                first, *others = picture.describe() or [""]
                if time.monotonic() - last > LINE_EVERY_S:
                    last = time.monotonic()
                    console.print(Text(first), soft_wrap=True)
                for line in others:
                    if line not in told:
                        told.add(line)
                        console.print(Text(line), soft_wrap=True)
            time.sleep(REDRAW_S)
            picture = look()
    return picture


def find_sweep(options: argparse.Namespace, store: Store) -> Callable[[], SweepPicture]:
    """Return what tells how the sweep of an experiment stands, whenever it is called.

    Without profile and overrides it is the sweep of the experiment that wrote its note last; with them the one that they
    mean. Where no driver left a note, the experiment's plan is compared with the store.

    Raises:
        SpecError: there is neither a note nor an experiment of this name.
    """
    plan: Plan | None = None
    if options.overrides or options.limit is not None:
        plan = read_plan(options, read_workspace(options))
        note = read_note(store, name_note(plan.graph.name, plan.graph.variant))
    else:
        note = find_note(options.experiment, options.profile, store)
    if note is not None:
        name = name_note(note.experiment, note.variant)
        return lambda: SweepPicture(look_at_note(name, store))
    known = plan or read_plan(options, read_workspace(options))
    expected = name_note(known.graph.name, known.graph.variant)

    def look() -> SweepPicture:  # its sweep may begin while we watch
        begun = read_note(store, expected) is not None
        return SweepPicture(look_at_note(expected, store) if begun else survey_records(known, store))

    return look


def find_note(experiment: str, profile: str | None, store: Store) -> SweepNote | None:
    """Return the note of an experiment's sweep that was written last, under a profile or any; or None."""
    stem = Path(experiment).stem if experiment.endswith((".yaml", ".yml")) else experiment
    names = [name for name in store.list_notes(FOLDER) if name.startswith(f"{FOLDER}/{stem}-")]
    notes = [note for name in names if (note := read_note(store, name)) is not None]
    mine = [n for n in notes if n.experiment == stem and profile in (None, n.variant, n.variant.partition("+")[0])]
    return max(mine, key=lambda note: note.updated_at, default=None)


def look_at_note(name: str, store: Store) -> SweepStatus:
    """Read a sweep's note and say how the sweep stands.

    Raises:
        PrerequisiteError: somebody removed the note.
    """
    note = read_note(store, name)
    if note is None:
        raise PrerequisiteError(
            f"{store.place}/{name} was removed meanwhile. Run the command again: records tell the rest."
        )
    return judge(note, bool(find_answering({name: note}, store)), store)
