"""The forms of a leaderboard: terminal, Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from adapt.atomic import write_atomically
from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.columns import NUMBERS
from orchestrator.leaderboard.reference import is_relative
from orchestrator.leaderboard.row import Row, Score
from orchestrator.leaderboard.table import Table

MOST_COLUMNS = 6  # of scores beside each other in a terminal
ENTRY_WIDTH = 24  # an entry's name has this much room at least, and wraps beyond
MINIATURE_NOTICE = (
    "MINIATURE DATA: procedural scenes. These numbers compare methods on a toy, never with published ones."
)


def write_forms(board: Board, folder: Path) -> tuple[Path, ...]:
    """Write a leaderboard as Markdown, CSV and JSON into a folder; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {"leaderboard.md": to_markdown(board), "leaderboard.csv": to_csv(board), "leaderboard.json": to_json(board)}
    for name, text in texts.items():
        write_atomically(folder / name, text)
    return tuple(folder / name for name in texts)


def to_json(board: Board) -> str:
    """Return a leaderboard as JSON; a missing score is null, with the row's reason beside it."""
    return json.dumps(board.to_json(), indent=1, allow_nan=False) + "\n"


def to_csv(board: Board) -> str:
    """Return a leaderboard as CSV, one line per row and score: shares in [0, 1], others in the unit of their name."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(
        [
            "experiment",
            "profile",
            "table",
            "rank",
            "method",
            "adaptation",
            "axes",
            "score",
            "reference",
            "mean",
            "std",
            "seeds",
            "runs",
            "tuned",
            "reason",
        ]
    )
    for table in board.tables:
        for row in table.rows:
            axes = ";".join(f"{axis}={value}" for axis, value in row.axes.items())
            fixed = [
                board.experiment,
                board.profile,
                table.title,
                _plain(row.rank),
                row.method,
                row.adaptation or "",
                axes,
            ]
            for column in table.columns:
                score = row.scores.get(column, Score(None, None, ()))
                writer.writerow(
                    [
                        *fixed,
                        column,
                        table.reference or "" if is_relative(column) else "",
                        _plain(score.mean),
                        _plain(score.std),
                        row.seeds,
                        row.runs,
                        row.tuned or "",
                        score.reason or row.reason or "",
                    ]
                )
    return text.getvalue()


def to_markdown(board: Board) -> str:
    """Return a leaderboard as Markdown, shares in percent."""
    lines = [f"# {board.experiment} ({board.profile} profile)", "", board.title, ""]
    if board.overrides:
        lines += [f"Changed by overrides: `{' '.join(board.overrides)}`", ""]
    if board.miniature:
        lines += [f"> **{MINIATURE_NOTICE}**", ""]
    for table in board.tables:
        lines += [f"## {table.title}", ""]
        lines += _to_lines(table, [column for column in table.columns if column not in table.details])
        if table.details:
            lines += ["", *_to_lines(table, list(table.details))]
        lines += ["", *(f"- {note}." for note in list_notes(table)), ""]
    return "\n".join(lines).rstrip() + "\n"


def _to_lines(table: Table, columns: list[str]) -> list[str]:
    lines = ["| # | entry | seeds | " + " | ".join(columns) + " |", "|---:|---|---:|" + "---:|" * len(columns)]
    for row in table.rows:
        cells = [show_score(row.scores.get(column), column) for column in columns]
        lines.append(f"| {row.rank or '–'} | {row.entry} | {show_seeds(row)} | " + " | ".join(cells) + " |")
    return lines


def list_notes(table: Table) -> list[str]:
    """Return what is relative to what, what was tuned, why rows are not ranked and why scores are missing, each once."""
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
    return [*(references if table.reference else []), *tuned, *rows, *missing]


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
        for row in table.rows:
            shown.add_column(f"{row.rank or '–'}  {row.entry}", justify="right", overflow="fold")
        for score in scores:
            cells = [show_score(row.scores.get(score), score) for row in table.rows]
            shown.add_row(score, *cells, style="bold" if score == scores[0] else "")
        return shown
    endless = console.options.update(max_width=10_000)  # rich says of no table that it is wider than its console
    for count in range(min(len(scores), MOST_COLUMNS), 1, -1):
        shown = _list_rows(table, scores, count)
        if console.measure(shown, options=endless).minimum <= console.width:
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
    longest = max((len(row.entry) for row in table.rows), default=0)
    shown.add_column("entry", overflow="fold", min_width=min(longest, ENTRY_WIDTH))
    shown.add_column("seeds", justify="right", no_wrap=True)
    for score in scores[:count]:
        shown.add_column(score, justify="right", style="bold" if score == scores[0] else "", no_wrap=True)
    for row in table.rows:
        cells = [show_score(row.scores.get(score), score) for score in scores[:count]]
        shown.add_row(str(row.rank or "–"), row.entry, show_seeds(row), *cells)
    return shown


def _open_table(table: Table) -> RichTable:
    return RichTable(title=table.title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1))


def show_seeds(row: Row) -> str:
    """Print how many runs were scored, out of how many where some are missing."""
    return str(row.seeds) if row.seeds == row.runs else f"{row.seeds}/{row.runs}"


def show_score(score: Score | None, column: str) -> str:
    """Print a score with its standard deviation, in percent unless its column is a number; a missing one as a dash."""
    if score is None or score.mean is None:
        return "–"
    factor, digits = (1, NUMBERS[column]) if column in NUMBERS else (100, 1)
    mean = f"{factor * score.mean:.{digits}f}"
    return mean if score.std is None else f"{mean} ± {factor * score.std:.{digits}f}"


def _plain(value: float | int | None) -> str:
    return "" if value is None else f"{value:.6f}" if isinstance(value, float) else str(value)
