"""`segshift profile`: measure once how much memory a stage needs, for packing several of its tasks on one GPU."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from adapt.errors import SpecError
from orchestrator.cli.options import add_command, add_limit_option, add_workspace_options, read_plan, read_workspace

if TYPE_CHECKING:
    from rich.console import Console

    from orchestrator.store import Store

EXAMPLES = """\
  segshift profile gta2cityscapes daformer               20 iterations; then `resources: {pack: true}` packs by what was measured
  segshift profile camvid_tta fixed --frames 5           a stream or benchmark, on the first five frames
  segshift profile                                       what was measured so far
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "profile", "measure the memory that a stage needs, to pack its tasks", EXAMPLES)
    parser.add_argument("experiment", nargs="?", help="name of an experiment, or path to a YAML file")
    parser.add_argument("stage", nargs="?", help="a stage of it; its first task is measured")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--profile", help="mini, full ... (default: the first of the file that can run here)")
    parser.add_argument("--iterations", type=int, default=20, metavar="N", help="of a training (default: 20)")
    parser.add_argument("--frames", type=int, default=8, metavar="N", help="of each data set or domain (default: 8)")
    add_limit_option(parser)
    add_workspace_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Measure and keep; without a stage print what is kept."""
    from rich.console import Console

    from orchestrator.capacity import list_amounts
    from orchestrator.cli.sweep import draw_miniature
    from orchestrator.driver import assign
    from orchestrator.measure import list_missing, measure_memory
    from orchestrator.profiles import add_profile, name_profile, pack, read_profiles
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    store, console = open_store(workspace.store), Console()
    if options.experiment is None or options.stage is None:
        return _list_profiles(store, console)
    plan = read_plan(options, workspace)
    plan.require()
    tasks = [task for task in plan.graph.tasks.values() if task.stage == options.stage]
    if not tasks:
        stages = ", ".join(dict.fromkeys(task.stage for task in plan.graph.tasks.values()))
        raise SpecError(f"{options.experiment} has no stage '{options.stage}' with tasks. It has: {stages}.")
    names = {key: task.name for key, task in plan.graph.tasks.items()}
    ready = [task for task in tasks if not list_missing(task, store, names)]
    if not ready:
        missing = ", ".join(list_missing(tasks[0], store, names))
        raise SpecError(
            f"{tasks[0].name} needs {missing}, which is not done: run the sweep up to there, or `segshift run-task`."
        )
    store.check_writable()
    draw_miniature(plan, 1, console)
    task = ready[0]
    with console.status(f"measuring {task.name}"):
        profile, seconds = measure_memory(assign(plan, task), store, options.iterations, options.frames)
    name = name_profile(plan.graph, task)
    add_profile(store, name, profile)
    console.print(f"{task.name}: {profile}, measured in {seconds:.1f} s", highlight=False, soft_wrap=True)
    wanted = task.resources.model_copy(update={"pack": True})
    asked = ", ".join(
        f"{amount:.3g} {unit}" for unit, amount in list_amounts(pack(wanted, read_profiles(store)[name])).items()
    )
    console.print(f"With `resources: {{pack: true}}` each of its {len(tasks)} tasks asks for {asked}.", highlight=False)
    return 0


def _list_profiles(store: Store, console: Console) -> int:
    from orchestrator.profiles import read_profiles

    profiles = read_profiles(store)
    if not profiles:
        console.print(
            f"Nothing was measured in {store.place} yet. `segshift profile EXPERIMENT STAGE` measures a stage."
        )
    for name, profile in sorted(profiles.items()):
        console.print(f"{name}: {profile}", highlight=False, soft_wrap=True)
    return 0
