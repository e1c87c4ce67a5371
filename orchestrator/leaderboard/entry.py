"""An entry: one row of a leaderboard as a file of its own, with all that a table is made from.

An entry holds what is the row's own. Its rank, and what compares it with other rows (CD, the gap closed, equal rows), is made
anew with each table. Pictures stay with the store that drew them. What only records can tell (resamples, tasks, the stage that
trained a network, the title of a table) is not believed of a self-reported row: it would bear on the ranks and numbers of others.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt, ValidationInfo, field_validator

from adapt.errors import SpecError
from adapt.settings import Settings
from experiments.document import Document
from experiments.explain import validate
from orchestrator.leaderboard.aggregates import derive_aggregates
from orchestrator.leaderboard.columns import MAIN
from orchestrator.leaderboard.entry_detail import list_detail_problems, list_resamples_problems
from orchestrator.leaderboard.entry_protocol import hash_protocol, resolve_protocol
from orchestrator.leaderboard.entry_scores import is_relative_column, list_holes, list_problems, order_columns
from orchestrator.leaderboard.row import Detail, Provenance, Resamples, Row, Score, Status, pool_scores
from orchestrator.leaderboard.strict_json import dump_json, parse_json

SCHEMA_VERSION: Literal[1] = 1
SUFFIX = ".json"
MOST_RUNS = 1000  # ours: far more than anybody trains

_SHOWN = 5  # problems that an error lists before it counts the rest
_FILLED = {  # by kind: the aggregates that are filled in where an entry leaves them out
    "benchmark": ("mPC", "rPC", "worst", "mPC fixed pixels"),
    "evaluate": ("mIoU",),
    "stream": ("mean mIoU", "drift"),
}


class Entry(Settings):
    """One row of a leaderboard.

    Attributes:
        schema_version: of this form.
        status: `reproduced` by the maintainers of the leaderboard, or `self-reported`.
        method: how the network was trained; the row's name begins with it.
        adaptation: the test-time method.
        axes: what else tells the row apart.
        seeds: how many runs were scored, out of `runs`.
        runs: how many were asked for.
        architecture: backbone and head.
        parameters: of the network.
        training_data: the data sets that the network has seen, with or without labels.
        extra_data: whether it has seen more than the benchmark's own training set; null where that is not told.
        trained_in: the stage that trained it.
        tuned: which settings were searched, out of what and on what.
        title: of its table.
        miniature: whether the data is the procedural miniature.
        protocol: all that must be equal before two scores are compared; complete, or the short form.
        scores: column -> score, shares in [0, 1]; every cell of a grid is a column such as `fog/3`.
        resamples: of the score that ranks, for ranks by a paired bootstrap.
        detail: classes, rounds and reliability.
        provenance: where the numbers come from; `source` names a paper, a page or a person.
        reason: why it is not ranked.
        warnings: what its own records leave in doubt.
        keys: the tasks behind it.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    status: Status = "self-reported"
    method: Annotated[str, Field(min_length=1)]
    adaptation: str | None = None
    axes: dict[str, str] = {}
    seeds: Annotated[StrictInt, Field(ge=1)] = 1
    runs: Annotated[StrictInt, Field(ge=1, le=MOST_RUNS)] = 1
    architecture: str | None = None
    parameters: Annotated[StrictInt, Field(ge=0)] | None = None
    training_data: tuple[str, ...] = ()
    extra_data: StrictBool | None = None
    trained_in: str = ""
    tuned: str | None = None
    title: str = ""
    miniature: StrictBool = False
    protocol: dict[str, Any]
    scores: dict[str, Score]
    resamples: Resamples | None = None
    detail: Detail | None = None
    provenance: Provenance | None = None
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @field_validator("method")
    @classmethod
    def _check_method(cls, method: str) -> str:
        if not method.strip():
            raise ValueError("a name is wanted here: the row is found by it")
        return method

    @field_validator("scores", mode="before")
    @classmethod
    def _complete_scores(cls, scores: Any, info: ValidationInfo) -> Any:
        """Take a bare number for a mean, and fill in what a score leaves out."""
        if not isinstance(scores, dict):
            return scores
        is_run = info.data.get("runs") == 1
        return {name: _complete_score(name, score, is_run) for name, score in scores.items()}

    @field_validator("provenance", mode="before")
    @classmethod
    def _complete_provenance(cls, provenance: Any) -> Any:
        return {"command": "", **provenance} if isinstance(provenance, dict) else provenance

    @property
    def name(self) -> str:
        """The row's name as shown."""
        return self.to_row().entry

    def to_row(self) -> Row:
        """Return the row of this entry, not ranked yet."""
        shared = {name: getattr(self, name) for name in _SHARED}
        return Row(rank=None, **shared)


_UNTOLD: dict[str, Any] = {"title": "", "trained_in": "", "keys": (), "resamples": None}
"""What is not believed of a self-reported row -> what it has instead."""

_SHARED = tuple(name for name in Entry.model_fields if name in Row.__dataclass_fields__)


def make_entry(row: Row, protocol: Mapping[str, Any], title: str, miniature: bool) -> Entry:
    """Return the entry of a row: without its rank, its pictures, and the columns that compare it with other rows.

    Args:
        row: of a table.
        protocol: of the table, complete.
        title: of the table.
        miniature: whether the data is the procedural miniature.
    """
    shared = {name: getattr(row, name) for name in _SHARED}
    shared["scores"] = {column: score for column, score in row.scores.items() if not is_relative_column(column)}
    shared["detail"] = None if row.detail is None else replace(row.detail, pictures=())
    if row.resamples is not None:  # of images without a labelled pixel there is no score, and no JSON
        scores = tuple(None if each is None or math.isnan(each) else each for each in row.resamples.scores)
        shared["resamples"] = replace(row.resamples, scores=scores)
    return Entry(**shared, title=title, miniature=miniature, protocol=dict(protocol))


def name_file(entry: Entry) -> str:
    """Return the name of an entry's file: a slug of its name, and digits that tell its protocol and its exact name.

    Axes in another order make no other row.
    """
    name = replace(entry.to_row(), axes=dict(sorted(entry.axes.items()))).entry
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60] or "entry"
    identity = f"{hash_protocol(entry.protocol)}\n{name}"
    return f"{slug}-{hash_protocol({'identity': identity})[:10]}{SUFFIX}"


def dump_entry(entry: Entry) -> str:
    """Return the text of an entry's file: sorted keys, one a line, without what is empty."""
    data = entry.model_dump(mode="json", exclude={"scores", "provenance", "detail", "resamples"})
    parts = {name: _prune(vars(part)) for name in ("provenance", "detail") if (part := getattr(entry, name))}
    parts |= {} if entry.resamples is None else {"resamples": vars(entry.resamples)}
    scores = {column: _dump_score(score) for column, score in entry.scores.items()}
    told = {name: value for name, value in data.items() if value not in (None, [], {}, "")}
    return dump_json({**told, "scores": scores, **parts}, as_it_is=("axes",))  # they stand in the row's name


def read_entry(path: Path) -> Entry:
    """Read an entry, its protocol complete and its aggregates filled in where it leaves them out.

    Raises:
        SpecError: the file cannot be read, is no entry of this version, or holds what cannot be; file, key and remedy named.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read ({error}). Check the path.") from error
    return parse_entry(text, str(path))


def parse_entry(text: str, origin: str) -> Entry:
    """Read an entry from its text; see `read_entry`.

    Args:
        text: JSON.
        origin: what an error calls it.
    """
    data = parse_json(text, origin)
    if not isinstance(data, dict):
        raise SpecError(
            f"{origin}: an entry is one object with a `method`: rows are found by name, never by their place in a list."
        )
    version = data.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION or isinstance(version, bool):
        raise SpecError(
            f"{origin}: schema_version: {version!r}, but this segshift reads {SCHEMA_VERSION}. Use the segshift that wrote it."
        )
    if isinstance(data.get("protocol"), dict):
        data = {**data, "protocol": resolve_protocol(data["protocol"], origin)}
    entry: Entry = validate(Entry, data, Document(data, {(): origin}))
    is_told = entry.status == "self-reported"
    entry = entry.model_copy(update=_UNTOLD) if is_told else entry
    problems = _list_problems(entry, is_told)
    if problems:
        rest = [f"... and {len(problems) - _SHOWN} more."] if len(problems) > _SHOWN else []
        raise SpecError("\n".join([*(f"{origin}: {problem}" for problem in problems[:_SHOWN]), *rest]))
    filled = _fill_aggregates(entry)
    main = MAIN[entry.protocol["kind"]]
    if main not in filled.scores and filled.reason is None and not list_holes(filled.scores, filled.protocol):
        raise SpecError(f"{origin}: scores.{main}: this score ranks the row, and is missing.")
    columns = order_columns(filled.scores, filled.protocol)
    scores = {column: filled.scores[column] for column in columns}
    return filled.model_copy(update={"scores": scores, "reason": filled.reason or _explain_holes(filled)})


def _list_problems(entry: Entry, is_told: bool) -> list[str]:
    problems = list_problems(entry.scores, entry.protocol, entry.runs, entry.reason is not None, is_told)
    if entry.seeds > entry.runs:
        problems.append(f"seeds: {entry.seeds} runs were scored out of {entry.runs}: correct `seeds` or `runs`.")
    problems += list_detail_problems(entry.detail) if entry.detail is not None else ()
    problems += list_resamples_problems(entry.resamples) if entry.resamples is not None else ()
    return problems


def _explain_holes(entry: Entry) -> str | None:
    """Say why a row with a hole is not ranked, whatever it states itself; None where it has none."""
    if entry.seeds < entry.runs:
        return f"{entry.runs - entry.seeds} of {entry.runs} runs have no result"
    holes = list_holes(entry.scores, entry.protocol)
    rest = f" and {len(holes) - _SHOWN} more" if len(holes) > _SHOWN else ""
    return f"no score of {', '.join(holes[:_SHOWN])}{rest}" if holes else None


def _fill_aggregates(entry: Entry) -> Entry:
    wanted = [column for column in _FILLED[entry.protocol["kind"]] if column not in entry.scores]
    if not wanted:
        return entry
    derived = derive_aggregates(entry.to_row(), entry.protocol)
    found = {column: derived[column] for column in wanted if column in derived}
    known = {  # of several runs that are not told apart, the mean of their means is no run's value
        column: score if len(score.values) == entry.runs else replace(score, values=())
        for column, score in found.items()
    }
    return entry.model_copy(update={"scores": {**entry.scores, **known}})


def _complete_score(name: str, score: Any, is_run: bool) -> Any:
    """Complete one score; `is_run` says that the row has one run, so that a mean is its value."""
    if isinstance(score, int | float) and not isinstance(score, bool):
        return {"mean": score, "std": None, "values": [score] if is_run else []}
    if score is None:
        return {"mean": None, "std": None, "values": [], "reason": "not measured"}
    if not isinstance(score, dict):
        return score
    texts = [key for key in ("mean", "std", "low", "high") if isinstance(score.get(key), str | bool)]
    if texts:
        raise ValueError(f"{name}.{texts[0]} is a number, without quotes, not {score[texts[0]]!r}")
    values = score.get("values", [score["mean"]] if is_run and score.get("mean") is not None else [])
    known = isinstance(values, list) and values and all(type(each) in (int, float) for each in values)
    pooled = pool_scores(values) if known else Score(None, None, ())
    return {"mean": pooled.mean, "std": pooled.std, "values": values, **score}


def _dump_score(score: Score) -> dict[str, Any]:
    """Drop what reading fills in again; a deviation that is none stays where reading would take the values'."""
    told = {"std": None} if score.std is None and len(score.values) > 1 else {}
    return {**_prune(vars(score)), "mean": score.mean, "values": list(score.values), **told}


def _prune(data: Mapping[str, Any]) -> dict[str, Any]:
    """Drop what is None or empty, which reading fills in again."""
    return {name: value for name, value in data.items() if value is not None and value not in ((), {}, [])}
