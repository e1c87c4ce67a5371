"""The forms of a leaderboard for a terminal and for programs (CSV, JSON), and how all forms print a score."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.columns import NUMBERS
from orchestrator.leaderboard.reference import is_relative
from orchestrator.leaderboard.row import Row, Score
from orchestrator.leaderboard.table import Table

SCHEMA_VERSION = 1  # of the JSON form; raised when a key goes away or changes its meaning
MOST_COLUMNS = 6  # of scores beside each other in a terminal
SLACK = 3  # rich measures a table with a column that folds by so much too narrow, and would crop the last score
ENTRY_WIDTH = 24  # an entry's name has this much room at least, and wraps beyond
MINIATURE_NOTICE = (
    "MINIATURE DATA: procedural scenes. These numbers compare methods on a toy, never with published ones."
)

# What a spreadsheet takes for the begin of a formula: https://owasp.org/www-community/attacks/CSV_Injection
_FORMULA = ("=", "+", "-", "@", "\t", "\n")

SELF_REPORTED_NOTE = "self-reported rows are their authors' word: nobody has run them again here"

_CSV_COLUMNS = (
    "experiment", "profile", "table", "rank", "method", "adaptation", "axes", "status", "score", "reference", "mean", "std",
    "low", "high", "seeds", "runs", "tuned", "reason", "warnings",
)  # fmt: skip


def to_json(board: Board) -> str:
    """Return a leaderboard as JSON; a missing score is null, with the row's reason beside it.

    Its schema is docs/schema/leaderboard.schema.json. The resamples behind the ranks are left out: they are in the entries.
    """
    tables = tuple(replace(t, rows=tuple(replace(row, resamples=None) for row in t.rows)) for t in board.tables)
    data = {"schema_version": SCHEMA_VERSION, **replace(board, tables=tables).to_json()}
    for table in data["tables"]:
        for row in table["rows"]:
            del row["resamples"]
    return json.dumps(data, indent=1, allow_nan=False) + "\n"


def to_csv(board: Board) -> str:
    """Return a leaderboard as CSV, one line per row and score: shares in [0, 1], others in the unit of their name.

    A text that a spreadsheet would take for a formula begins with an apostrophe.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, _CSV_COLUMNS, lineterminator="\n")
    writer.writeheader()
    for table in board.tables:
        for row in table.rows:
            fixed = {
                "experiment": _guard(board.experiment),
                "profile": _guard(board.profile),
                "table": _guard(table.title),
                "rank": _plain(row.rank),
                "method": _guard(row.method),
                "adaptation": _guard(row.adaptation or ""),
                "axes": _guard(";".join(f"{axis}={value}" for axis, value in row.axes.items())),
                "status": row.status,
                "seeds": row.seeds,
                "runs": row.runs,
                "tuned": _guard(row.tuned or ""),
                "warnings": _guard("; ".join(row.warnings)),
            }
            for column in table.columns:
                score = row.scores.get(column, Score(None, None, ()))
                bounds = {"mean": score.mean, "std": score.std, "low": score.low, "high": score.high}
                writer.writerow(
                    {
                        **fixed,
                        "score": _guard(column),
                        "reference": _guard(table.reference or "") if is_relative(column) else "",
                        **{name: _plain(value) for name, value in bounds.items()},
                        "reason": _guard(score.reason or row.reason or ""),
                    }
                )
    return text.getvalue()


def list_notes(table: Table) -> list[str]:
    """Return what a reader of a table should know, each once.

    What is relative to what, whose word rows are, what was tuned, why rows are not ranked and scores are missing, and what
    the checks found.
    """
    relative = ", ".join(name for name in table.columns if is_relative(name) and name not in table.details)
    references = [f"{relative}: 100 is {table.reference}; CD and rCD leave out noise above severity 3"]
    tuned = [f"{row.entry}: tuned: {row.tuned}" for row in table.rows if row.tuned]
    rows = [f"{row.entry}: {row.reason}" for row in table.rows if row.reason]
    scores: dict[str, dict[str, None]] = {}
    for row in table.rows:
        for column, score in row.scores.items():
            if score.reason:
                scores.setdefault(score.reason, {})[column] = None
    missing = [f"{', '.join(columns)}: {reason}" for reason, columns in scores.items()]
    doubts = [f"{row.entry}: warning: {warning}" for row in table.rows for warning in row.warnings]
    outside = [SELF_REPORTED_NOTE] if any(row.status == "self-reported" for row in table.rows) else []
    return [*(references if table.reference else []), *outside, *tuned, *rows, *missing, *doubts]


def print_board(board: Board, console: Console) -> None:
    """Print the summarising scores of a leaderboard in the terminal, in percent."""
    console.print()
    console.rule(Text(f"{board.experiment} · {board.profile} profile · leaderboard", style="bold"))
    if board.overrides:
        console.print(Text(f"changed by overrides: {' '.join(board.overrides)}", style="yellow"))
    if board.miniature:
        console.print(Text(MINIATURE_NOTICE, style="bold yellow"))
    for table in board.tables:
        console.print(_to_rich(table, console))
        for note in list_notes(table):
            console.print(Text(f"  {note}", style="dim"))


def _to_rich(table: Table, console: Console) -> RichTable:
    """Lay a table out for a terminal: entries as rows, or as columns where there are more scores than entries fit beside.

    Where there are many of both, as many scores are shown as the terminal has room for beside the entries' names.
    """
    scores = [column for column in table.columns if column not in table.details]  # the files have them all
    if len(scores) > MOST_COLUMNS and len(table.rows) <= MOST_COLUMNS:
        shown = _open_table(table)
        shown.add_column("", no_wrap=True)
        for rank, row in zip(show_ranks(table.rows), table.rows, strict=True):
            shown.add_column(f"{rank}  {show_entry(row)}", justify="right", overflow="fold")
        for score in scores:
            cells = [show_score(row.scores.get(score), score) for row in table.rows]
            shown.add_row(score, *cells, style="bold" if score == scores[0] else "")
        return shown
    endless = console.options.update(max_width=10_000)  # rich says of no table that it is wider than its console
    for count in range(min(len(scores), MOST_COLUMNS), 1, -1):
        shown = _list_rows(table, scores, count)
        if console.measure(shown, options=endless).minimum + SLACK <= console.width:
            return shown
    return _list_rows(table, scores, 1)


def _list_rows(table: Table, scores: list[str], count: int) -> RichTable:
    """Lay a table out with an entry a row and its first scores."""
    shown = _open_table(table)
    if count < len(scores):
        more = len(scores) - count
        shown.caption = f"and {more} more {'score' if more == 1 else 'scores'} in the files"
        shown.caption_justify = "left"
    shown.add_column("#", justify="right", no_wrap=True)
    longest = max((len(show_entry(row)) for row in table.rows), default=0)
    shown.add_column("entry", overflow="fold", min_width=min(longest, ENTRY_WIDTH))
    shown.add_column("seeds", justify="right", no_wrap=True)
    for score in scores[:count]:
        shown.add_column(score, justify="right", style="bold" if score == scores[0] else "", no_wrap=True)
    for rank, row in zip(show_ranks(table.rows), table.rows, strict=True):
        cells = [show_score(row.scores.get(score), score) for score in scores[:count]]
        shown.add_row(rank, show_entry(row), show_seeds(row), *cells)
    return shown


def _open_table(table: Table) -> RichTable:
    return RichTable(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))


def show_ranks(rows: Sequence[Row]) -> list[str]:
    """Print the rank of each row of a table, `2=` where several share it, and a dash where there is none."""
    counts = Counter(row.rank for row in rows)
    return ["–" if row.rank is None else f"{row.rank}{'=' if counts[row.rank] > 1 else ''}" for row in rows]


def show_entry(row: Row) -> str:
    """Print a row's name, and that it is self-reported where it is."""
    return row.entry if row.status == "reproduced" else f"{row.entry} ({row.status})"


def show_seeds(row: Row) -> str:
    """Print how many runs were scored, out of how many where some are missing."""
    return str(row.seeds) if row.seeds == row.runs else f"{row.seeds}/{row.runs}"


def show_score(score: Score | None, column: str) -> str:
    """Print a score with its standard deviation, in percent unless its column is a number; a missing one as a dash."""
    if score is None or score.mean is None:
        return "–"
    mean = show_number(score.mean, column)
    return mean if score.std is None else f"{mean} ± {show_number(score.std, column)}"


def show_interval(score: Score | None, column: str) -> str:
    """Print the 95 % interval of a score as `[67.1, 69.4]`; nothing where there is none."""
    if score is None or score.mean is None or score.low is None or score.high is None:
        return ""
    return f"[{show_number(score.low, column)}, {show_number(score.high, column)}]"


def show_number(value: float, column: str) -> str:
    """Print one number of a column: in percent unless the column is a number."""
    factor, digits = (1, NUMBERS[column]) if column in NUMBERS else (100, 1)
    return f"{factor * value:.{digits}f}"


def _guard(text: str) -> str:
    whole = text.replace("\r", "\n")  # Python's writer quotes a text for the latter only
    return f"'{whole}" if whole.startswith(_FORMULA) else whole


def _plain(value: float | int | None) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
