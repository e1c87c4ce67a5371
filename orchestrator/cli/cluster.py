"""`segshift cluster`: the ready files that start a cluster."""

from __future__ import annotations

import argparse
import sys

from orchestrator.cli.options import add_command
from orchestrator.cluster import READY_FILES, read_ready_file

EXAMPLES = """\
  segshift cluster                          the files there are
  segshift cluster aws > cluster.yaml       write one; then fill in the lines marked EDIT
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "cluster", "list or print the ready files that start a Ray cluster", EXAMPLES)
    parser.add_argument("file", nargs="?", choices=sorted(READY_FILES), metavar="FILE", help="which one to print")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print a file, or what files there are."""
    if options.file is not None:
        sys.stdout.write(read_ready_file(options.file))
        return 0
    width = max(map(len, READY_FILES)) + 2
    for name, ready in READY_FILES.items():
        print(f"{name:<{width}}{ready.purpose}")
    print("\n`segshift cluster NAME > FILE` writes one; fill in its lines marked EDIT (docs/clusters.md).")
    return 0
