"""`segshift leaderboard`: leaderboards made anew from the records; its actions on entries are in `leaderboard_entries`."""

from __future__ import annotations

import argparse
import copy
from pathlib import Path
from typing import TYPE_CHECKING

from adapt.errors import SpecError
from orchestrator.cli import leaderboard_entries
from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
)

if TYPE_CHECKING:
    from experiments.planning import Plan
    from experiments.workspace import Workspace

ACTIONS = leaderboard_entries.ACTIONS
EXAMPLES = """\
  segshift leaderboard gta2cityscapes                       print it, and write page, Markdown, CSV, JSON and LaTeX
  segshift leaderboard gta2cityscapes --form markdown       only print one form, to put into a file or a pipe
  segshift leaderboard gta2cityscapes --output board        ... write the files into a folder of your own
  segshift leaderboard camvid_tta camvid_robustness --output board    several, with one page for all

rows as files (segshift leaderboard ACTION --help):
  segshift leaderboard export camvid_tta --entries entries  write this store's rows as entries
  segshift leaderboard add my_model.json --entries entries  check a row from outside and put it there, self-reported
  segshift leaderboard verify entries                       recompute every aggregate, look for what cannot be true
  segshift leaderboard build entries --output board         page and files from entries
  segshift leaderboard schema entry                         the JSON schema of an entry, or of leaderboard.json
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command and its actions."""
    parser = add_command(commands, "leaderboard", "make an experiment's leaderboard from its records", EXAMPLES)
    add_experiment_options(parser, required=True)
    add_workspace_options(parser)
    forms = ("terminal", "html", "markdown", "csv", "json", "latex")
    parser.add_argument("--form", choices=forms, default="terminal", help="print this form only")
    parser.add_argument("--output", type=Path, metavar="DIR", help="write the files there, not into the store")
    parser.set_defaults(run=run)
    leaderboard_entries.add_parsers(commands)


def run(options: argparse.Namespace) -> int:
    """Print leaderboards, or write them; the exit code is 1 where one is incomplete."""
    from rich.console import Console

    from orchestrator.leaderboard.files import FORMS, PAGE, write_file, write_forms, write_page
    from orchestrator.leaderboard.forms import print_board
    from orchestrator.leaderboard.publish import list_files, look_in, make_board, publish
    from orchestrator.leaderboard.source import StoreSource
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    store = open_store(workspace.store)
    plans = read_plans(options, workspace)
    complete = all(store.is_done(task.key) for plan in plans for task in plan.graph.nodes)
    console = Console()
    if options.form == "terminal" and options.output is None:
        store.check_writable()
        for plan in plans:
            publish(plan, store, console)
        return 0 if complete else 1
    source = StoreSource(store, {key for plan in plans for key in plan.graph.tasks})
    boards = [make_board(plan, source) for plan in plans]
    if options.output is None:
        text = write_page(boards, look_in(source)) if options.form == "html" else None
        print("".join(FORMS[options.form][1](board) for board in boards) if text is None else text, end="")
        return 0 if complete else 1
    files: list[Path] = []
    for plan, board in zip(plans, boards, strict=True):
        folder = options.output if len(boards) == 1 else options.output / f"{plan.graph.name}-{plan.graph.variant}"
        if options.form == "terminal":
            print_board(board, console)
            files += write_forms(board, folder, look_in(source))
        elif options.form != "html":
            name, write = FORMS[options.form]
            files.append(write_file(folder / name, write(board)))
    if options.form == "html" or len(boards) > 1:
        files.append(write_file(options.output / PAGE, write_page(boards, look_in(source))))
    list_files(tuple(files), console)
    return 0 if complete else 1


def read_plans(options: argparse.Namespace, workspace: Workspace) -> list[Plan]:
    """Return the plan of each experiment of the command line: words without `=` among the overrides are more of them.

    Raises:
        SpecError: an experiment is named twice.
    """
    names = [options.experiment, *(word for word in options.overrides if "=" not in word)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SpecError(f"{', '.join(repeated)}: this experiment is named twice. Name it once.")
    plans = []
    for name in names:
        own = copy.copy(options)
        own.experiment, own.overrides = name, [word for word in options.overrides if "=" in word]
        plans.append(read_plan(own, workspace))
    return plans
