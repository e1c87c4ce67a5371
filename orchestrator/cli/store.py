"""`segshift store`: look at what a store holds, check it, and remove what nobody needs."""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from adapt.errors import PrerequisiteError, SpecError
from orchestrator.cli.options import add_command, add_workspace_options, read_workspace
from orchestrator.progress import show_bytes

if TYPE_CHECKING:
    from orchestrator.record import Record
    from orchestrator.store import Store

EXAMPLES = """\
  segshift store ls                              finished tasks: stage, experiment, size, age
  segshift store ls --experiment gta2cityscapes --kind train
  segshift store show 5f3a                       one task: settings, scores, files, inputs, and who needs it
  segshift store verify                          every file against its hash; what is damaged and how to mend it
  segshift store gc --dry-run                    what no experiment refers to, and how many GB that is
  segshift store gc my_study.yaml                ... sparing what an experiment of your own refers to; asks first
  segshift store rm 5f3a                         remove one task: the next sweep makes it anew
"""
GC_TEXT = """\
Removes results that no experiment refers to, and what failed or interrupted tasks left. Name the files of your own
experiments: what they refer to stays, as does what the experiments that segshift ships refer to, under each profile and
under the overrides of every leaderboard in the store. Nothing that a live process works on is touched.
"""
SHOWN_DIGITS = 12


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command."""
    parser = add_command(commands, "store", "list, show, check and clean up finished tasks", EXAMPLES)
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)

    def add(name: str, text: str, function: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        action = actions.add_parser(name, help=text, description=GC_TEXT if name == "gc" else text)
        add_workspace_options(action)
        action.set_defaults(run=function)
        return action

    ls = add("ls", "list finished tasks", run_ls)
    for name in ("experiment", "stage", "kind"):
        ls.add_argument(f"--{name}", metavar="NAME", help=f"only of this {name}")
    ls.add_argument("--json", action="store_true", help="print JSON")
    show = add("show", "show a finished task", run_show)
    show.add_argument("key", help="the first digits of its key")
    add("verify", "check every file against its hash, and that records can be read and inputs are there", run_verify)
    gc = add("gc", "remove what no experiment refers to", run_gc)
    gc.add_argument("experiments", nargs="*", metavar="EXPERIMENT", help="YAML files of your own")
    gc.add_argument("--older-than", type=float, default=1.0, metavar="DAYS", help="leave younger things alone (1)")
    gc.add_argument("--dry-run", action="store_true", help="only show what would be removed")
    rm = add("rm", "remove finished tasks, whatever refers to them", run_rm)
    rm.add_argument("keys", nargs="+", metavar="KEY", help="the first digits of their keys")
    for action in (gc, rm):
        action.add_argument("--yes", action="store_true", help="do not ask")


def run_ls(options: argparse.Namespace) -> int:
    """List tasks, the newest last."""
    from rich.console import Console
    from rich.table import Table

    store = _open(options)
    now, found = time.time(), []
    for record in _read_all(store):
        wanted = {"experiment": options.experiment, "stage": options.stage, "kind": options.kind}
        if all(value in (None, getattr(record, name)) for name, value in wanted.items()):
            found.append(_describe(record, now))
    found.sort(key=lambda one: -one["age_seconds"])
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    table = Table(box=None, padding=(0, 3, 0, 0))
    for title in ("key", "kind", "stage", "experiment", "size", "age"):
        table.add_column(title, justify="right" if title in ("size", "age") else "left")
    for one in found:
        key, size, age = (
            one["key"][:SHOWN_DIGITS],
            show_bytes(one["size_bytes"]),
            show_age(one["age_seconds"]),
        )
        table.add_row(key, one["kind"], one["stage"], f"{one['experiment']} ({one['profile']})", size, age)
    console = Console()
    if found:
        console.print(table)
    total = sum(one["size_bytes"] for one in found)
    console.print(f"{len(found)} tasks, {show_bytes(total)}, in {store.place}", highlight=False, soft_wrap=True)
    return 0


def run_show(options: argparse.Namespace) -> int:
    """Print a record for a person to read."""
    from orchestrator.mlflow_run import flatten
    from orchestrator.progress import show_duration
    from orchestrator.scoring import score_record

    store = _open(options)
    key = _find_key(store, options.key)
    record = store.read(key)
    needed_by = [other for other in _read_all(store) if key in other.inputs.values()]
    print(f"{record.label}  ({record.kind}, stage {record.stage} of {record.experiment}, {record.profile} profile)")
    print(f"key       {key}")
    print(f"made      {record.started_at} in {show_duration(record.seconds)}")
    _print_block("point", (f"{name} = {value}" for name, value in record.point.items()))
    _print_block("settings", (f"{name} = {value}" for name, value in flatten(record.settings).items()))
    scores = {name: value for name, value in score_record(record).items() if not name.startswith("iou/")}
    _print_block("scores", (f"{name} = {_show_score(name, value)}" for name, value in scores.items()))
    _print_block("metrics", (f"{name} = {value}" for name, value in record.metrics.items()))
    _print_block("notes", record.notes)
    _print_block("files", (f"{name}  {show_bytes(kept.size_bytes)}" for name, kept in record.files.items()))
    _print_block("inputs", (f"{role} = {_name_input(store, needed)}" for role, needed in record.inputs.items()))
    _print_block("needed by", (f"{one.key[:SHOWN_DIGITS]}  {one.label} ({one.stage})" for one in needed_by))
    print(f"\nin        {store.folder(key) if not isinstance(store.place, str) else store.place}")
    return 0


def run_verify(options: argparse.Namespace) -> int:
    """Check everything; the exit code is 1 where something is damaged."""
    from orchestrator.store_check import verify

    store = _open(options)
    damages = 0
    for damage in verify(store):
        damages += 1
        print(f"{damage.key[:SHOWN_DIGITS]}  {damage.what}.\n{'':{SHOWN_DIGITS}}  {damage.remedy}.")
    for key in sorted(store.list_abandoned()):
        print(f"{key[:SHOWN_DIGITS]}  was worked on by a process that died. The next sweep takes it over.")
    leftovers = store.list_leftovers()
    if leftovers:
        size = show_bytes(sum(one.size_bytes for one in leftovers))
        print(f"{len(leftovers)} leftovers of tasks that failed or were interrupted, {size}: `segshift store gc`.")
    count = len(store.list_done())
    print(f"{damages} of {count} tasks damaged." if damages else f"All {count} tasks are as they were recorded.")
    return 1 if damages else 0


def run_gc(options: argparse.Namespace) -> int:
    """Show what could go, ask, and remove it; the exit code is 1 where the answer was no."""
    from orchestrator.store_gc import DAY_S, collect, find_garbage

    if options.older_than < 0:
        raise SpecError(f"--older-than {options.older_than:g}: it cannot be negative. Give days, such as 7 or 0.5.")
    workspace = read_workspace(options)
    store = _open(options)
    garbage = find_garbage(store, workspace, options.experiments, options.older_than * DAY_S)
    for note in garbage.notes:
        print(f"kept: {note}")
    groups: dict[tuple[str, str], list[int]] = {}
    for task in garbage.tasks:
        groups.setdefault((task.experiment, task.stage), []).append(task.size_bytes)
    for (experiment, stage), sizes in sorted(groups.items()):
        print(
            f"{len(sizes):6} tasks of {experiment}, stage {stage}, that no experiment refers to: {show_bytes(sum(sizes))}"
        )
    if garbage.leftovers:
        size = show_bytes(sum(one.size_bytes for one in garbage.leftovers))
        print(f"{len(garbage.leftovers):6} leftovers of tasks that failed or were interrupted: {size}")
    count = len(garbage.tasks) + len(garbage.leftovers)
    if count == 0:
        print("Nothing to remove.")
        return 0
    if options.dry_run:
        print(f"{show_bytes(garbage.size_bytes)} would be removed (--dry-run).")
        return 0
    if not _ask(f"Remove {show_bytes(garbage.size_bytes)} for good?", options.yes):
        return 1
    busy = collect(store, garbage)
    print(
        f"Removed {count - busy} of {count}."
        + (f" {busy} are being worked on or wanted by a sweep and stay." if busy else "")
    )
    return 0


def run_rm(options: argparse.Namespace) -> int:
    """Remove tasks; the exit code is 1 where the answer was no, or one is being worked on."""
    store = _open(options)
    keys = [_find_key(store, digits) for digits in options.keys]
    for key in keys:
        print(f"{key[:SHOWN_DIGITS]}  {_name_input(store, key)}")
    if not _ask(f"Remove {len(keys)} task{'s' if len(keys) > 1 else ''} for good?", options.yes):
        return 1
    stayed = [key for key in keys if not store.remove(key)]
    for key in stayed:
        print(f"{key[:SHOWN_DIGITS]} is being worked on by a live process and stays.")
    return 1 if stayed else 0


def show_age(seconds: float) -> str:
    """Print how long ago something was."""
    for unit, factor in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= factor:
            return f"{seconds / factor:.0f} {unit}"
    return "now"


def _open(options: argparse.Namespace) -> Store:
    from orchestrator.store import open_store

    return open_store(read_workspace(options).store)


def _read_all(store: Store) -> Iterable[Record]:
    """Read all records, one after the other; one that cannot be read is said, and passed over."""
    done = store.list_done()
    store.fetch_records(done)
    for key in sorted(done):
        try:
            yield store.read(key)
        except PrerequisiteError as error:
            print(f"segshift: {error}", file=sys.stderr)


def _describe(record: Record, now: float) -> dict[str, Any]:
    finished = datetime.datetime.fromisoformat(record.started_at).timestamp() + record.seconds
    return {
        "key": record.key,
        "kind": record.kind,
        "stage": record.stage,
        "label": record.label,
        "experiment": record.experiment,
        "profile": record.profile,
        "size_bytes": sum(kept.size_bytes for kept in record.files.values()),
        "age_seconds": max(0.0, now - finished),
        "seconds": record.seconds,
    }


def _find_key(store: Store, digits: str) -> str:
    keys = sorted(key for key in store.list_done() if key.startswith(digits))
    if len(keys) != 1:
        raise SpecError(
            f"{len(keys)} finished tasks of {store.place} have a key that starts with '{digits}'. `segshift store ls` lists "
            "them; give more digits."
        )
    return keys[0]


def _name_input(store: Store, key: str) -> str:
    if not store.is_done(key):
        return f"{key[:SHOWN_DIGITS]} (not in the store)"
    try:
        record = store.read(key)
    except PrerequisiteError:
        return f"{key[:SHOWN_DIGITS]} (its record cannot be read)"
    return f"{key[:SHOWN_DIGITS]}  {record.label} ({record.stage} of {record.experiment})"


def _show_score(name: str, value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f} %"


def _print_block(title: str, lines: Iterable[str]) -> None:
    for place, line in enumerate(lines):
        print(f"{title if place == 0 else '':<10}{line}")


def _ask(question: str, is_agreed: bool) -> bool:
    if is_agreed:
        return True
    if not sys.stdin.isatty():
        raise SpecError(f"{question} There is no terminal to ask on: say --yes.")
    return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
