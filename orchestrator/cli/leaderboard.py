"""`segshift leaderboard`: leaderboards made anew from the records; its actions on entries are in `leaderboard_entries`."""

from __future__ import annotations

import argparse
import copy
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from adapt.errors import PrerequisiteError, SpecError
from orchestrator.cli import leaderboard_entries
from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
    recall_results,
)

if TYPE_CHECKING:
    from rich.console import Console

    from experiments.planning import Plan
    from experiments.workspace import Workspace
    from orchestrator.leaderboard.board import Board
    from orchestrator.leaderboard.page.pictures import FindPicture
    from orchestrator.leaderboard.row import Picture
    from orchestrator.store import Store

ACTIONS = leaderboard_entries.ACTIONS
EXAMPLES = """\
  segshift leaderboard gta2cityscapes                       print it, and write page, Markdown, CSV, JSON and LaTeX
  segshift leaderboard gta2cityscapes --form markdown       only print one form, to put into a file or a pipe
  segshift leaderboard gta2cityscapes --output board        ... write the files into a folder of your own
  segshift leaderboard gta2cityscapes --mlflow https://mlflow.example.com    from a server that mirrors a store
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
    parser.add_argument(
        "--mlflow",
        nargs="?",
        const="",
        metavar="URI",
        help="read an MLflow server in place of a store (default: MLFLOW_TRACKING_URI, or tracking_uri of segshift.yaml)",
    )
    parser.set_defaults(run=run)
    leaderboard_entries.add_parsers(commands)


def run(options: argparse.Namespace) -> int:
    """Print leaderboards, or write them; the exit code is 1 where one is incomplete."""
    from rich.console import Console

    from orchestrator.leaderboard.publish import publish
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    console = Console()
    if options.mlflow is not None:
        with tempfile.TemporaryDirectory(prefix="segshift-mlflow-") as cache:
            return write_boards(options, read_mlflow(options, workspace, Path(cache)), console)
    store = open_store(workspace.store)
    plans = [recall_results(plan, store) for plan in read_plans(options, workspace)]
    if not store.list_done():
        print(
            f"segshift: the store {store.place} holds no result yet. `segshift sweep` makes some; --store names another.",
            file=sys.stderr,
        )
    if options.form == "terminal" and options.output is None:
        store.check_writable()
        for plan in plans:
            publish(plan, store, console)
        return 0 if all(store.is_done(task.key) for plan in plans for task in plan.graph.nodes) else 1
    return write_boards(options, read_store(plans, store), console)


@dataclass(frozen=True)
class Made:
    """A leaderboard, the folder that its files have among others, what finds its pictures, and whether it is complete."""

    board: Board
    folder: str
    find_picture: FindPicture
    complete: bool


def read_store(plans: Sequence[Plan], store: Store) -> list[Made]:
    """Make the leaderboards of plans from a store."""
    from orchestrator.leaderboard.publish import look_in, make_board
    from orchestrator.leaderboard.source import StoreSource

    source = StoreSource(store, {key for plan in plans for key in plan.graph.tasks})
    return [
        Made(
            make_board(plan, source),
            f"{plan.graph.name}-{plan.graph.variant}",
            look_in(source),
            all(store.is_done(task.key) for task in plan.graph.nodes),
        )
        for plan in plans
    ]


def read_mlflow(options: argparse.Namespace, workspace: Workspace, cache: Path) -> list[Made]:
    """Make leaderboards from an MLflow server alone; neither a store nor data are needed.

    Raises:
        PrerequisiteError: no server is named, it does not answer, or has no such sweep.
    """
    from orchestrator.leaderboard.board import build_board
    from orchestrator.leaderboard.publish import look_in
    from orchestrator.mlflow_source import MlflowSource, expand_from_mlflow

    uri = options.mlflow or workspace.tracking_uri
    if not uri:
        raise PrerequisiteError("no MLflow server is named: give --mlflow URI, or set MLFLOW_TRACKING_URI.")
    names, overrides = split_names(options)
    made = []
    for name in names:
        planned = expand_from_mlflow(uri, name, cache, options.profile, overrides, options.limit)
        source = MlflowSource(uri, planned.graph.name, set(planned.graph.tasks), cache)
        board = build_board(planned.graph, source, miniature=planned.is_miniature)
        complete = all(row.reason is None for table in board.tables for row in table.rows)
        made.append(Made(board, f"{planned.graph.name}-{planned.graph.variant}", look_in(source), complete))
    return made


def write_boards(options: argparse.Namespace, made: Sequence[Made], console: Console) -> int:
    """Print or write leaderboards as the command line wants them; the exit code is 1 where one is incomplete."""
    from orchestrator.leaderboard.files import FORMS, PAGE, write_file, write_forms, write_page
    from orchestrator.leaderboard.forms import print_board
    from orchestrator.leaderboard.publish import list_files

    boards = [each.board for each in made]
    by_key = {key: each.find_picture for each in made for key in list_keys(each.board)}

    def find_picture(picture: Picture, panel: str) -> Path | None:
        return by_key[picture.key](picture, panel)

    code = 0 if all(each.complete for each in made) else 1
    if options.output is None:
        if options.form == "html":
            print(write_page(boards, find_picture), end="")
        for board in boards:
            if options.form == "terminal":
                print_board(board, console)
            elif options.form != "html":
                print(FORMS[options.form][1](board), end="")
        return code
    files: list[Path] = []
    for each in made:
        folder = options.output if len(made) == 1 else options.output / each.folder
        if options.form == "terminal":
            print_board(each.board, console)
            files += write_forms(each.board, folder, find_picture)
        elif options.form != "html":
            name, write = FORMS[options.form]
            files.append(write_file(folder / name, write(each.board)))
    if options.form == "html" or len(boards) > 1:
        files.append(write_file(options.output / PAGE, write_page(boards, find_picture)))
    list_files(tuple(files), console)
    return code


def list_keys(board: Board) -> set[str]:
    """Return the tasks behind the rows of a leaderboard."""
    return {key for table in board.tables for row in table.rows for key in row.keys}


def split_names(options: argparse.Namespace) -> tuple[list[str], list[str]]:
    """Return the experiments and the overrides of the command line: words without `=` among the overrides are experiments.

    Raises:
        SpecError: an experiment is named twice.
    """
    names = [options.experiment, *(word for word in options.overrides if "=" not in word)]
    repeated = sorted({name for name in names if names.count(name) > 1})
    if repeated:
        raise SpecError(f"{', '.join(repeated)}: this experiment is named twice. Name it once.")
    return names, [word for word in options.overrides if "=" in word]


def read_plans(options: argparse.Namespace, workspace: Workspace) -> list[Plan]:
    """Return the plan of each experiment of the command line."""
    names, overrides = split_names(options)
    plans = []
    for name in names:
        own = copy.copy(options)
        own.experiment, own.overrides = name, overrides
        plans.append(read_plan(own, workspace))
    return plans
