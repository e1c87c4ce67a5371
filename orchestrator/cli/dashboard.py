"""`segshift dashboard`: where the Ray dashboard of the running sweep is, and files for Prometheus and Grafana."""

from __future__ import annotations

import argparse
import importlib.resources
import json
import shutil
import urllib.error
import urllib.request
from pathlib import Path

from adapt.errors import PrerequisiteError, SpecError
from orchestrator.cli.options import add_command, add_workspace_options, read_workspace
from orchestrator.cli.sweep import SESSION_FILE
from orchestrator.store import open_store

EXAMPLES = """\
  segshift dashboard                          print the address and the token of the running sweep's dashboard
  segshift dashboard --files monitoring       write the files of Prometheus and Grafana to ./monitoring
  docker compose -f monitoring/docker-compose.yml up -d      ... and start both, on localhost
"""
TOKEN_FILE = Path("~/.ray/auth_token")
TIMEOUT_S = 3.0


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands, "dashboard", "find the Ray dashboard of the running sweep; write files for Grafana", EXAMPLES
    )
    add_workspace_options(parser)
    parser.add_argument("--files", type=Path, metavar="DIR", help="write the files of Prometheus and Grafana there")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the dashboard's address and token, or write files.

    Raises:
        PrerequisiteError: no sweep on this store shows a dashboard now.
        SpecError: the folder for the files is there and not empty.
    """
    if options.files is not None:
        return write_files(options.files)
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


def write_files(folder: Path) -> int:
    """Write the files of Prometheus and Grafana to a folder that is empty or not there yet, and say how to start both.

    Raises:
        SpecError: the folder holds something, or cannot be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise SpecError(f"--files {folder}: there is something already. Name a folder that is empty or not there yet.")
    source = importlib.resources.files("orchestrator.monitoring")
    with importlib.resources.as_file(source) as files:
        try:
            shutil.copytree(files, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        except OSError as error:
            raise SpecError(f"--files {folder}: it cannot be written ({error}). Name another folder.") from error
    print(f"Prometheus and Grafana: {folder}")
    print(f"  docker compose -f {folder / 'docker-compose.yml'} up -d      then http://127.0.0.1:3000/d/segshift")
    print("Without Docker: see docs/monitoring.md.")
    return 0
