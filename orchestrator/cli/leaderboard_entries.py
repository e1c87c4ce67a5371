"""`segshift leaderboard export | add | verify | build | schema`: rows of leaderboards as files of their own."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator.cli.options import (
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
    recall_results,
)

ACTIONS = ("export", "add", "verify", "build", "schema")

_TEXTS = {
    "export": "Write this store's rows of an experiment as entries, one file a row, marked as reproduced.",
    "add": "Check rows from outside, mark them as self-reported, and put them among the entries. Where one is wrong, none "
    "is written.",
    "verify": "Recompute every aggregate of entries, and look for duplicates, equal rows, scores near chance and odd jumps. "
    "The exit code is 1 where something must be mended.",
    "build": "Make the page and all other forms of a leaderboard from entries: a table a protocol, published scores beside.",
    "schema": "Print the JSON schema of an entry, or of leaderboard.json.",
}


def add_parsers(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the actions as commands of two words; the list of commands leaves them to the help of `leaderboard`."""

    def add(name: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        parser = commands.add_parser(f"leaderboard {name}", description=_TEXTS[name])
        parser.set_defaults(run=function)
        return parser

    export = add("export", run_export)
    add_experiment_options(export, required=True)
    add_workspace_options(export)
    outside = add("add", run_add)
    outside.add_argument("files", nargs="+", type=Path, metavar="FILE", help="a row from outside, as JSON")
    for parser in (export, outside):
        parser.add_argument("--entries", type=Path, required=True, metavar="DIR", help="folder of entries")
    verify = add("verify", run_verify)
    verify.add_argument("places", nargs="+", type=Path, metavar="DIR|FILE", help="entries, or folders of them")
    verify.add_argument("--strict", action="store_true", help="let warnings fail too")
    build = add("build", run_build)
    build.add_argument("places", nargs="+", type=Path, metavar="DIR|FILE", help="entries, or folders of them")
    build.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the page and the other forms"
    )
    build.add_argument("--title", default="Rows of a folder of entries", help="heading of the page")
    build.add_argument("--reference", metavar="ENTRY", help="the reproduced row that CD, rCD and mCE are relative to")
    build.add_argument(
        "--gap",
        nargs=2,
        metavar=("SOURCE", "ORACLE"),
        help="the stages that trained the two reproduced rows between which the gap is closed",
    )
    schema = add("schema", run_schema)
    schema.add_argument("what", choices=("entry", "leaderboard"))


def run_export(options: argparse.Namespace) -> int:
    """Write rows as entries; the exit code is 1 where there is none yet."""
    from rich.console import Console

    from orchestrator.leaderboard.entries import export_entries
    from orchestrator.leaderboard.publish import list_files, make_board
    from orchestrator.leaderboard.source import StoreSource
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    store = open_store(workspace.store)
    plan = recall_results(read_plan(options, workspace), store)
    board = make_board(plan, StoreSource(store, set(plan.graph.tasks)))
    files = export_entries(board, options.entries)
    rows = sum(len(table.rows) for table in board.tables)
    console = Console()
    list_files(files, console)
    without = f"; {rows - len(files)} rows have no result yet" if len(files) < rows else ""
    console.print(f"{len(files)} entries{without}", highlight=False)
    return 0 if files else 1


def run_add(options: argparse.Namespace) -> int:
    """Put entries from outside into a folder."""
    from rich.console import Console

    from orchestrator.leaderboard.entries import add_entries
    from orchestrator.leaderboard.publish import list_files

    files = add_entries(options.files, options.entries)
    console = Console()
    list_files(files, console)
    console.print("self-reported; `segshift leaderboard verify` compares them with the others", highlight=False)
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Print what was found in entries."""
    from rich.console import Console
    from rich.text import Text

    from orchestrator.leaderboard.verify import verify_entries

    report = verify_entries(options.places)
    console = Console()
    for kind, style, found in (("error", "red", report.errors), ("warning", "yellow", report.warnings)):
        for text in found:
            console.print(Text.assemble((f"{kind}: ", style), text), soft_wrap=True)
    counts = f"{report.entries} entries of {report.tables} protocols: {len(report.errors)} errors, {len(report.warnings)} warnings"
    console.print(counts, highlight=False)
    return 1 if report.errors or (options.strict and report.warnings) else 0


def run_build(options: argparse.Namespace) -> int:
    """Write the page and all other forms from entries."""
    from rich.console import Console

    from experiments.schema import GapSettings
    from orchestrator.leaderboard.entries import build_board_of, read_entries
    from orchestrator.leaderboard.files import write_forms
    from orchestrator.leaderboard.publish import list_files

    gap = None if options.gap is None else GapSettings(source=options.gap[0], oracle=options.gap[1])
    found = read_entries(options.places)
    board = build_board_of(found, "leaderboard", options.title, options.reference, gap)
    list_files(write_forms(board, options.output), Console())
    return 0


def run_schema(options: argparse.Namespace) -> int:
    """Print a schema."""
    from orchestrator.leaderboard.schema_file import write_schema

    sys.stdout.write(write_schema(options.what))
    return 0
