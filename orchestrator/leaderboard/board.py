"""Records to tables: one table per protocol, one row per entry, seeds pooled, ranked by the table's main score."""

from __future__ import annotations

import hashlib
import json
import statistics
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from experiments.graph import Graph
from experiments.schema import BenchmarkStage, EvaluateStage, StreamStage
from experiments.task import Task, describe
from orchestrator.protocol import describe_protocol
from orchestrator.record import Record
from orchestrator.scoring import score_record

SEED_AXIS = "seed"

FindRecord = Callable[[str], Record | None]


@dataclass(frozen=True)
class Score:
    """A score over the seeds of a row: mean and sample standard deviation (None below two seeds or where one is missing)."""

    mean: float | None
    std: float | None
    values: tuple[float | None, ...]


@dataclass(frozen=True)
class Row:
    """One entry of a table.

    Attributes:
        rank: its place, or None where it is not ranked.
        method: how the network was trained.
        adaptation: the test-time method, or None.
        axes: other axes of the matrix that it stands at, and settings of the test-time method that are not its defaults.
        seeds: how many runs were scored, out of `runs`.
        runs: how many runs the experiment asks for.
        architecture: backbone and head, where known.
        parameters: of the network, where known.
        scores: column -> score.
        reason: why it is not ranked, or None.
        keys: the tasks behind it, in the order of `values`.
    """

    rank: int | None
    method: str
    adaptation: str | None
    axes: dict[str, str]
    seeds: int
    runs: int
    architecture: str | None
    parameters: int | None
    scores: dict[str, Score]
    reason: str | None
    keys: tuple[str, ...]

    @property
    def entry(self) -> str:
        """The row's name as shown: method, adaptation, axes."""
        name = self.method if self.adaptation is None else f"{self.method} + {self.adaptation}"
        axes = ", ".join(f"{axis}={value}" for axis, value in self.axes.items())
        return f"{name} ({axes})" if axes else name


@dataclass(frozen=True)
class Table:
    """The rows of one protocol, best first; `columns[0]` is the score that ranks.

    `details` are the columns that are one cell of a corruption grid each; the others fit a terminal.
    """

    title: str
    protocol: dict[str, Any]
    columns: tuple[str, ...]
    details: tuple[str, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Board:
    """The leaderboard of one experiment under one profile."""

    experiment: str
    profile: str
    title: str
    miniature: bool
    tables: tuple[Table, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the board as plain data."""
        return asdict(self)


def build_board(graph: Graph, find_record: FindRecord, miniature: bool, stages: tuple[str, ...] | None = None) -> Board:
    """Make the leaderboard of a graph from the records of its tasks.

    Args:
        graph: the experiment's graph; it names entries and says what is missing.
        find_record: key -> record, or None where there is none.
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
    tables = [_build_table(graph, json.loads(protocol), tasks, find_record) for protocol, tasks in groups.items()]
    titles = [table.title for table in tables]
    tables = [replace(t, title=f"{t.title} ({_tell_apart(t)})") if titles.count(t.title) > 1 else t for t in tables]
    return Board(graph.name, graph.profile, graph.title, miniature, tuple(tables))


def _tell_apart(table: Table) -> str:
    """Return a few digits that tell a protocol from another of the same title (another limit, size or state of the files)."""
    return "protocol " + hashlib.sha256(json.dumps(table.protocol, sort_keys=True).encode()).hexdigest()[:6]


def _build_table(graph: Graph, protocol: dict[str, Any], tasks: list[Task], find_record: FindRecord) -> Table:
    entries: dict[str, list[Task]] = {}
    for task in tasks:
        entries.setdefault(json.dumps(_identify(graph, task)), []).append(task)
    rows = [_build_row(graph, list({t.key: t for t in group}.values()), find_record) for group in entries.values()]
    columns = tuple(dict.fromkeys(name for row in rows for name in row.scores)) or (_main_score(protocol["kind"]),)
    details = tuple(name for name in columns if "/" in name) if protocol["kind"] == "benchmark" else ()
    return Table(_name_table(tasks[0]), protocol, columns, details, _rank(rows, columns[0]))


def _identify(graph: Graph, task: Task) -> tuple[str, str | None, dict[str, str]]:
    """Return what tells entries apart: how the network was trained, its test-time method, and all else but the seed."""
    trained = graph.tasks.get(task.inputs.get("checkpoint", ""))
    method = trained.label if trained is not None else str(getattr(task.settings, "model", None))
    adaptation, tuned = None, {}
    if isinstance(task.settings, StreamStage):
        adaptation = task.settings.method.name
        tuned = {  # else two learning rates of one method would be pooled as if they were seeds
            name: describe(value)
            for name, value in task.settings.method.model_dump(exclude_defaults=True).items()
            if value not in task.point.values()
        }
    named = ("${",) if trained is not None else ()
    axes = {
        axis: describe(value)
        for axis, value in task.point.items()
        if axis != SEED_AXIS and not (named and str(value).startswith(named)) and describe(value) != adaptation
    }
    return method, adaptation, axes | tuned


def _build_row(graph: Graph, tasks: list[Task], find_record: FindRecord) -> Row:
    method, adaptation, axes = _identify(graph, tasks[0])
    records = [find_record(task.key) for task in tasks]
    present = [record for record in records if record is not None]
    scored = [select_scores(record) if record is not None else {} for record in records]
    columns = dict.fromkeys(name for scores in scored for name in scores)
    missing = len(records) - len(present)
    networks = [record.network for record in present if record.network is not None]
    return Row(
        rank=None,
        method=method,
        adaptation=adaptation,
        axes=axes,
        seeds=len(present),
        runs=len(records),
        architecture=networks[0].architecture if networks else None,
        parameters=networks[0].parameters if networks else None,
        scores={name: _pool([scores.get(name) for scores in scored]) for name in columns},
        reason=f"{missing} of {len(records)} runs have no result" if missing else None,
        keys=tuple(task.key for task in tasks),
    )


def select_scores(record: Record) -> dict[str, float | None]:
    """Return the scores of a record that a table shows, the one that ranks first."""
    scores = score_record(record)
    if record.kind == "evaluate":
        return {"mIoU": scores["miou"]}
    if record.kind == "benchmark":
        cells = {name.removeprefix("miou/"): score for name, score in scores.items() if name.startswith("miou/")}
        return {
            "mPC": scores["mpc"],
            "rPC": scores["rpc"],
            "clean": scores["clean_miou"],
            "worst": scores["gam"],
            **cells,
        }
    domains: dict[str, list[float | None]] = {}
    for name, score in scores.items():
        if name.startswith("miou/"):
            domains.setdefault(name.split("/", 2)[2], []).append(score)
    means = {domain: _pool(values).mean for domain, values in domains.items()}
    drift = {"drift": scores["drift"]} if any(len(values) > 1 for values in domains.values()) else {}
    return {"mean mIoU": scores["mean_miou"], **drift, **means}


def _main_score(kind: str) -> str:
    return {"evaluate": "mIoU", "benchmark": "mPC", "stream": "mean mIoU"}[kind]


def _pool(values: list[float | None]) -> Score:
    present = [value for value in values if value is not None]
    if not present or len(present) < len(values):
        return Score(None, None, tuple(values))
    return Score(statistics.fmean(present), statistics.stdev(present) if len(present) > 1 else None, tuple(values))


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
        return f"Corruptions ({settings.protocol}): {_name_dataset(task, settings.dataset)}"
    if isinstance(settings, StreamStage):
        labels = list(dict.fromkeys(domain.label for domain in settings.stream.domains))
        rounds = f", {settings.stream.rounds} rounds" if settings.stream.rounds > 1 else ""
        reset = "" if settings.reset.policy == "never" else f", reset {settings.reset.policy}"
        return f"Test-time stream ({settings.stream.kind}{rounds}{reset}): {', '.join(labels)}"
    return task.stage


def _name_dataset(task: Task, name: str) -> str:
    dataset = task.datasets[name].settings
    split = dataset.split if isinstance(dataset.split, str) else "+".join(dataset.split)
    subset = f" ({', '.join(dataset.subset)})" if dataset.subset else ""
    return f"{dataset.type} {split}{subset}"
