"""`segshift data`: prepare and check data sets, or draw the miniature."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from adapt.data.catalog import DATASET_TYPES, TYPE_NAMES
from orchestrator.cli.options import add_command

EXAMPLES = """\
  segshift data prepare gta --root /data/gta                    convert labels, count classes; goes on where it stopped
  segshift data prepare cityscapes --root /data/cityscapes
  segshift data check cityscapes --root /data/cityscapes        name every missing pair, wrong size and unknown id
  segshift data miniature --root /tmp/miniature                 draw the miniature, to look at it
"""
SHOWN_PROBLEMS = 50


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "data", "prepare and check data sets", EXAMPLES)
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    for name, text, function in (
        ("prepare", "convert the labels of a data set to trainIds and write its class statistics", run_prepare),
        ("check", "read every file of a data set and name what is wrong", run_check),
        ("miniature", "draw the procedural miniature", run_miniature),
    ):
        action = actions.add_parser(name, help=text, description=text)
        if name != "miniature":
            action.add_argument(
                "type", choices=sorted(TYPE_NAMES), metavar="TYPE", help=", ".join(sorted(DATASET_TYPES))
            )
        action.add_argument("--root", type=Path, required=True, metavar="DIR", help="the data set's own folder")
        action.add_argument(
            "--workers", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: all cores)"
        )
        action.set_defaults(run=function)


def run_prepare(options: argparse.Namespace) -> int:
    """Prepare a data set; the exit code is 1 where files could not be dealt with."""
    from adapt.data.prepare import prepare

    with _progress(f"preparing {options.type}") as on_progress:
        report = prepare(options.type, options.root, options.workers, on_progress)
    print(
        f"{report.converted} labels converted, {report.up_to_date} were up to date, {report.counted} counted for class statistics."
    )
    return _print_problems(report.problems)


def run_check(options: argparse.Namespace) -> int:
    """Check a data set; the exit code is 1 where something is wrong."""
    from adapt.data.check import check

    with _progress(f"checking {options.type}") as on_progress:
        problems = check(options.type, options.root, options.workers, on_progress)
    if not problems:
        print(f"{options.root}: everything is in order.")
    return _print_problems(problems)


def run_miniature(options: argparse.Namespace) -> int:
    """Draw the miniature with its default settings, and prepare it."""
    from adapt.data.miniature.settings import MiniatureSettings
    from orchestrator.miniature import make_miniature

    with _progress("drawing") as on_progress:
        make_miniature(
            options.root, MiniatureSettings(), options.workers, lambda _, done, total: on_progress(done, total)
        )
    print(f"The miniature is in {options.root}.")
    return 0


def _print_problems(problems: tuple[object, ...]) -> int:
    for problem in problems[:SHOWN_PROBLEMS]:
        print(f"  {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        print(f"  ... and {len(problems) - SHOWN_PROBLEMS} more.")
    return 1 if problems else 0


@contextmanager
def _progress(title: str) -> Iterator[Callable[[int, int], None]]:
    from rich.progress import Progress

    with Progress(transient=True) as progress:
        bar = progress.add_task(title, total=None)
        yield lambda done, total: progress.update(bar, completed=done, total=total)
