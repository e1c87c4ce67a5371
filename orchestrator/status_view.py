"""How the standing of sweeps is drawn on a terminal."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from orchestrator.progress import SHOWN_RUNNING, show_duration, show_scalars, stack_lines
from orchestrator.sweep_note import SweepNote, TaskNote
from orchestrator.sweep_status import FinishedStage, Standing, SweepStatus

SHOWN_FAILED = 10
LISTED_TASKS = 50  # ours: up to a screen of tasks are listed one by one, more are counted by stage
KEY_DIGITS = 12

_STYLES = {
    "cached": "green",
    "done": "green",
    "running": "cyan",
    "waiting": "yellow",
    "failed": "bold red",
    "skipped": "red",
}
_STATE_STYLES: dict[Standing, str] = {
    "running": "bold cyan",
    "complete": "bold green",
    "failed": "bold red",
    "stopped": "bold yellow",
    "lost": "bold red",
    "unknown": "",
}


def draw_status(status: SweepStatus) -> RenderableType:
    """Draw a sweep: its standing, what runs, what failed and why, and the tasks or, where there are many, the stages."""
    note = status.note
    parts: list[RenderableType] = [_draw_title(status)]
    counts = note.count()
    finished = counts["cached"] + counts["done"]
    bar = ProgressBar(total=max(len(note.tasks), 1), completed=finished, width=40)
    parts.append(stack_lines(bar, Text(summarise(status))))
    if note.mirror_problem:
        parts.append(Text(f"MLflow: {note.mirror_problem} ({note.mlflow_queue} waiting to be sent)", style="yellow"))
    running = [task for task in note.tasks.values() if task.status == "running"]
    if running and status.state == "running":
        parts += [Text(), _draw_running(running)]
    failed = {key: task for key, task in note.tasks.items() if task.status == "failed"}
    if failed:
        parts += [Text(), *_draw_failed(failed)]
    parts += [Text(), _list_tasks(note) if len(note.tasks) <= LISTED_TASKS else _draw_stages(note)]
    return Group(*parts)


def summarise(status: SweepStatus) -> str:
    """Say in one line how far a sweep is."""
    note, counts = status.note, status.note.count()
    finished = counts["cached"] + counts["done"]
    parts = [f"{finished}/{len(note.tasks)} done ({counts['cached']} cached)"]
    parts += [f"{counts[name]} {name}" for name in ("running", "waiting", "failed", "skipped") if counts[name]]
    if note.started_at is not None:
        parts.append(f"elapsed {show_duration(_seconds_between(note.started_at, note.updated_at))}")
    if status.state == "running":
        left_s = note.seconds_to_go
        parts.append("time to go not known yet" if left_s is None else f"about {show_duration(left_s)} to go")
    return " · ".join(parts)


def describe_task(task: TaskNote) -> str:
    """Say in a few words how far a running task is."""
    rate = f"{task.steps_per_s:.3g}/s" if task.steps_per_s is not None else ""
    return " ".join(part for part in (f"{task.live.get('progress', 0.0):.0%}", rate, show_scalars(task.live)) if part)


def _seconds_between(start: str, end: str) -> float:
    return (datetime.datetime.fromisoformat(end) - datetime.datetime.fromisoformat(start)).total_seconds()


def show_age(moment: str) -> str:
    """Say how long ago a moment was, by this machine's clock."""
    age_s = (datetime.datetime.now(datetime.UTC) - datetime.datetime.fromisoformat(moment)).total_seconds()
    return "just now" if age_s < 5 else f"{show_duration(age_s)} ago"


def _draw_title(status: SweepStatus) -> Text:
    note, driver = status.note, status.note.driver
    title = Text.assemble((note.experiment, "bold"), f" · {note.variant} · {note.title}")
    if driver is None:
        return title
    says = {
        "running": f"runs on {driver.host} (process {driver.pid})",
        "complete": f"complete {show_age(note.updated_at)}",
        "failed": f"ended {show_age(note.updated_at)}, tasks have no result",
        "stopped": f"stopped {show_age(note.updated_at)}; the same command goes on from there",
        "lost": f"the driver on {driver.host} (process {driver.pid}) no longer answers since {_show_moment(note.updated_at)} "
        f"({show_age(note.updated_at)}); the same command goes on from there",
    }
    return Text.assemble(title, "\n", (says.get(status.state, ""), _STATE_STYLES[status.state]))


def _show_moment(moment: str) -> str:
    return datetime.datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _draw_running(tasks: Sequence[TaskNote]) -> RenderableType:
    table = _make_table("running", "progress", "step", "rate", "for", "now")
    for task in tasks[:SHOWN_RUNNING]:
        table.add_row(
            Text(task.name),
            ProgressBar(total=1.0, completed=task.live.get("progress", 0.0), width=20),
            f"{task.live.get('step', 0):.0f}",
            f"{task.steps_per_s:.3g}/s" if task.steps_per_s is not None else "",
            show_duration(task.seconds) if task.seconds is not None else "",
            show_scalars(task.live),
        )
    more = len(tasks) - SHOWN_RUNNING
    return Group(table, Text(f"... and {more} more", style="dim")) if more > 0 else table


def _draw_failed(failed: Mapping[str, TaskNote]) -> Iterable[Text]:
    for key, task in list(failed.items())[:SHOWN_FAILED]:
        yield Text.assemble(("failed  ", _STYLES["failed"]), (task.name, "bold"), f": {task.message}")
        yield Text(f"        segshift logs {key[:KEY_DIGITS]}", style="dim")
    if len(failed) > SHOWN_FAILED:
        yield Text(
            f"... and {len(failed) - SHOWN_FAILED} more; `segshift status EXPERIMENT --json` lists all", style="dim"
        )


def _list_tasks(note: SweepNote) -> Text:
    lines = [
        Text.assemble((f"{task.status:<9}", _STYLES[task.status]), task.name, (f"  {key[:KEY_DIGITS]}", "dim"))
        for key, task in note.tasks.items()
    ]
    return Text("\n").join(lines)


def _draw_stages(note: SweepNote) -> Table:
    names = ("cached", "done", "running", "waiting", "failed", "skipped")
    stages: dict[str, dict[str, int]] = {}
    for task in note.tasks.values():
        stages.setdefault(task.stage, dict.fromkeys(names, 0))[task.status] += 1
    used = [name for name in names if any(counts[name] for counts in stages.values())]
    table = _make_table("stage", *used, right=used)
    for stage, counts in stages.items():
        table.add_row(stage, *(Text(str(counts[n] or "·"), style=_STYLES[n] if counts[n] else "dim") for n in used))
    return table


def draw_store(
    sweeps: Sequence[SweepStatus], finished: Sequence[FinishedStage], root: str | PurePath
) -> RenderableType:
    """Draw what a store holds: its sweeps, those that run first, and the finished tasks by stage."""
    parts: list[RenderableType] = []
    if sweeps:
        table = _make_table("sweep", "variant", "state", "written", "how far", title=f"Sweeps in {root}")
        for status in sorted(sweeps, key=lambda status: status.state != "running"):
            state = Text("no answer" if status.state == "lost" else status.state, style=_STATE_STYLES[status.state])
            note = status.note
            table.add_row(note.experiment, note.variant, state, show_age(note.updated_at), summarise(status))
        parts += [table, Text()]
    if finished:
        table = _make_table(
            "experiment", "profile", "stage", "tasks", "task time",
            right=("tasks", "task time"), title=f"Finished tasks in {root}",
        )  # fmt: skip
        for stage in finished:
            table.add_row(stage.experiment, stage.profile, stage.stage, str(stage.tasks), show_duration(stage.seconds))
        parts.append(table)
    else:
        parts.append(Text(f"The store {root} holds no finished task yet. `segshift sweep NAME` fills it."))
    return Group(*parts)


def _make_table(*columns: str, right: Sequence[str] = (), title: str | None = None) -> Table:
    table = Table(title=title, title_justify="left", box=None, padding=(0, 3, 0, 0))
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=column in ("running", "step"))
    return table
