r"""A leaderboard as LaTeX tables for a paper: booktabs, the best of each column bold, the second underlined.

Two rows are equally good where their printed numbers are equal. Rows without a rank are shown and never marked. Cells of a
grid are left to the other files; the classes of an evaluation have a table of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.columns import has_best, is_lower_better
from orchestrator.leaderboard.forms import (
    MINIATURE_NOTICE,
    list_notes,
    show_entry,
    show_interval,
    show_number,
    show_ranks,
    show_score,
    show_seeds,
)
from orchestrator.leaderboard.table import Table

HEADER = r"% \usepackage{booktabs} in the preamble; with many columns also \usepackage{graphicx} for \resizebox"

_SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "–": "--", "±": r"$\pm$",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", "→": r"$\rightarrow$", "°": r"\textdegree{}",
    "µ": r"$\mu$", "×": r"$\times$", "·": r"$\cdot$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def to_latex(board: Board) -> str:
    """Return a leaderboard as LaTeX, one table for each protocol, shares in percent."""
    lines = [f"% {_comment(board.experiment)}, {_comment(board.profile)} profile: {_comment(board.title)}", HEADER]
    for table in board.tables:
        summary = [column for column in table.columns if column not in table.details]
        lines += ["", *_write_table(board, table, summary, list_notes(table))]
        if table.protocol["kind"] == "evaluate" and table.details:
            lines += ["", *_write_table(board, table, table.details, [])]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    r"""Return a text that LaTeX prints as it is.

    Example:
        >>> escape("100 % of source_only")
        '100 \\% of source\\_only'
    """
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split()))


def _comment(text: str) -> str:
    return " ".join(text.split())


def _write_table(board: Board, table: Table, columns: Sequence[str], notes: Sequence[str]) -> list[str]:
    caption = f"{escape(table.title)}. {escape(MINIATURE_NOTICE)}" if board.miniature else f"{escape(table.title)}."
    names = [escape(column.removeprefix("IoU/")) for column in columns]
    marks = {column: _find_marks(table, column) for column in columns}
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{caption}}}",
        rf"  \begin{{tabular}}{{rlr{'r' * len(columns)}}}",
        r"    \toprule",
        "    " + " & ".join([r"\#", "entry", "seeds", *names]) + r" \\",
        r"    \midrule",
    ]
    for rank, row in zip(show_ranks(table.rows), table.rows, strict=True):
        cells = []
        for column in columns:
            score = row.scores.get(column)
            shown = escape(show_score(score, column))
            if row.rank is not None and score is not None and score.mean is not None:
                command = marks[column].get(show_number(score.mean, column))
                shown = rf"\{command}{{{shown}}}" if command else shown
            interval = show_interval(score, column)
            cells.append(rf"{shown} {{\tiny {interval}}}" if interval else shown)
        fixed = [escape(rank), escape(show_entry(row)), show_seeds(row)]
        lines.append("    " + " & ".join([*fixed, *cells]) + r" \\")
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    lines += [rf"  \par{{\footnotesize {escape(note)}.}}" for note in notes]
    return [*lines, r"\end{table}"]


def _find_marks(table: Table, column: str) -> dict[str, str]:
    """Return how the best and the second-best printed number of a column are set; nothing where all are equal."""
    means = [row.scores[column].mean for row in table.rows if row.rank is not None and column in row.scores]
    known = sorted((mean for mean in means if mean is not None), reverse=not is_lower_better(column))
    printed = list(dict.fromkeys(show_number(mean, column) for mean in known))
    if not has_best(column) or len(printed) < 2:
        return {}
    return {printed[0]: "textbf", printed[1]: "underline"}
