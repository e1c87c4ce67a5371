"""`segshift run-task`: run one task in the foreground, without Ray: the door for debugging."""

from __future__ import annotations

import argparse

from adapt.errors import PrerequisiteError, SpecError
from orchestrator.cli.options import add_command, add_limit_option, add_workspace_options, read_plan, read_workspace

EXAMPLES = """\
  segshift plan gta2cityscapes                        shows the keys
  segshift run-task gta2cityscapes 5f3a               run the task whose key starts with 5f3a, in this process
  python -m pdb -m orchestrator.cli.main run-task gta2cityscapes 5f3a
"""


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "run-task", "run one task in the foreground without Ray, to debug it", EXAMPLES)
    parser.add_argument("experiment", help="name of an experiment, or path to a YAML file")
    parser.add_argument("key", help="the first digits of the task's key")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--profile")
    add_limit_option(parser)
    add_workspace_options(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Run the task; the exit code is 1 where it failed."""
    from rich.console import Console

    from orchestrator.cli.sweep import draw_miniature
    from orchestrator.driver import assign
    from orchestrator.execute import execute
    from orchestrator.progress import show_scalars
    from orchestrator.store import open_store

    workspace = read_workspace(options)
    store = open_store(workspace.store)
    plan = read_plan(options, workspace)
    plan.require()
    tasks = [task for key, task in plan.graph.tasks.items() if key.startswith(options.key)]
    if len(tasks) != 1:
        raise SpecError(
            f"{len(tasks)} tasks of {options.experiment} have a key that starts with '{options.key}'. "
            f"`segshift plan {options.experiment}` lists them; give more digits."
        )
    (task,) = tasks
    if task.workers > 1:
        raise PrerequisiteError(
            f"{task.name} is trained by {task.workers} workers, and run-task starts one process, without Ray. Run "
            f"`segshift sweep {options.experiment}`, or give the stage `training.workers: 1`, which is another task."
        )
    store.check_writable()
    missing = [plan.graph.tasks[key].name for key in task.inputs.values() if not store.is_done(key)]
    if missing:
        raise SpecError(
            f"{task.name} needs {', '.join(missing)}, which is not done. Run that task first, or the sweep."
        )
    console = Console()
    draw_miniature(plan, 1, console)
    record = execute(
        assign(plan, task), store, lambda step, values: console.print(f"step {step}  {show_scalars(values)}")
    )
    if record.failure is not None:
        console.print(record.failure.traceback, markup=False, highlight=False)
        return 1
    console.print(f"{task.name}: done in {record.seconds:.1f} s, {store.folder(task.key)}", highlight=False)
    for note in record.notes:
        console.print(note, markup=False, highlight=False)
    return 0
