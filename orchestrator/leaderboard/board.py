"""Records to tables: one table per protocol, one row per entry, seeds pooled, ranked by the table's main score."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
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
from orchestrator.leaderboard.columns import MAIN, is_detail, select_scores, select_training
from orchestrator.leaderboard.gap import add_gaps
from orchestrator.leaderboard.interval import FindCounts, add_intervals
from orchestrator.leaderboard.naming import Name, find_trained, name_entries
from orchestrator.leaderboard.reference import add_degradations
from orchestrator.leaderboard.row import Row, Score, pool_scores
from orchestrator.leaderboard.tuning import describe_tuning
from orchestrator.protocol import describe_protocol
from orchestrator.record import FindRecord


@dataclass(frozen=True)
class Table:
    """The rows of one protocol, best first; `columns[0]` is the score that ranks.

    `details` are the columns that are one cell of a corruption grid, or one class, each; the others fit a terminal.
    `reference` is the entry that CD, rCD, mCE and relative mCE are relative to; None where there are none.
    """

    title: str
    protocol: dict[str, Any]
    columns: tuple[str, ...]
    details: tuple[str, ...]
    rows: tuple[Row, ...]
    reference: str | None = None


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


def build_board(
    graph: Graph,
    find_record: FindRecord,
    miniature: bool,
    stages: tuple[str, ...] | None = None,
    find_counts: FindCounts | None = None,
) -> Board:
    """Make the leaderboard of a graph from the records of its tasks.

    Args:
        graph: the experiment's graph; it names entries and says what is missing.
        find_record: key -> record, or None where there is none.
        miniature: whether the data is the procedural miniature, to be said loudly.
        stages: the scored stages to show; None shows those that the leaderboard stages of the file need, or all.
        find_counts: key -> the counts of every image, for intervals of mPC; None leaves these out.
    """
    wanted = stages or tuple(dict.fromkeys(name for board in graph.leaderboards.values() for name in board.needs))
    scored = [
        t for t in graph.nodes if t.kind in ("evaluate", "benchmark", "stream") and (not wanted or t.stage in wanted)
    ]
    groups: dict[str, list[Task]] = {}
    for task in scored:
        groups.setdefault(json.dumps(describe_protocol(task), sort_keys=True), []).append(task)
    tables = [
        _build_table(graph, json.loads(protocol), tasks, find_record, find_counts) for protocol, tasks in groups.items()
    ]
    titles = [table.title for table in tables]
    tables = [replace(t, title=f"{t.title} ({_tell_apart(t)})") if titles.count(t.title) > 1 else t for t in tables]
    return Board(graph.name, graph.profile, graph.title, miniature, tuple(tables), graph.overrides)


def _tell_apart(table: Table) -> str:
    """Return a few digits that tell a protocol from another of the same title (another limit, size or state of the files)."""
    return "protocol " + hashlib.sha256(json.dumps(table.protocol, sort_keys=True).encode()).hexdigest()[:6]


def _build_table(
    graph: Graph, protocol: dict[str, Any], tasks: list[Task], find_record: FindRecord, find_counts: FindCounts | None
) -> Table:
    entries: dict[str, list[Task]] = {}
    for task in {task.key: task for task in tasks}.values():
        entries.setdefault(json.dumps(describe_lineage(graph.tasks, task), sort_keys=True), []).append(task)
    names = name_entries(graph, [group[0] for group in entries.values()])
    subsets = _list_subsets(graph, tasks) if protocol["kind"] == "evaluate" else {}
    rows = [
        _build_row(graph, name, group, find_record, subsets)
        for name, group in zip(names, entries.values(), strict=True)
    ]
    kind = protocol["kind"]
    main = MAIN[kind]
    gap = _find_gap(graph, tasks)
    if gap is not None:
        rows = add_gaps(rows, main, gap)
    sought, reference = _find_reference(graph, tasks), None
    if sought is not None and kind == "benchmark":
        keys = {task.key for task in list_reference_tasks(sought, tasks)}
        rows, reference = add_degradations(rows, str(sought), keys, find_record)
    if find_counts is not None and kind == "benchmark":
        rows = add_intervals(rows, main, find_record, find_counts)
    columns = tuple(dict.fromkeys((main, *(name for row in rows for name in row.scores))))
    details = tuple(name for name in columns if is_detail(kind, name))
    summary = tuple(name for name in columns if name not in details)
    return Table(_name_table(tasks[0]), protocol, (*summary, *details), details, _rank(rows, main), reference)


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
    graph: Graph, name: Name, tasks: list[Task], find_record: FindRecord, subsets: Mapping[str, tuple[str, ...]]
) -> Row:
    records = [find_record(task.key) for task in tasks]
    present = [record for record in records if record is not None]
    trained = [find_record(find_trained(graph, task).key) for task in tasks]
    scored = [
        {**select_scores(record, subsets), **select_training(training)} if record is not None else {}
        for record, training in zip(records, trained, strict=True)
    ]
    columns = dict.fromkeys(column for scores in scored for column in scores)
    missing = len(records) - len(present)
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
        reason=f"{missing} of {len(records)} runs have no result" if missing else None,
        keys=tuple(task.key for task in tasks),
        trained_in=find_trained(graph, tasks[0]).stage,
        tuned=describe_tuning(graph, tasks, find_record),
    )


def _rank(rows: list[Row], main: str) -> tuple[Row, ...]:
    """Order rows best first; equal scores share a rank, and rows without a complete score come last, unranked."""

    def value(row: Row) -> float | None:
        score: Mapping[str, Score] = row.scores
        return score[main].mean if main in score else None

    ranked = sorted((row for row in rows if value(row) is not None), key=lambda row: -(value(row) or 0.0))
    result: list[Row] = []
    for index, row in enumerate(ranked):
        tied = bool(result) and value(result[-1]) == value(row)
        result.append(replace(row, rank=result[-1].rank if tied else index + 1))
    return (*result, *(_explain(row, main) for row in rows if value(row) is None))


def _explain(row: Row, main: str) -> Row:
    """Give an unranked row a reason where it has none: its runs are there, but a score that ranks them is not."""
    lacking = sum(score is None for score in row.scores[main].values) if main in row.scores else row.runs
    reason = row.reason or f"{lacking} of {row.runs} runs have no {main}: a cell that it needs is missing or empty"
    return Row(**{**row.__dict__, "reason": reason})


def _name_table(task: Task) -> str:
    settings = task.settings
    if isinstance(settings, EvaluateStage):
        return f"Clean: {_name_dataset(task, settings.dataset)}"
    if isinstance(settings, BenchmarkStage):
        return f"Corruptions ({name_grid(settings)}): {_name_dataset(task, settings.dataset)}"
    if isinstance(settings, StreamStage):
        labels = list(dict.fromkeys(domain.label for domain in settings.stream.domains))
        rounds = f", {settings.stream.rounds} rounds" if settings.stream.rounds > 1 else ""
        reset = "" if settings.reset.policy == "never" else f", reset {settings.reset.policy}"
        return f"Test-time stream ({settings.stream.kind}{rounds}{reset}): {', '.join(labels)}"
    return task.stage


def _name_dataset(task: Task, name: str) -> str:
    dataset = task.datasets[name].settings
    if dataset.type == "folder":  # a data set of the user's own: its type says nothing
        return name
    split = dataset.split if isinstance(dataset.split, str) else "+".join(dataset.split)
    subset = f" ({', '.join(dataset.subset)})" if dataset.subset else ""
    return f"{dataset.type} {split}{subset}"
