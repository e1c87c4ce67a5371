"""`segshift report`: one page of an experiment, made from the store, however far it is."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from adapt.atomic import write_atomically
from adapt.errors import PrerequisiteError
from experiments.planning import Plan
from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
    recall_results,
)

NAME = "report.html"
EXAMPLES = """\
  segshift report gta2cityscapes                        writes report.html beside its leaderboard, and says where
  segshift report camvid_tta --html ~/tta.html          ... or where you like; also while its sweep runs, and after a failure
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    text = "make one page of an experiment: graph, timeline, curves, results, failures, environment"
    parser = add_command(commands, "report", text, EXAMPLES)
    add_experiment_options(parser, required=True)
    add_workspace_options(parser)
    parser.add_argument("--html", type=Path, metavar="FILE", help="where to write it (default: in the store)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Write the page and print where; the exit code is 1 where the experiment is incomplete.

    Raises:
        SpecError: the experiment is not understood.
        PrerequisiteError: the page cannot be written.
    """
    from orchestrator.report.page import to_html
    from orchestrator.store import open_store
    from orchestrator.sweep_note import name_note, read_note

    store = open_store(read_workspace(options).store)
    plan = recall_results(read_plan(options, read_workspace(options)), store)
    note = read_note(store, name_note(plan.graph.name, plan.graph.variant))
    text = to_html(options.experiment, plan, store, note, name_sweep(options, plan), options.command_line)
    file = options.html or store.root / "leaderboards" / f"{plan.graph.name}-{plan.graph.variant}" / NAME
    try:
        if options.html is None:
            file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file.absolute(), text)
    except OSError as error:
        raise PrerequisiteError(
            f"{file} cannot be written ({error.strerror}). Give --html a file in a folder that exists and can be written to."
        ) from error
    if options.html is None:
        store.share(file)
    print(file.absolute())
    done = sum(store.is_done(key) for key in plan.graph.tasks)
    if done < len(plan.graph.tasks):
        print(f"{done} of {len(plan.graph.tasks)} tasks are done; the page says what is missing.")
    return 0 if done == len(plan.graph.tasks) else 1


def name_sweep(options: argparse.Namespace, plan: Plan) -> str:
    """Return the command that makes what is missing of a plan, with the data and the store of this command line."""
    places = {"--data": options.data, "--store": options.store, "--address": options.address}
    given = [word for name, value in places.items() if value is not None for word in (name, str(value))]
    wanted = ["segshift", "sweep", options.experiment, *plan.graph.overrides, "--profile", plan.graph.profile]
    return shlex.join([*wanted, *given])
