"""`segshift plan`: what an experiment would run. It starts nothing."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from experiments.document import read_document
from experiments.load import find_experiment, list_experiments
from experiments.planning import Plan
from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_plan,
    read_workspace,
)
from orchestrator.costs import Costs, count_trials, describe_budget, estimate_s, read_costs
from orchestrator.store import open_store
from orchestrator.sweep_state import Status, SweepState, survey

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """\
  segshift plan                                           the experiments there are
  segshift plan gta2cityscapes                            its graph as a tree: cached, to run, estimated cost
  segshift plan gta2cityscapes --profile full             real data and GPUs
  segshift plan gta2cityscapes matrix.seed=[0,1] --json   for a program to read
"""
SHOWN_TASKS = 12  # of one stage; the rest is counted


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "plan", "show an experiment's graph, what is cached and what would run", EXAMPLES)
    add_experiment_options(parser, required=False)
    add_workspace_options(parser)
    parser.add_argument("--json", action="store_true", help="print the graph as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the plan; the exit code is 2 where something must be mended before it can run."""
    if options.experiment is None:
        return _list_experiments()
    workspace = read_workspace(options)
    store = open_store(workspace.store)
    plan = read_plan(options, workspace)
    state, costs = survey(plan.graph, store), read_costs(store)
    if options.json:
        print(json.dumps(to_json(plan, state, costs), indent=1))
    else:
        _print_tree(plan, state, costs)
    return 2 if plan.problems else 0


def _list_experiments() -> int:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, padding=(0, 3, 0, 0))
    for name in list_experiments():
        table.add_row(f"[bold]{name}[/bold]", str(read_document(find_experiment(name)).data.get("title", "")))
    console = Console()
    console.print(table)
    console.print("\n`segshift plan NAME` shows one; `segshift sweep NAME` runs it.")
    return 0


def to_json(plan: Plan, state: SweepState, costs: Costs) -> dict[str, object]:
    """Return a plan as JSON-able data."""
    return {
        "experiment": plan.graph.name,
        "profile": plan.graph.profile,
        "title": plan.graph.title,
        "problems": list(plan.problems),
        "tasks": [
            {
                "key": task.key,
                "stage": task.stage,
                "kind": task.kind,
                "point": dict(task.point),
                "inputs": dict(task.inputs),
                "cached": state.status[task.key] is Status.CACHED,
                "trials": count_trials(task),
                "estimated_seconds": estimate_s(task, plan.graph, costs),
                "resources": task.resources.model_dump(),
            }
            for task in plan.graph.tasks.values()
        ],
        "leaderboards": {name: list(stage.needs) for name, stage in plan.graph.leaderboards.items()},
    }


def _print_tree(plan: Plan, state: SweepState, costs: Costs) -> None:
    from rich.console import Console
    from rich.text import Text
    from rich.tree import Tree

    from orchestrator.progress import show_duration

    graph = plan.graph
    tree = Tree(Text.assemble((graph.name, "bold"), f" · {graph.profile} profile · {graph.title}"))
    stages = dict.fromkeys(node.stage for node in graph.nodes)
    for stage in stages:
        tasks = {node.key: node for node in graph.nodes if node.stage == stage}
        first = next(iter(tasks.values()))
        cached = sum(state.status[key] is Status.CACHED for key in tasks)
        needs = sorted({graph.tasks[key].stage for task in tasks.values() for key in task.inputs.values()})
        suffix = f" ← {', '.join(needs)}" if needs else ""
        each = estimate_s(first, graph, costs)
        cost = f", about {show_duration(each)} each" if each is not None else ""
        count = f"{len(tasks)} task{'s' if len(tasks) > 1 else ''}, {cached} cached{cost}"
        branch = tree.add(Text.assemble((stage, "bold cyan"), f" ({first.kind}){suffix}  ", (count, "dim")))
        for task in list(tasks.values())[:SHOWN_TASKS]:
            mark = ("✓ ", "green") if state.status[task.key] is Status.CACHED else ("· ", "yellow")
            budget = describe_budget(task)
            note = f"  {budget}" if budget is not None else ""
            branch.add(Text.assemble(mark, task.name, note, (f"  {task.key[:12]}", "dim")))
        if len(tasks) > SHOWN_TASKS:
            branch.add(Text(f"... and {len(tasks) - SHOWN_TASKS} more", style="dim"))
    for name, board in graph.leaderboards.items():
        tree.add(Text.assemble((name, "bold cyan"), f" (leaderboard) ← {', '.join(board.needs)}"))
    console = Console()
    console.print(tree)
    waiting = state.count(Status.WAITING)
    estimates = [
        estimate_s(task, graph, costs) for key, task in graph.tasks.items() if state.status[key] is Status.WAITING
    ]
    known = [seconds for seconds in estimates if seconds is not None]
    total = f"about {show_duration(sum(known))} of task time" if known else "cost not known yet"
    if known and len(known) < len(estimates):
        total += f" and {len(estimates) - len(known)} tasks of unknown cost"
    console.print(
        f"\n{len(state.status)} tasks: {state.count(Status.CACHED)} cached, {waiting} to run{f' ({total})' if waiting else ''}."
    )
    print_choice(plan, console)
    for problem in plan.problems:
        console.print(Text.assemble(("missing: ", "bold red"), problem))


def print_choice(plan: Plan, console: Console) -> None:
    """Say which profiles were passed over and why, where the choice was not the user's."""
    from rich.text import Text

    for name, why in plan.passed_over.items():
        console.print(Text.assemble((f"The {name} profile cannot run here: ", "yellow"), why + "."))
