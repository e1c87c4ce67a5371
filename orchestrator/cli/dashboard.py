"""`segshift dashboard`: where the Ray dashboard of the running sweep is, and the token that opens it."""

from __future__ import annotations

import argparse
import json
import urllib.error
import urllib.request
from pathlib import Path

from adapt.errors import PrerequisiteError
from orchestrator.cli.options import add_command, add_workspace_options, read_workspace
from orchestrator.cli.sweep import SESSION_FILE
from orchestrator.store import open_store

EXAMPLES = """\
  segshift dashboard        print the address and the token of the running sweep's dashboard
"""
TOKEN_FILE = Path("~/.ray/auth_token")
TIMEOUT_S = 3.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "dashboard", "find the Ray dashboard of the running sweep", EXAMPLES)
    add_workspace_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the dashboard's address and token.

    Raises:
        PrerequisiteError: no sweep on this store shows a dashboard now.
    """
    note = open_store(read_workspace(options).store).read_note(SESSION_FILE)
    url = json.loads(note).get("dashboard") if note is not None else None
    try:
        if url is None:
            raise OSError("no sweep has started one")
        with urllib.request.urlopen(url, timeout=TIMEOUT_S):
            pass
    except (urllib.error.URLError, OSError) as error:
        raise PrerequisiteError(
            "no Ray dashboard answers: it lives as long as a sweep runs. Start one (`make sweep EXP=gta2cityscapes`), "
            "then run this in another terminal."
        ) from error
    token = TOKEN_FILE.expanduser()
    print(f"Ray dashboard: {url}")
    if token.is_file():
        print(f"It asks once for this token: {token.read_text().strip()}")
    return 0
