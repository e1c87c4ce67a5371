"""What the command line names to be compared: a row of an experiment's leaderboard, or a task of the store."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from adapt.errors import PrerequisiteError, SpecError
from experiments.load import list_experiments
from experiments.planning import Plan
from experiments.task import describe
from orchestrator.compare.side import Side
from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.entry import SUFFIX, read_entry
from orchestrator.leaderboard.publish import make_board
from orchestrator.leaderboard.row import Row
from orchestrator.leaderboard.source import StoreSource
from orchestrator.leaderboard.table import Table
from orchestrator.record import Record
from orchestrator.store import Store

SHOWN_NAMES = 5
SCORED = ("evaluate", "benchmark", "stream")
"""Kinds of stages that can be compared."""

MakePlan = Callable[[str], Plan]
"""The name or the path of an experiment to its plan."""


class Selector:
    """Finds what is to be compared.

    Args:
        store: with the records.
        make_plan: plans an experiment under the profile that the command line asks for.
    """

    def __init__(self, store: Store, make_plan: MakePlan) -> None:
        self._store, self._make_plan = store, make_plan
        self._boards: dict[str, tuple[Plan, Board, StoreSource]] = {}

    def select(self, text: str) -> list[Side]:
        """Find what a text names.

        Args:
            text: `EXPERIMENT/entry`, the entry as its leaderboard shows it, what stands in brackets
                left out where one entry alone has the name; the first digits of a task's key; or the file of
                an entry whose tasks are in the store.

        Returns:
            One side for each table that the entry stands in, or the one of a task.

        Raises:
            SpecError: nothing, or several things, have this name; the closest are listed.
            PrerequisiteError: the task's record cannot be used.
        """
        if text.endswith(SUFFIX) and Path(text).is_file():
            return [self._select_entry(Path(text))]
        named = _split(text)
        if named is None:
            return [self._select_task(text)]
        experiment, entry = named
        if experiment not in self._boards:
            plan = self._make_plan(experiment)
            source = StoreSource(self._store, set(plan.graph.tasks))
            self._boards[experiment] = plan, make_board(plan, source), source
        plan, board, source = self._boards[experiment]
        rows = [(table, row) for table in board.tables for row in table.rows]
        found = [(table, row) for table, row in rows if row.entry == entry]
        if not found:  # without its axes, where that leaves no doubt
            short = [(table, row) for table, row in rows if row.entry.partition(" (")[0] == entry]
            found = short if len({row.entry for _, row in short}) == 1 else []
        if not found:
            raise SpecError(_explain_unknown(text, experiment, entry, board))
        return [_make_side(table, row, source, plan) for table, row in found]

    def _select_entry(self, file: Path) -> Side:
        entry = read_entry(file)
        source = StoreSource(self._store, set(entry.keys))
        records = [record for key in entry.keys if (record := source.find_record(key)) is not None]
        if not records or len(records) < len(entry.keys):
            raise PrerequisiteError(
                f"{file}: {len(records)} of the {len(entry.keys)} tasks behind the entry '{entry.name}' are in the store "
                f"{self._store.place}. An entry holds no counts of images, which a paired comparison needs: give the --store that "
                "made it."
            )
        return Side(entry.name, entry.title, records[0].protocol or {}, tuple(records), source.find_file)

    def _select_task(self, digits: str) -> Side:
        keys = sorted(key for key in self._store.list_done() if key.startswith(digits)) if digits else []
        if len(keys) != 1:
            raise SpecError(self._explain_key(digits, keys))
        record = self._store.read(keys[0])
        if record.kind not in SCORED or record.protocol is None:
            raise SpecError(
                f"task {keys[0]} is of kind '{record.kind}' and has no score. Name one of kind {', '.join(SCORED)}: `segshift "
                "store ls --kind evaluate` lists them."
            )
        source = StoreSource(self._store, {record.key})
        axes = ", ".join(f"{axis}={describe(value)}" for axis, value in record.point.items())
        name = f"{record.label} ({axes})" if axes else record.label
        return Side(name, f"{record.stage} of {record.experiment}", record.protocol, (record,), source.find_file)

    def _explain_key(self, digits: str, keys: Sequence[str]) -> str:
        if keys:
            more = " ..." if len(keys) > SHOWN_NAMES else ""
            listed = ", ".join(keys[:SHOWN_NAMES])
            return f"'{digits}' begins the keys of {len(keys)} finished tasks: {listed}{more}. Give more digits."
        return (
            f"'{digits}' is no row and no task of the store {self._store.place}. Name a row as EXPERIMENT/entry, the entry as its "
            "leaderboard shows it and quoted where it holds blanks, or a task by the first digits of its key (`segshift store ls`)."
        )


def _split(text: str) -> tuple[str, str] | None:
    """Take apart `EXPERIMENT/entry`, where either may hold slashes; None where no part names an experiment."""
    places = [place for place, character in enumerate(text) if character == "/"]
    known = list_experiments()
    for place in places:
        name = text[:place]
        if name in known or name.endswith((".yaml", ".yml")):
            return name, text[place + 1 :]
    return (text[: places[0]], text[places[0] + 1 :]) if places else None


def _explain_unknown(text: str, experiment: str, entry: str, board: Board) -> str:
    entries = list(dict.fromkeys(row.entry for table in board.tables for row in table.rows))
    plain = {name.lower(): name for name in entries}
    found = difflib.get_close_matches(entry.lower(), plain, SHOWN_NAMES, cutoff=0.3)
    close = [plain[name] for name in found] or entries[:SHOWN_NAMES]
    listed = ", ".join(f"'{experiment}/{name}'" for name in close) or "none"
    return f"{text}: the leaderboard of {experiment} ({board.profile} profile) has no entry '{entry}'. Close to it: {listed}."


def _make_side(table: Table, row: Row, source: StoreSource, plan: Plan) -> Side:
    records = [source.find_record(key) for key in row.keys]
    there: tuple[Record, ...] = tuple(record for record in records if record is not None)
    missing = [key for key, record in zip(row.keys, records, strict=True) if record is None]
    pictures = row.detail.pictures if row.detail is not None else ()
    make = partial(Side, row.entry, table.title, table.protocol, there, source.find_file, pictures)
    if not missing:
        return make()
    reason = source.explain_missing(missing[0])
    said = f"; task {missing[0]}: {reason}" if reason else ""
    remedy = f"Run `segshift sweep {plan.graph.name} --profile {plan.graph.profile}` for it"
    return make(
        problem=f"{len(missing)} of {len(row.keys)} runs of '{row.entry}' have no usable result{said}. {remedy}."
    )


def require_complete(matches: Sequence[tuple[Side, ...]]) -> tuple[list[tuple[Side, ...]], list[str]]:
    """Leave out the tables in which a side has no result.

    Args:
        matches: the sides of each table.

    Returns:
        The other tables; and why each was left out.

    Raises:
        PrerequisiteError: none is left.
    """
    problems = {place: side.problem for place, sides in enumerate(matches) for side in reversed(sides) if side.problem}
    left = [sides for place, sides in enumerate(matches) if place not in problems]
    if not left:
        raise PrerequisiteError(next(iter(problems.values())))
    return left, [f"{matches[place][0].title} is left out: {problem}" for place, problem in problems.items()]
