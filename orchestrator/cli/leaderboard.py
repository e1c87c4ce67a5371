"""`segshift leaderboard`: an experiment's leaderboard, made anew from the records."""

from __future__ import annotations

import argparse

from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
)

EXAMPLES = """\
  segshift leaderboard gta2cityscapes                     print it, and write Markdown, CSV and JSON
  segshift leaderboard gta2cityscapes --form markdown     only print one form, to put into a file or a pipe
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "leaderboard", "make an experiment's leaderboard from its records", EXAMPLES)
    add_experiment_options(parser, required=True)
    add_workspace_options(parser)
    parser.add_argument("--form", choices=("terminal", "markdown", "csv", "json"), default="terminal")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the leaderboard; the exit code is 1 where it is incomplete."""
    from rich.console import Console

    from orchestrator.leaderboard.forms import to_csv, to_json, to_markdown
    from orchestrator.leaderboard.publish import make_board, publish
    from orchestrator.leaderboard.source import StoreSource
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    store = open_store(workspace.store)
    plan = read_plan(options, workspace)
    if options.form == "terminal":
        store.check_writable()
        publish(plan, store, Console())
    else:
        write = {"markdown": to_markdown, "csv": to_csv, "json": to_json}[options.form]
        print(write(make_board(plan, StoreSource(store, set(plan.graph.tasks)))), end="")
    return 0 if all(store.is_done(task.key) for task in plan.graph.nodes) else 1
