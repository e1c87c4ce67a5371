"""`segshift mlflow`: show the store's runs in the browser, or make them anew from the records."""

from __future__ import annotations

import argparse
import functools
from typing import TYPE_CHECKING

from orchestrator.cli.options import add_command, add_workspace_options, read_workspace

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from orchestrator.store import Store

EXAMPLES = """\
  segshift mlflow                             serve ./segshift-store on http://127.0.0.1:5000 until Ctrl-C
  segshift mlflow --port 5050
  segshift mlflow rebuild                     make or mend the runs of all experiments of the store, from its records
  segshift mlflow rebuild camvid_tta --tracking-uri https://mlflow.example.com
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "mlflow", "serve the store's MLflow runs on localhost, or rebuild them", EXAMPLES)
    parser.add_argument("action", nargs="?", choices=("serve", "rebuild"), default="serve", help="default: serve")
    parser.add_argument("experiment", nargs="?", metavar="EXP", help="rebuild the runs of this experiment only")
    add_workspace_options(parser)
    parser.add_argument("--port", type=int, default=5000, help="to serve on (default: 5000)")
    parser.add_argument(
        "--tracking-uri",
        metavar="URI",
        help="rebuild there (default: MLFLOW_TRACKING_URI, tracking_uri of segshift.yaml, or the store's own)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Serve until stopped, or rebuild; the exit code of a rebuild is 1 where a record could not be sent."""
    from orchestrator.mlflow_server import HOST, serve
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    store = open_store(workspace.store)
    store.check_writable()
    if options.action == "rebuild":
        return rebuild_runs(options.experiment, options.tracking_uri or workspace.tracking_uri, store)
    print(f"MLflow shows {store.place} on http://{HOST}:{options.port} (Ctrl-C stops it)")
    return serve(store, options.port)


def rebuild_runs(experiment: str | None, tracking_uri: str | None, store: Store) -> int:
    """Make or mend the runs of a store, with a line of progress and one for each sweep."""
    from rich.console import Console
    from rich.progress import Progress

    from orchestrator.mlflow_rebuild import OTHERWISE, list_sweeps, rebuild
    from orchestrator.mlflow_server import artifact_root, default_uri, ready_tracking

    console = Console()
    uri = tracking_uri or default_uri(store)
    sweeps = list_sweeps(store, experiment)
    ready_tracking(uri, store, OTHERWISE)
    problems: list[str] = []
    for sweep in sweeps:
        title = f"{sweep.experiment} ({sweep.variant})"
        with Progress(console=console, transient=True) as progress:
            done = rebuild(
                store,
                sweep,
                uri,
                artifact_root(store),
                functools.partial(show, progress, progress.add_task(title, total=None)),
            )
        said = f"{done.changed} runs made or changed" if done.changed else "all there already"
        console.print(f"{title}: {done.records} records, {said}", highlight=False, markup=False, soft_wrap=True)
        problems += done.problems
    for problem in problems:
        console.print(f"  refused: {problem}", style="red", highlight=False, markup=False, soft_wrap=True)
    console.print(f"MLflow at {uri}", highlight=False, soft_wrap=True)
    return 1 if problems else 0


def show(progress: Progress, bar: TaskID, done: int, total: int) -> None:
    """Move a bar."""
    progress.update(bar, completed=done, total=total)
