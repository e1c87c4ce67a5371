"""`segshift simulate`: how long an experiment would take on a described cluster, what it would cost and what limits it."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from adapt.errors import SpecError
from experiments.planning import Plan, plan_experiment
from orchestrator.cli.options import (
    add_command,
    add_experiment_options,
    add_workspace_options,
    read_workspace,
)
from orchestrator.cli.plan import print_choice
from orchestrator.costs import read_costs
from orchestrator.environment import count_gpus
from orchestrator.profiles import read_profiles
from orchestrator.simulation.cluster import ClusterSettings, NodeSettings, list_examples, load_cluster
from orchestrator.simulation.durations import ASSUMED_S, Durations, find_durations
from orchestrator.simulation.expansion import list_work
from orchestrator.simulation.forecast import Forecast, Spread, average_timeline, forecast
from orchestrator.store import open_store

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """\
  segshift simulate gta2cityscapes --profile full --cluster h100_on_demand
  segshift simulate gta2cityscapes --profile full --nodes 4 --cpus 64 --gpus 8 --assume daformer=57600 --assume 1200
  segshift simulate gta2cityscapes --cluster my-cluster.yaml --runs 100 --json
"""
BINS = 100  # of the timeline in JSON
DEFAULT_RUNS = 20  # of a cluster whose nodes fail
DEFAULT_SCALE = (1, 2, 4, 8)


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    text = "replay an experiment on a described cluster: makespan, utilisation, cost, what limits it"
    parser = add_command(commands, "simulate", text, EXAMPLES)
    add_experiment_options(parser, required=True)
    add_workspace_options(parser)
    parser.add_argument(
        "--cluster", metavar="FILE", help=f"YAML file of a cluster, or an example: {', '.join(list_examples())}"
    )
    parser.add_argument("--nodes", type=int, metavar="N", help="... or so many equal nodes (default: 1)")
    parser.add_argument("--cpus", type=float, metavar="N", help="cores of each (default: this machine's)")
    parser.add_argument("--gpus", type=int, metavar="N", help="GPUs of each (default: this machine's)")
    parser.add_argument("--memory-gb", type=float, metavar="GB", help="memory of each (default: 8 for each core)")
    parser.add_argument(
        "--assume",
        action="append",
        default=[],
        metavar="[STAGE=]SECONDS",
        help="seconds of a task where nothing is known, or of a stage whatever is known (a search's: of one trial)",
    )
    parser.add_argument("--from-scratch", action="store_true", help="count what the store holds as still to be done")
    parser.add_argument("--runs", type=int, default=DEFAULT_RUNS, help="replays, each with its own failures")
    parser.add_argument("--seed", type=int, default=0, help="of the failures")
    parser.add_argument(
        "--scale", type=_parse_scale, default=DEFAULT_SCALE, metavar="1,2,4", help="times the nodes to compare"
    )
    parser.add_argument("--json", action="store_true", help="print all of it as JSON")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Print the forecast. The exit code is 0 also where data, weights or GPUs for a real run are missing here."""
    cluster = read_cluster(options)
    given, assumed_s = parse_assumptions(options.assume)
    if options.runs < 1:
        raise SpecError(f"--runs {options.runs}: at least one replay is needed.")
    workspace = read_workspace(options)
    plan = plan_experiment(
        options.experiment,
        workspace,
        options.profile,
        options.overrides,
        None,
        options.data is not None,
        None,
        options.limit,
    )
    _check_stages(given, plan)
    store = open_store(workspace.store)
    durations = find_durations(plan.graph, store, read_costs(store), given, assumed_s)
    done = set() if options.from_scratch else store.list_done() & plan.graph.tasks.keys()
    works = list_work(plan.graph, durations, read_profiles(store), done)
    first = forecast(works, cluster, options.runs, options.seed)
    table = [(factor, forecast(works, cluster.multiplied(factor), 1, options.seed)) for factor in options.scale]
    if options.json:
        print(json.dumps(to_json(plan, durations, len(done), first, table), indent=1))
    else:
        _print(plan, durations, len(done), first, table)
    return 0


def read_cluster(options: argparse.Namespace) -> ClusterSettings:
    """Return the cluster that the command line describes.

    Raises:
        SpecError: its file is not understood, or nodes are described twice.
    """
    written = {name: getattr(options, name) for name in ("nodes", "cpus", "gpus", "memory_gb")}
    written = {name: value for name, value in written.items() if value is not None}
    if options.cluster is not None:
        if written:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in written)
            raise SpecError(f"--cluster and {names} both describe nodes. Give the one or the other.")
        return load_cluster(options.cluster)
    for name, value in written.items():
        if value < 0 or (value == 0 and name != "gpus"):
            raise SpecError(f"--{name.replace('_', '-')} {value:g}: a number above 0 is wanted here.")
    cpus = written.get("cpus", float(os.cpu_count() or 1))
    node = NodeSettings(
        count=written.get("nodes", 1),
        cpus=cpus,
        gpus=written.get("gpus", count_gpus()),
        memory_gb=written.get("memory_gb", 8 * cpus),
    )
    return ClusterSettings(nodes={"node": node})


def parse_assumptions(texts: Sequence[str]) -> tuple[dict[str, float], float]:
    """Return stage -> seconds and the seconds of tasks of which nothing is known, from `--assume`.

    Raises:
        SpecError: a text is neither SECONDS nor STAGE=SECONDS.
    """
    given: dict[str, float] = {}
    assumed_s = ASSUMED_S
    for text in texts:
        stage, separator, number = text.rpartition("=")
        try:
            seconds = float(number)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < float("inf") or (separator and not stage):
            raise SpecError(f"--assume {text}: seconds above 0 are wanted, as in --assume 600 or --assume train=3600.")
        if stage:
            given[stage] = seconds
        else:
            assumed_s = seconds
    return given, assumed_s


def _check_stages(given: dict[str, float], plan: Plan) -> None:
    from experiments.explain import unknown

    stages = {task.stage for task in plan.graph.tasks.values()}
    for stage in given:
        if stage not in stages:
            raise unknown("stage", stage, stages, f"--assume {stage}={given[stage]:g}")


def _parse_scale(text: str) -> tuple[int, ...]:
    try:
        factors = tuple(int(part) for part in text.split(","))
    except ValueError:
        factors = (0,)
    if min(factors) < 1:
        raise argparse.ArgumentTypeError(f"'{text}': whole numbers from 1 are wanted, as in 1,2,4")
    return factors


def to_json(
    plan: Plan, durations: Durations, done: int, first: Forecast, table: Sequence[tuple[int, Forecast]]
) -> dict[str, Any]:
    """Return a forecast as JSON-able data."""
    return {
        "experiment": plan.graph.name,
        "profile": plan.graph.profile,
        "problems": list(plan.problems),
        "tasks": len(plan.graph.tasks),
        "cached": done,
        "pieces": len(first.works),
        "durations": {
            stage: {"seconds": durations.by_stage[stage], "origin": origin}
            for stage, origin in durations.origins.items()
        },
        "cluster": first.cluster.model_dump(mode="json"),
        "replays": len(first.replays),
        "makespan_s": vars(first.spread(lambda one: one.makespan_s)),
        "utilisation": {name: vars(spread) for name, spread in _list_utilisation(first).items()},
        "cost": vars(first.spread(lambda one: one.cost)),
        "lost_s": vars(first.spread(lambda one: one.lost_s)),
        "lost_nodes": vars(first.spread(lambda one: one.failures)),
        "given_up": vars(first.count_given_up()),
        "bound_s": first.bound.seconds,
        "limits_s": first.list_limits(),
        "limit": first.find_limit(),
        "critical_path": first.sum_path(),
        "stages_s": {stage: vars(spread) for stage, spread in first.sum_stages().items()},
        "timeline": average_timeline(first.replays[0], BINS),
        "scale": [
            {
                "times": factor,
                "makespan_s": one.replays[0].makespan_s,
                "utilisation": {name: spread.median for name, spread in _list_utilisation(one).items()},
                "cost": one.replays[0].cost,
            }
            for factor, one in table
        ],
    }


def _list_utilisation(one: Forecast) -> dict[str, Spread]:
    spreads = {name: one.utilisation(name) for name in ("GPU", "CPU")}
    return {name: spread for name, spread in spreads.items() if spread is not None}


def _print(plan: Plan, durations: Durations, done: int, first: Forecast, table: Sequence[tuple[int, Forecast]]) -> None:
    from rich.console import Console
    from rich.text import Text

    from orchestrator.progress import show_duration

    console = Console()
    graph = plan.graph
    print_choice(plan, console)
    console.print(Text.assemble((graph.name, "bold"), f" · {graph.profile} profile · on {first.cluster.describe()}"))
    console.print(f"{len(graph.tasks)} tasks: {done} in the store, {len(graph.tasks) - done} simulated.")
    if plan.problems:
        console.print(
            f"A real run misses {len(plan.problems)} things here (`segshift plan` names them). Tasks are known by the data and "
            "weights that are missing, so none of those counts as in the store."
        )
    for stage, seconds in durations.list_assumed().items():
        text = f"{stage}: never measured, assumed to take {show_duration(seconds)} (--assume {stage}=SECONDS)"
        console.print(Text.assemble(("assumed ", "bold yellow"), text))
    if not first.works:
        console.print("Nothing is left to do (--from-scratch simulates all of it).")
        return
    makespan = first.spread(lambda one: one.makespan_s)
    lines = {"makespan": _show(makespan, show_duration)}
    for name, spread in _list_utilisation(first).items():
        lines[f"{name}s in use"] = _show(spread, lambda share: f"{100 * share:.0f}%")
    cost = first.spread(lambda one: one.cost)
    if cost.median:
        lines["cost"] = f"{_show(cost, lambda price: f'{price:,.0f}')} {first.cluster.currency}, idle nodes included"
    lost = first.spread(lambda one: one.failures)
    if lost.high:
        work = _show(first.spread(lambda one: one.lost_s), show_duration)
        lines["lost nodes"] = f"{_show(lost, lambda count: f'{count:.0f}')}; work done twice: {work}"
    lines["cannot be less"] = show_duration(first.bound.seconds)
    lines["limited by"] = _describe_limit(first)
    for title, text in lines.items():
        console.print(Text.assemble((f"{title:<16}", "bold"), text))
    given_up = first.count_given_up()
    if given_up.high and not all(node.warning_seconds for node in first.cluster.nodes.values()):
        console.print(
            f"{_show(given_up, lambda count: f'{count:.0f}')} tasks lost their node more than twice: a sweep calls that a failure, "
            "and the same command goes on from their resume points."
        )
    _print_stages(first, durations, console)
    _print_scale(table, console)


def _describe_limit(first: Forecast) -> str:
    from orchestrator.progress import show_duration

    limits, limit = first.list_limits(), first.find_limit()
    if limit == "critical path":
        stages = [f"{stage} {show_duration(seconds)}" for stage, seconds in first.sum_path().items()]
        return f"the critical path, {show_duration(limits[limit])}: {' → '.join(stages)}"
    if limit == "driver":
        return f"the driver, which submits {first.cluster.overheads.submit_per_second:g} tasks a second"
    if limit is not None:
        return f"its {limit}s: all of them busy all the time would take {show_duration(limits[limit])}"
    shown = ", ".join(f"{name} {show_duration(seconds)}" for name, seconds in list(limits.items())[:3])
    return f"no one thing: chains of tasks, room and failures together ({shown})"


def _show(spread: Spread, show: Any) -> str:
    """Print a median, with its range where there is one."""
    texts = [show(value) for value in (spread.median, spread.low, spread.high)]
    return str(texts[0]) if len(set(texts)) == 1 else f"{texts[0]} ({texts[1]} to {texts[2]})"


def _print_stages(first: Forecast, durations: Durations, console: Console) -> None:
    from rich.table import Table

    from orchestrator.progress import show_duration

    table = Table(box=None, padding=(0, 3, 0, 0))
    for title in ("stage", "pieces", "each", "known", "busy"):
        table.add_column(title, justify="left" if title in ("stage", "known") else "right")
    for stage, spread in first.sum_stages().items():
        count = sum(work.stage == stage and work.workers > 0 for work in first.works)
        each = show_duration(durations.by_stage[stage])
        table.add_row(stage, str(count), each, durations.origins[stage], _show(spread, show_duration))
    console.print()
    console.print(table)


def _print_scale(forecasts: Sequence[tuple[int, Forecast]], console: Console) -> None:
    from rich.table import Table

    from orchestrator.progress import show_duration

    table = Table(box=None, padding=(0, 3, 0, 0))
    for title in ("nodes", "makespan", "speed-up", "GPUs in use", "CPUs in use", "cost"):
        table.add_column(title, justify="right")
    base = forecasts[0][1].replays[0].makespan_s
    for _, one in forecasts:
        replay = one.replays[0]
        shares = {name: one.utilisation(name) for name in ("GPU", "CPU")}
        table.add_row(
            str(len(one.cluster.list_nodes())),
            show_duration(replay.makespan_s),
            f"{base / replay.makespan_s:.2f}",
            *("-" if share is None else f"{100 * share.median:.0f}%" for share in shares.values()),
            f"{replay.cost:,.0f}" if replay.cost else "-",
        )
    console.print()
    console.print(table)
