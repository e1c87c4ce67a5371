"""A table of a leaderboard as a page shows it: what its template prints, and what its script draws from."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from orchestrator.leaderboard.columns import NUMBERS
from orchestrator.leaderboard.forms import list_notes, show_number, show_score, show_seeds
from orchestrator.leaderboard.page.groups import find_family, group_columns, split_cell
from orchestrator.leaderboard.page.pictures import Album
from orchestrator.leaderboard.row import Detail, Provenance, Row, Score
from orchestrator.leaderboard.table import Table

KINDS = {"evaluate": "Clean images", "benchmark": "Corruptions", "stream": "Test-time stream"}
PLAIN_ROWS = 200  # ours: up to as many rows the cells of a grid are readable without a script as well
_SHARE_DIGITS, _NUMBER_DIGITS = 7, 6  # ours, of scores for the script, which prints a share in percent with one digit

STATUS = {"reproduced": "reproduced here", "self-reported": "self-reported"}


def describe_table(experiment: str, table: Table) -> dict[str, Any]:
    """Return what the template shows of a table: its head, its rows as text, its notes and its protocol."""
    rows = [_clean_row(row) for row in table.rows]
    kind = str(table.protocol.get("kind", ""))
    summary = [column for column in table.columns if column not in table.details]
    shared = Counter(row.rank for row in rows)
    plain = group_columns(kind, table.details) if len(rows) <= PLAIN_ROWS else {}
    stripped = replace(table, rows=tuple(replace(row, reason=None, tuned=None, warnings=()) for row in rows))
    identity = identify_table(experiment, table)
    return {
        "id": identity,
        "title": table.title,
        "kind": KINDS.get(kind, kind),
        "main": table.columns[0] if table.columns else "",
        "summary": summary,
        "details": len(table.details),
        "rows": [
            _show_row(row, key, summary, shared) for row, key in zip(rows, identify_rows(identity, rows), strict=True)
        ],
        "plain": [
            {
                "name": name,
                "columns": columns,
                "rows": [
                    {"entry": row.entry, "cells": [show_score(row.scores.get(c), c) for c in columns]} for row in rows
                ],
            }
            for name, columns in plain.items()
        ],
        "notes": list_notes(stripped),
        "reference": table.reference,
        "protocol": list(_flatten(_shorten_cells(table.protocol))),
    }


def describe_data(experiment: str, table: Table, album: Album) -> dict[str, Any]:
    """Return what the script needs of a table: numbers to sort by, and what each row opens to."""
    rows = [_clean_row(row) for row in table.rows]
    kind = str(table.protocol.get("kind", ""))
    cells = {column: cell for column in table.columns if (cell := split_cell(column)) is not None}
    identity = identify_table(experiment, table)
    return {
        "id": identity,
        "kind": kind,
        "columns": table.columns,
        "digits": {column: NUMBERS[column] for column in table.columns if column in NUMBERS},
        "groups": [{"name": name, "columns": cs} for name, cs in group_columns(kind, table.details).items()],
        "families": {name: find_family(name) for name, _ in cells.values()} if kind == "benchmark" else {},
        "data": name_datasets(table.protocol),
        "rows": [
            _describe_row(row, key, table.columns, album, original)
            for row, key, original in zip(rows, identify_rows(identity, rows), table.rows, strict=True)
        ],
    }


def identify_table(experiment: str, table: Table) -> str:
    """Return the id of a table in a page: the same whenever its experiment and protocol are the same."""
    protocol = json.dumps(table.protocol, sort_keys=True, default=str)
    return f"{_slug(experiment)}-{_digest(protocol + table.title)}"


def identify_rows(table: str, rows: Sequence[Row]) -> list[str]:
    """Return an id for each row of a table that stays when other rows come and go; equal entries are numbered."""
    seen: Counter[str] = Counter()
    result = []
    for row in rows:
        digest = _digest(row.entry)
        seen[digest] += 1
        result.append(f"{table}-{digest}" + (f"-{seen[digest]}" if seen[digest] > 1 else ""))
    return result


def name_datasets(protocol: Mapping[str, Any]) -> list[str]:
    """Return the kinds of data sets that a protocol scores on, for a filter."""
    one, several = protocol.get("dataset"), protocol.get("datasets")
    found = [one] if one is not None else list(several.values()) if isinstance(several, Mapping) else []
    names = [str(data.get("type", "")) if isinstance(data, Mapping) else str(data) for data in found]
    return [name for name in dict.fromkeys(names) if name]


def _show_row(row: Row, key: str, summary: Sequence[str], shared: Counter[int | None]) -> dict[str, Any]:
    main = row.scores.get(summary[0]) if summary else None
    return {
        "id": key,
        "rank": "–" if row.rank is None else f"{row.rank}=" if shared[row.rank] > 1 else str(row.rank),
        "entry": row.entry,
        "architecture": row.architecture or "–",
        "parameters": show_parameters(row.parameters),
        "seeds": show_seeds(row),
        "status_text": _show_status(row),
        "status_badge": "warn" if row.status == "self-reported" else "good" if row.seeds else "",
        "reason": row.reason,
        "warnings": row.warnings,
        "bar": _draw_bar(main, summary[0]) if summary else None,
        "cells": [_show_cell(row.scores.get(column), column, row) for column in summary],
    }


def _show_status(row: Row) -> str:
    """Say whose word a row is; one of this store without a single result reproduces nothing yet."""
    return STATUS[row.status] if row.seeds or row.status == "self-reported" else "no result yet"


def _show_cell(score: Score | None, column: str, row: Row) -> dict[str, Any]:
    if score is None or score.mean is None:
        reason = (score.reason if score is not None else None) or row.reason or "not measured"
        return {"text": "–", "std": None, "interval": None, "reason": reason}
    mean, _, std = show_score(score, column).partition(" ± ")
    interval = None
    if score.low is not None and score.high is not None:
        low, high = (show_score(Score(end, None, ()), column) for end in (score.low, score.high))
        interval = f"{low} to {high}"
    return {"text": mean, "std": std or None, "interval": interval, "reason": None}


def _draw_bar(score: Score | None, column: str) -> dict[str, float] | None:
    """Return the ends of a bar and of its interval in percent of the room; None where the score is no share."""
    if score is None or score.mean is None or column in NUMBERS:
        return None
    ends = {"value": score.mean, "low": score.low, "high": score.high}
    return {name: round(100 * min(max(end, 0.0), 1.0), 2) for name, end in ends.items() if end is not None}


def show_parameters(count: int | None) -> str:
    """Print a number of parameters in millions, or in thousands below a hundred thousand."""
    if count is None:
        return "–"
    return f"{count / 1e6:.2f} M" if count >= 100_000 else f"{count / 1e3:.1f} k"


def _describe_row(row: Row, key: str, columns: Sequence[str], album: Album, original: Row) -> dict[str, Any]:
    scores = [row.scores.get(column) for column in columns]

    def pick(name: str) -> list[float | None] | None:
        values = [None if score is None else getattr(score, name) for score in scores]
        if all(value is None for value in values):
            return None
        return [_round(value, column) for value, column in zip(values, columns, strict=True)]

    described = {
        "id": key,
        "entry": row.entry,
        "method": row.method,
        "adaptation": row.adaptation,
        "rank": row.rank,
        "architecture": row.architecture,
        "parameters": row.parameters,
        "seeds": row.seeds,
        "runs": row.runs,
        "status": row.status,
        "data": row.training_data,
        "reason": row.reason,
        "tuned": row.tuned,
        "warnings": row.warnings,
        "missing": {c: s.reason for c, s in zip(columns, scores, strict=True) if s is not None and s.reason},
        **{name: pick(name) for name in ("mean", "std", "low", "high")},
        "detail": None if row.detail is None else _describe_detail(row.detail),
        "pictures": album.shown.get(id(original)),
        "colours": album.colours.get(id(original)),
        "leftOut": album.left_out.get(id(original)),
        "provenance": None if row.provenance is None else _describe_provenance(row.provenance),
    }
    return {name: value for name, value in described.items() if value not in (None, (), {}, [])}


def _describe_detail(detail: Detail) -> dict[str, Any]:
    return {
        "classes": detail.classes,
        "classIou": {name: _round_all(values) for name, values in detail.class_iou.items()},
        "rounds": {name: _round_all(values) for name, values in detail.rounds.items()},
        "reliability": {name: [_round_all(line, 2) for line in bins] for name, bins in detail.reliability.items()},
    }


def _describe_provenance(provenance: Provenance) -> dict[str, Any]:
    return {name: value for name, value in asdict(provenance).items() if value not in (None, (), {}, "")}


def _round(value: float | None, column: str) -> float | None:
    if value is None:
        return None
    kept = float(f"{value:.{_NUMBER_DIGITS}g}") if column in NUMBERS else round(value, _SHARE_DIGITS)
    return (
        kept if show_number(kept, column) == show_number(value, column) else value
    )  # a number rounded twice may differ


def _round_all(values: Sequence[float | None], digits: int = _SHARE_DIGITS) -> list[float | None]:
    return [None if value is None or not math.isfinite(value) else round(value, digits) for value in values]


def _clean_row(row: Row) -> Row:
    """Return a row whose scores are numbers or missing: what is not finite is missing."""
    if all(_is_sound(score) for score in row.scores.values()):
        return row
    return replace(row, scores={column: _clean(score) for column, score in row.scores.items()})


def _is_sound(score: Score) -> bool:
    return all(end is None or math.isfinite(end) for end in (score.mean, score.std, score.low, score.high))


def _clean(score: Score) -> Score:
    if _is_sound(score):
        return score
    if score.mean is None or not math.isfinite(score.mean):
        return Score(None, None, score.values, score.reason or "the stored score is no finite number")
    std, low, high = (e if e is None or math.isfinite(e) else None for e in (score.std, score.low, score.high))
    return replace(score, std=std, low=low, high=high)


def _shorten_cells(protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return a protocol in which the cells of a grid are told by corruption instead of one by one."""
    cells = protocol.get("cells")
    if not isinstance(cells, Sequence) or isinstance(cells, str):
        return dict(protocol)
    severities: dict[str, list[str]] = {}
    for cell in cells:
        if not isinstance(cell, Sequence) or len(cell) != 2:
            return dict(protocol)
        severities.setdefault(str(cell[0]), []).append(str(cell[1]))
    by_severities: dict[str, list[str]] = {}
    for name, levels in severities.items():
        by_severities.setdefault(", ".join(levels), []).append(name)
    told = "; ".join(f"{', '.join(names)} at severity {levels}" for levels, names in by_severities.items())
    return {**protocol, "cells": f"{len(cells)}: {told}"}


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted name and the text of every leaf of plain data; nothing of what is not set."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for index, item in enumerate(value, 1):
            yield from _flatten(item, f"{name} {index}")
    elif value not in (None, [], (), ""):
        yield name, ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "table"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]
