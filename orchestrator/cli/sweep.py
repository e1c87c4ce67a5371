"""`segshift sweep`: run an experiment to its leaderboard."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
from typing import TYPE_CHECKING

from adapt.errors import PrerequisiteError
from experiments.planning import Plan
from experiments.workspace import Workspace
from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
)
from orchestrator.cli.plan import print_choice
from orchestrator.sweep_state import Status, SweepState, survey

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.store import Store
    from orchestrator.tracker import MirrorTarget

EXAMPLES = """\
  segshift sweep gta2cityscapes                            a miniature where there is no data, the real thing where there is
  segshift sweep gta2cityscapes matrix.seed=[0,1,2,3,4]    five seeds; those already done are not done again
  segshift sweep camvid_robustness --data /data            real images
  segshift sweep camvid_robustness --data /data --limit 5  a try on the first five of them
  segshift sweep gta2cityscapes --profile full --address HOST:6379    on a running Ray cluster
"""
SESSION_FILE = "session.json"
GRACE_S = 30.0  # ours: cloud providers announce that they take a machine back 30 s before, at least
SHOWN_NOTES = 5  # ours: more would push the leaderboard off the screen


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(
        commands, "sweep", "run an experiment to its leaderboard; go on where an earlier run stopped", EXAMPLES
    )
    add_experiment_options(parser, required=True)
    add_workspace_options(parser)
    parser.add_argument("--cpus", type=int, metavar="N", help="cores that a local Ray may use (default: all)")
    parser.add_argument("--no-mlflow", action="store_true", help="do not mirror the runs to MLflow")
    parser.add_argument(
        "--no-servers", action="store_true", help="start neither the Ray dashboard nor an MLflow server"
    )
    parser.add_argument(
        "--elastic", action="store_true", help="the cluster starts machines for tasks that none of those there can hold"
    )
    parser.add_argument(
        "--grace", type=float, default=GRACE_S, metavar="SECONDS",
        help="on Ctrl-C or SIGTERM tasks may take so long to keep what they go on from (default: %(default)g)",
    )  # fmt: skip
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the sweep; the exit code is 1 where a task failed."""
    from rich.console import Console

    from orchestrator.leaderboard.publish import publish
    from orchestrator.plan_note import write_plan
    from orchestrator.sampling import check_samplers
    from orchestrator.store import open_store

    console = Console()
    workspace = read_workspace(options)
    store = open_store(workspace.store)
    plan = read_plan(options, workspace)
    announce(plan, console)
    plan.require()
    store.check_writable()
    write_plan(plan, store)
    state = survey(plan.graph, store)
    mirror = None if options.no_mlflow else choose_mirror(plan, workspace, store)
    if state.count(Status.WAITING):
        check_samplers(plan.graph)
        run_waiting(plan, state, store, mirror, workspace, options, console)
    else:
        console.print(f"All {len(state.status)} tasks are in the store already: nothing to run.")
        if mirror is not None:
            mirror_finished(state, store, mirror)
    publish(plan, store, console)
    return report(state, store, console)


def announce(plan: Plan, console: Console) -> None:
    """Say what is run, and say it loudly where it is the miniature."""
    from rich.panel import Panel

    print_choice(plan, console)
    graph = plan.graph
    if plan.facts.miniature_root is not None:
        text = (
            f"[bold]{graph.name}[/bold] runs its [bold]{graph.profile.upper()}[/bold] profile on procedural MINIATURE data.\n"
            "It shows the whole path in minutes. Its numbers say nothing about real scenes."
        )
        console.print(Panel(text, title=f"{graph.profile.upper()} PROFILE", border_style="yellow", expand=False))
    else:
        console.print(f"[bold]{graph.name}[/bold] · {graph.profile} profile · {graph.title}")


def choose_mirror(plan: Plan, workspace: Workspace, store: Store) -> MirrorTarget:
    """Return the MLflow that this sweep is mirrored to: the one configured, or the store's own."""
    from orchestrator.mlflow_server import artifact_root, default_uri
    from orchestrator.tracker import MirrorTarget

    uri = workspace.tracking_uri or default_uri(store)
    return MirrorTarget(uri, plan.graph.name, plan.graph.variant, artifact_root(store))


def mirror_finished(state: SweepState, store: Store, mirror: MirrorTarget) -> None:
    """Send MLflow what it does not have yet of a finished sweep; an outage is no reason to fail here."""
    from orchestrator.driver import mirror_cached
    from orchestrator.mlflow_server import ready_tracking

    if mirror.has_all(list(state.status), store):
        return
    try:
        ready_tracking(mirror.tracking_uri, store)
    except PrerequisiteError as error:
        state.mirror_problem = str(error).partition(". ")[0]
        return
    mirror_cached(state, store, mirror)


def run_waiting(
    plan: Plan,
    state: SweepState,
    store: Store,
    mirror: MirrorTarget | None,
    workspace: Workspace,
    options: argparse.Namespace,
    console: Console,
) -> None:
    """Run what is not cached: the miniature first, then the graph on Ray, with the servers that show it."""
    from orchestrator.capacity import check_fits, check_shared_work
    from orchestrator.cluster_address import check_head, resolve
    from orchestrator.cluster_session import TOKEN_HINT, open_cluster
    from orchestrator.costs import add_costs, read_costs
    from orchestrator.driver import run_sweep
    from orchestrator.metrics import SweepMetrics
    from orchestrator.mlflow_server import background_server, ready_tracking
    from orchestrator.notify import Notifier
    from orchestrator.profiles import add_profiles
    from orchestrator.progress import ProgressView
    from orchestrator.sweep_note import NoteWriter

    cpus = options.cpus or os.cpu_count() or 1
    if workspace.address is not None:
        check_head(resolve(workspace.address))
    if mirror is not None:
        ready_tracking(mirror.tracking_uri, store)
    draw_miniature(plan, cpus, console)
    with contextlib.ExitStack() as stack:
        session = stack.enter_context(
            open_cluster(workspace.address, dashboard=not options.no_servers, cpus=options.cpus)
        )
        if not options.elastic:
            check_fits(plan.graph, session.machines)
        check_shared_work(plan.graph, store.place, options.elastic or len(session.machines) > 1)
        mlflow_url = None
        if mirror is not None:
            is_own = workspace.tracking_uri is None and not options.no_servers
            mlflow_url = stack.enter_context(background_server(store)) if is_own else mirror.tracking_uri
        if session.dashboard_url:
            console.print(f"Ray dashboard  {session.dashboard_url}  ({TOKEN_HINT})", soft_wrap=True)
        console.print(f"MLflow         {mlflow_url or 'off'}", highlight=False, soft_wrap=True)
        store.write_note(SESSION_FILE, json.dumps({"dashboard": session.dashboard_url, "mlflow": mlflow_url}))
        costs = read_costs(store)

        def warn(problem: str) -> None:
            console.print(f"Warning: {problem}.", style="yellow", markup=False, soft_wrap=True)

        observers = (
            stack.enter_context(Notifier(workspace.notify, state, str(store.place), warn)),
            stack.enter_context(
                NoteWriter(store, state, costs, session.cpus, session.dashboard_url, mlflow_url, session.resources)
            ),
            SweepMetrics(costs, session.cpus),
            stack.enter_context(ProgressView(console, costs, session.cpus)),
        )

        def on_change(now: SweepState) -> None:
            for observer in observers:
                observer.update(now)

        try:
            run_sweep(plan, state, store, mirror, on_change, options.grace, options.elastic)
        finally:
            add_costs(store, state)
            add_profiles(store, state)


def draw_miniature(plan: Plan, workers: int, console: Console) -> None:
    """Write the miniature of a plan that needs one, with a progress bar."""
    from rich.progress import Progress

    from orchestrator.miniature import is_ready, make_miniature

    root, settings = plan.facts.miniature_root, plan.loaded.settings.miniature
    if root is None or settings is None or is_ready(root):
        return
    with Progress(console=console, transient=True) as progress:
        bars: dict[str, object] = {}

        def on_progress(title: str, done: int, total: int) -> None:
            if title not in bars:
                bars[title] = progress.add_task(title, total=total)
            progress.update(bars[title], completed=done, total=total)  # type: ignore[arg-type]

        make_miniature(root, settings, workers, on_progress)
    console.print(f"Miniature data  {root}", highlight=False)


def report(state: SweepState, store: Store, console: Console) -> int:
    """Print how the sweep ended; return the exit code."""
    from rich.text import Text

    if state.mirror_problem:
        console.print(Text(f"MLflow: {state.mirror_problem}. The same command sends what is missing.", style="yellow"))
    done, cached = state.count(Status.DONE), state.count(Status.CACHED)
    failed, skipped = state.count(Status.FAILED), state.count(Status.SKIPPED)
    text = f"{done} tasks executed, {cached} cached"
    if failed or skipped:
        console.print(Text(f"{text}, {failed} failed, {skipped} skipped:", style="bold red"))
        for key, message in state.messages.items():
            task = state.graph.tasks[key]
            where = "" if state.status[key] is Status.SKIPPED else f"\n    traceback: {store.name_failure(key)}"
            console.print(Text(f"  {task.name}: {message}{where}"))
        return 1
    console.print(f"{text}.")
    print_notes(state, store, console)
    return 0


def print_notes(state: SweepState, store: Store, console: Console) -> None:
    """Print what readers of the new numbers should know, of the first few tasks."""
    done = [key for key, status in state.status.items() if status is Status.DONE]
    notes = [f"  {state.graph.tasks[key].name}: {note}" for key in done for note in store.read(key).notes]
    for line in notes[:SHOWN_NOTES]:
        console.print(line, markup=False, highlight=False)
    if len(notes) > SHOWN_NOTES:
        console.print(f"  ... and {len(notes) - SHOWN_NOTES} more notes, in the records")
