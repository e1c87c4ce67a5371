"""Records to tables: one table per protocol, one row per entry, seeds pooled, ranked by the table's main score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from adapt.data.catalog import describe_dataset
from experiments.graph import Graph
from experiments.grid import name_grid
from experiments.lineage import describe_lineage
from experiments.reference_row import list_reference_tasks
from experiments.schema import (
    BenchmarkStage,
    EvaluateStage,
    GapSettings,
    ReferenceSettings,
    StreamStage,
    TrainStage,
    UdaStage,
)
from experiments.task import Task
from orchestrator.leaderboard.columns import select_scores, select_training
from orchestrator.leaderboard.detail import build_detail
from orchestrator.leaderboard.interval import add_intervals
from orchestrator.leaderboard.naming import Name, find_trained, name_dataset, name_entries
from orchestrator.leaderboard.provenance import build_provenance, list_training_data
from orchestrator.leaderboard.reference import Sought
from orchestrator.leaderboard.row import Row, pool_scores
from orchestrator.leaderboard.source import RecordSource
from orchestrator.leaderboard.table import Table, finish_table
from orchestrator.leaderboard.tuning import describe_tuning
from orchestrator.protocol import describe_protocol
from orchestrator.scoring import list_wanted


@dataclass(frozen=True)
class Board:
    """The leaderboard of one experiment under one profile."""

    experiment: str
    profile: str
    title: str
    miniature: bool
    tables: tuple[Table, ...]
    overrides: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the board as plain data."""
        return asdict(self)


def build_board(graph: Graph, source: RecordSource, miniature: bool, stages: tuple[str, ...] | None = None) -> Board:
    """Make the leaderboard of a graph from the records of its tasks.

    Args:
        graph: the experiment's graph; it names entries and says what is missing.
        source: finds the records, and the files beside them.
        miniature: whether the data is the procedural miniature, to be said loudly.
        stages: the scored stages to show; None shows those that the leaderboard stages of the file need, or all.
    """
    wanted = stages or tuple(dict.fromkeys(name for board in graph.leaderboards.values() for name in board.needs))
    scored = [
        t for t in graph.nodes if t.kind in ("evaluate", "benchmark", "stream") and (not wanted or t.stage in wanted)
    ]
    groups: dict[str, list[Task]] = {}
    for task in scored:
        groups.setdefault(json.dumps(describe_protocol(task), sort_keys=True), []).append(task)
    tables = [_build_table(graph, json.loads(protocol), tasks, source) for protocol, tasks in groups.items()]
    return Board(graph.name, graph.profile, graph.title, miniature, tell_titles_apart(tables), graph.overrides)


def tell_titles_apart(tables: Sequence[Table]) -> tuple[Table, ...]:
    """Add to equal titles of tables what tells their protocols apart."""
    titles = [table.title for table in tables]
    return tuple(replace(t, title=f"{t.title} ({_tell_apart(t)})") if titles.count(t.title) > 1 else t for t in tables)


def _tell_apart(table: Table) -> str:
    """Return a few digits that tell a protocol from another of the same title (another limit, size or state of the files)."""
    return "protocol " + hashlib.sha256(json.dumps(table.protocol, sort_keys=True).encode()).hexdigest()[:6]


def _build_table(graph: Graph, protocol: dict[str, Any], tasks: list[Task], source: RecordSource) -> Table:
    entries: dict[str, list[Task]] = {}
    for task in {task.key: task for task in tasks}.values():
        entries.setdefault(json.dumps(describe_lineage(graph.tasks, task), sort_keys=True), []).append(task)
    names = name_entries(graph, [group[0] for group in entries.values()])
    subsets = _list_subsets(graph, tasks) if protocol["kind"] == "evaluate" else {}
    rows = [
        _build_row(graph, name, group, source, subsets) for name, group in zip(names, entries.values(), strict=True)
    ]
    rows = add_intervals(rows, protocol["kind"], source)
    return finish_table(
        _name_table(tasks[0]), protocol, rows, _find_gap(graph, tasks), _seek_reference(graph, tasks, source)
    )


def _find_gap(graph: Graph, tasks: list[Task]) -> GapSettings | None:
    """Return the ends of the gap that the first leaderboard stage with one measures these tasks between."""
    stages = {task.stage for task in tasks}
    return next((b.gap for b in graph.leaderboards.values() if b.gap is not None and stages & set(b.needs)), None)


def _find_reference(graph: Graph, tasks: list[Task]) -> ReferenceSettings | None:
    """Return what a leaderboard stage compares these tasks with: the first whose stage is among them, or the first."""
    stages = {task.stage for task in tasks}
    boards = graph.leaderboards.values()
    named = [board.reference for board in boards if board.reference is not None and stages & set(board.needs)]
    return next((reference for reference in named if reference.stage in stages), named[0] if named else None)


def _seek_reference(graph: Graph, tasks: list[Task], source: RecordSource) -> Sought | None:
    """Return the reference of a table of benchmarks, or None where the file names none."""
    settings = _find_reference(graph, tasks)
    if settings is None:
        return None
    records = (source.find_record(task.key) for task in tasks)
    cells = next((list_wanted(record) for record in records if record is not None), [])
    keys = {task.key for task in list_reference_tasks(settings, tasks)}
    return Sought(str(settings), lambda row: not keys.isdisjoint(row.keys), cells)


def _list_subsets(graph: Graph, tasks: list[Task]) -> dict[str, tuple[str, ...]]:
    """Return the means over fewer classes that are reported for what some network of a table was trained on.

    They are shown for every row, so that an oracle is compared on the same classes.
    """
    subsets: dict[str, tuple[str, ...]] = {}
    for task in tasks:
        trained = find_trained(graph, task)
        if isinstance(trained.settings, TrainStage | UdaStage):
            name = trained.settings.dataset if isinstance(trained.settings, TrainStage) else trained.settings.source
            subsets |= describe_dataset(trained.datasets[name].settings).reported_subsets
    return subsets


def _build_row(
    graph: Graph, name: Name, tasks: list[Task], source: RecordSource, subsets: Mapping[str, tuple[str, ...]]
) -> Row:
    records = [source.find_record(task.key) for task in tasks]
    present = [record for record in records if record is not None]
    trained = [source.find_record(find_trained(graph, task).key) for task in tasks]
    scored = [
        {**select_scores(record, subsets), **select_training(training)} if record is not None else {}
        for record, training in zip(records, trained, strict=True)
    ]
    columns = dict.fromkeys(column for scores in scored for column in scores)
    networks = [record.network for record in present if record.network is not None]
    return Row(
        rank=None,
        method=name.method,
        adaptation=name.adaptation,
        axes=dict(name.axes),
        seeds=len(present),
        runs=len(records),
        architecture=networks[0].architecture if networks else None,
        parameters=networks[0].parameters if networks else None,
        scores={column: pool_scores([scores.get(column) for scores in scored]) for column in columns},
        reason=_explain_missing(graph, tasks, source),
        keys=tuple(task.key for task in tasks),
        trained_in=find_trained(graph, tasks[0]).stage,
        tuned=describe_tuning(graph, tasks, source.find_record),
        training_data=list_training_data(graph, tasks[0]),
        detail=build_detail(present, source),
        provenance=build_provenance(graph, tasks, present),
    )


def _explain_missing(graph: Graph, tasks: list[Task], source: RecordSource) -> str | None:
    """Say how many runs of a row have no result, and why as far as that is known; None where all have one."""
    missing = [task for task in tasks if source.find_record(task.key) is None]
    if not missing:
        return None
    behind = [task.key for task in missing] + [key for task in missing for key in task.inputs.values()]
    reasons = [reason for key in dict.fromkeys(behind) if (reason := source.explain_missing(key)) is not None]
    return ": ".join([f"{len(missing)} of {len(tasks)} runs have no result", *dict.fromkeys(reasons[:1])])


def _name_table(task: Task) -> str:
    settings = task.settings
    if isinstance(settings, EvaluateStage):
        return f"Clean: {name_dataset(task, settings.dataset)}"
    if isinstance(settings, BenchmarkStage):
        return f"Corruptions ({name_grid(settings)}): {name_dataset(task, settings.dataset)}"
    if isinstance(settings, StreamStage):
        labels = list(dict.fromkeys(domain.label for domain in settings.stream.domains))
        rounds = f", {settings.stream.rounds} rounds" if settings.stream.rounds > 1 else ""
        reset = "" if settings.reset.policy == "never" else f", reset {settings.reset.policy}"
        return f"Test-time stream ({settings.stream.kind}{rounds}{reset}): {', '.join(labels)}"
    return task.stage
