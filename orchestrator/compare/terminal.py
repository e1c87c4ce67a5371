"""How a comparison is printed on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.compare.comparison import Comparison, Difference, Pair
from orchestrator.compare.measure import ROUNDS, SCORES
from orchestrator.leaderboard.row import Score

KEPT_ORDER = (
    SCORES,
    ROUNDS,
)  # groups that are not sorted: the score that ranks comes first, and rounds follow each other


def print_comparison(comparison: Comparison, console: Console) -> None:
    """Print every difference of a comparison in percentage points, group by group, the largest gain first."""
    console.print()
    console.rule(Text(comparison.title, style="bold"))
    console.print(Text(f"baseline A: {comparison.sides[0]}", style="bold"))
    for letter, pair in zip("BCDEFGHIJKLMNOPQRSTUVWXYZ", comparison.pairs, strict=False):
        console.print(_draw_pair(pair, letter))
    for note in list_notes(comparison):
        console.print(Text(f"  {note}", style="dim"))


def list_notes(comparison: Comparison) -> list[str]:
    """Return what a reader of the numbers should know, in sentences without a full stop."""
    how = [
        f"mIoU and IoU in percent, differences in points; [95 % interval] of {comparison.resamples} paired resamples of "
        f"{comparison.images} images"
    ]
    return [*(how if comparison.resamples else ["mIoU and IoU in percent, differences in points"]), *comparison.notes]


def group_differences(pair: Pair) -> dict[str, list[Difference]]:
    """Return group -> its differences, the largest gain first; groups that have an order of their own keep it."""
    groups: dict[str, list[Difference]] = {}
    for one in pair.differences:
        groups.setdefault(one.group, []).append(one)
    return {name: rows if name in KEPT_ORDER else _sort(rows) for name, rows in groups.items()}


def _sort(rows: Sequence[Difference]) -> list[Difference]:
    return sorted(rows, key=lambda one: (one.difference.mean is None, -(one.difference.mean or 0.0)))


def _draw_pair(pair: Pair, letter: str) -> Table:
    table = Table(
        title=Text(f"{letter}: {pair.second}", style="bold"), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1)
    )
    table.add_column("", overflow="fold")
    for title in ("A", letter, f"{letter} - A", "95 % interval", ""):
        table.add_column(title, justify="left" if not title else "right", no_wrap=True)
    for group, rows in group_differences(pair).items():
        if group != SCORES:
            table.add_row(Text(group, style="italic dim"))
        for one in rows:
            table.add_row(
                Text(one.name),
                show_value(one.first),
                show_value(one.second),
                Text(show_points(one.difference.mean), style=_choose_style(one)),
                Text(show_interval(one.difference)),
                mark(one),
            )
        table.add_section()
    return table


def mark(one: Difference) -> str:
    """Return `*` for a difference that survives Holm's correction, `+` for one whose interval alone excludes 0."""
    return "*" if one.survives else "+" if one.excludes_zero else ""


def show_value(score: Score) -> str:
    """Print a share in percent with its spread over runs; a missing one as a dash."""
    if score.mean is None:
        return "–"
    return f"{100 * score.mean:.1f}" + (f" ± {100 * score.std:.1f}" if score.std is not None else "")


def show_points(value: float | None) -> str:
    """Print a difference of shares in points, with its sign."""
    return "–" if value is None else f"{100 * value:+.1f}"


def show_interval(score: Score) -> str:
    """Print the bounds of a difference in points."""
    return f"[{show_points(score.low)}, {show_points(score.high)}]" if score.low is not None else ""


def _choose_style(one: Difference) -> str:
    if not one.excludes_zero or one.difference.mean is None:
        return "dim" if one.difference.low is not None else ""
    return "green" if one.difference.mean > 0 else "red"
