"""Options that several commands share, and the workspace and plan that they mean."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from experiments.planning import Plan, plan_experiment
from experiments.workspace import Workspace, load_workspace, parse_place
from orchestrator.environment import count_gpus

if TYPE_CHECKING:
    from orchestrator.store import Store


def add_command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str, examples: str
) -> argparse.ArgumentParser:
    """Add a command whose help ends with examples."""
    return commands.add_parser(
        name,
        help=text,
        description=text,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def add_workspace_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where data, store and cluster are."""
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder that holds cityscapes/, gta/, camvid/ ...")
    parser.add_argument(
        "--store",
        type=parse_place,
        metavar="DIR",
        help="folder or s3://BUCKET/PREFIX of results (default: ./segshift-store)",
    )
    parser.add_argument(
        "--address", metavar="HOST:PORT", help="head of a running Ray cluster, or auto (default: Ray here)"
    )


def add_experiment_options(parser: argparse.ArgumentParser, required: bool) -> None:
    """Add the experiment, its profile and overrides."""
    parser.add_argument(
        "experiment", nargs=None if required else "?", help="name of an experiment, or path to a YAML file"
    )
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="overrides, such as matrix.seed=[0,1]")
    parser.add_argument("--profile", help="mini, full ... (default: the first of the file that can run here)")
    add_limit_option(parser)


def add_limit_option(parser: argparse.ArgumentParser) -> None:
    """Add the number of frames that are scored."""
    parser.add_argument(
        "--limit", type=int, metavar="N", help="evaluate and benchmark on the first N frames of each data set"
    )


def read_workspace(options: argparse.Namespace) -> Workspace:
    """Return the workspace of this folder, environment and command line."""
    return load_workspace(data=options.data, store=options.store, address=options.address)


def read_plan(options: argparse.Namespace, workspace: Workspace) -> Plan:
    """Return the plan that the command line asks for."""
    gpus, cpus = (None, None) if workspace.address else (count_gpus(), getattr(options, "cpus", None) or os.cpu_count())
    wants_data = options.data is not None
    return plan_experiment(
        options.experiment, workspace, options.profile, options.overrides, gpus, wants_data, cpus, options.limit
    )


def recall_results(plan: Plan, store: Store) -> Plan:
    """Return the plan that results in a store are read by; data need not be here where a sweep has left its plan.

    Where it has not, results cannot be recognised, and a warning says so.
    """
    from orchestrator.plan_note import recall_plan

    recalled = recall_plan(plan, store)
    if recalled is None:
        print(
            f"segshift: {plan.facts.problems[0]}\nResults are known by their data, and no sweep has left its plan of "
            f"{plan.graph.name} ({plan.graph.variant}) in this store: those that need it are shown as missing.",
            file=sys.stderr,
        )
    return recalled or plan
