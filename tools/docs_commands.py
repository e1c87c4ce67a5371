"""The reference of the command line: the help of every command, as the terminal shows it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator

from orchestrator.cli.main import build_parser

HEAD = """\
# Commands

The help of every command, as `segshift COMMAND --help` prints it. `make` lists thin shortcuts to the commonest of them.
"""
COLUMNS = "110"  # wide enough for examples, narrow enough for the page; ours


def write_page() -> str:
    """Return the page; the width of the help does not depend on the terminal of whoever builds it."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = COLUMNS
    try:
        sections = [
            f"## {name}\n\n```text\n{parser.format_help().rstrip()}\n```\n"
            for name, parser in walk_parsers(build_parser())
        ]
    finally:
        os.environ.pop("COLUMNS") if before is None else os.environ.update(COLUMNS=before)
    return "\n".join([HEAD, *sections])


def walk_parsers(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Go through a parser and those of its commands and of their actions: `segshift`, `segshift data`, `segshift data check`."""
    yield parser.prog, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in dict.fromkeys(action.choices.values()):
                yield from walk_parsers(child)
