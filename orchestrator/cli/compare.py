"""`segshift compare`: what rows or tasks of one protocol differ in, with paired intervals."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from adapt.atomic import write_atomically
from adapt.errors import PrerequisiteError, SpecError
from experiments.planning import Plan, plan_experiment
from experiments.workspace import Workspace
from orchestrator.cli.options import add_command, add_workspace_options, read_workspace, recall_results
from orchestrator.environment import count_gpus

EXAMPLES = """\
  segshift compare camvid_tta/'cgnet + source' camvid_tta/'cgnet + tent'     rows, named as the leaderboard shows them
  segshift compare camvid_robustness/cgnet camvid_robustness/U-Net --html differences.html
  segshift compare 5f3a 91c0 77de                                            tasks, by the first digits of their keys
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    text = "show what rows or tasks of one protocol differ in, with paired intervals"
    parser = add_command(commands, "compare", text, EXAMPLES)
    parser.add_argument(
        "baseline",
        metavar="A",
        help="EXPERIMENT/entry of a leaderboard, the first digits of a task's key, or an entry's file",
    )
    parser.add_argument("others", metavar="B", nargs="+", help="what is compared with it, named alike")
    add_workspace_options(parser)
    parser.add_argument("--profile", help="of the experiments (default: the first of each that can run here)")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page too, with charts and pictures")
    parser.add_argument("--json", action="store_true", help="print all of it as one JSON object")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the differences.

    Raises:
        SpecError: something is not found, or not under the same protocol.
        PrerequisiteError: a record is missing or cannot be used, or the page cannot be written.
    """
    from rich.console import Console
    from rich.text import Text

    from orchestrator.compare.comparison import SCHEMA_VERSION, compare_sides
    from orchestrator.compare.selector import Selector, require_complete
    from orchestrator.compare.side import match_sides
    from orchestrator.compare.terminal import print_comparison
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    store = open_store(workspace.store)
    selector = Selector(store, lambda name: recall_results(_plan(name, options, workspace), store))
    names = [options.baseline, *options.others]
    repeated = [name for name in options.others if names.count(name) > 1]
    if repeated:
        raise SpecError(f"'{repeated[0]}' is named twice. Name each row or task once.")
    matches, left_out = require_complete(match_sides([selector.select(name) for name in names]))
    comparisons = [compare_sides(sides) for sides in matches]
    if options.html is not None:
        from orchestrator.compare.page import to_html

        _write(options.html, to_html(comparisons, matches, options.command_line))
    if options.json:
        found = {
            "schema_version": SCHEMA_VERSION,
            "comparisons": [one.to_json() for one in comparisons],
            "notes": left_out,
        }
        print(json.dumps(found, indent=1, allow_nan=False))
        return 0
    console = Console()
    for comparison in comparisons:
        print_comparison(comparison, console)
    for note in left_out:
        console.print(Text(note, style="yellow"))
    if options.html is not None:
        console.print(f"  {options.html.absolute()}", highlight=False, soft_wrap=True)
    return 0


def _plan(name: str, options: argparse.Namespace, workspace: Workspace) -> Plan:
    return plan_experiment(name, workspace, options.profile, (), count_gpus(), options.data is not None)


def _write(file: Path, text: str) -> None:
    try:
        write_atomically(file.absolute(), text)
    except OSError as error:
        raise PrerequisiteError(
            f"{file} cannot be written ({error.strerror}). Give --html a file in a folder that exists."
        ) from error
