"""`segshift mlflow`: show the store's runs in the browser."""

from __future__ import annotations

import argparse

from orchestrator.cli.options import add_command, add_workspace_options, read_workspace

EXAMPLES = """\
  segshift mlflow                  serve ./segshift-store on http://127.0.0.1:5000 until Ctrl-C
  segshift mlflow --port 5050
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "mlflow", "serve the store's MLflow runs on localhost", EXAMPLES)
    add_workspace_options(parser)
    parser.add_argument("--port", type=int, default=5000)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until stopped."""
    from orchestrator.mlflow_server import HOST, serve
    from orchestrator.store import open_store

    store = open_store(read_workspace(options).store)
    store.check_writable()
    print(f"MLflow shows {store.place} on http://{HOST}:{options.port} (Ctrl-C stops it)")
    return serve(store, options.port)
