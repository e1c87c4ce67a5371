"""`segshift status`: what a store holds, or how far an experiment is."""

from __future__ import annotations

import argparse

from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
)
from orchestrator.store import Store, open_store

EXAMPLES = """\
  segshift status                       finished tasks of the store by experiment and stage
  segshift status gta2cityscapes        done, running, failed and waiting tasks; why a task failed
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "status", "show what is done, running and failed", EXAMPLES)
    add_experiment_options(parser, required=False)
    add_workspace_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the status; the exit code is 1 where a task failed."""
    workspace = read_workspace(options)
    store = open_store(workspace.store)
    return _show_store(store) if options.experiment is None else _show_experiment(options, store)


def _show_store(store: Store) -> int:
    from rich.console import Console
    from rich.table import Table

    from orchestrator.progress import show_duration

    console = Console()
    groups: dict[tuple[str, str, str], list[float]] = {}
    for key in sorted(store.list_done()):
        record = store.read(key)
        groups.setdefault((record.experiment, record.profile, record.stage), []).append(record.seconds)
    if not groups:
        console.print(
            f"The store {store.place} holds no finished task yet. `segshift sweep NAME` fills it.", soft_wrap=True
        )
        return 0
    table = Table(title=f"Finished tasks in {store.place}", title_justify="left", box=None, padding=(0, 3, 0, 0))
    for title in ("experiment", "profile", "stage", "tasks", "task time"):
        table.add_column(title, justify="right" if title in ("tasks", "task time") else "left")
    for (experiment, profile, stage), seconds in groups.items():
        table.add_row(experiment, profile, stage, str(len(seconds)), show_duration(sum(seconds)))
    console.print(table)
    return 0


def _show_experiment(options: argparse.Namespace, store: Store) -> int:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    plan = read_plan(options, read_workspace(options))
    failures = 0
    for task in {node.key: node for node in plan.graph.nodes}.values():
        failure = None if store.is_done(task.key) else store.read_failure(task.key)
        if store.is_done(task.key):
            mark: tuple[str, str] = ("done     ", "green")
        elif store.is_held(task.key):
            mark, failure = ("running  ", "cyan"), None
        else:
            mark = ("failed   ", "bold red") if failure else ("waiting  ", "yellow")
        console.print(Text.assemble(mark, task.name, (f"  {task.key[:12]}", "dim")))
        if failure is not None and failure.failure is not None:
            failures += 1
            console.print(Text(f"         {failure.failure.message}"))
    return 1 if failures else 0
