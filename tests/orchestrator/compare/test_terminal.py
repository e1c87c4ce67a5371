"""A comparison in a terminal of 80 columns."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from orchestrator.compare.comparison import Difference, compare_sides
from orchestrator.compare.terminal import group_differences, mark, print_comparison, show_interval
from orchestrator.leaderboard.row import Score


def draw(comparison, width: int = 80) -> str:
    file = io.StringIO()
    print_comparison(comparison, Console(file=file, width=width))
    return file.getvalue()


def make(name: str, difference: float | None, group: str = "classes", **fields: object) -> Difference:
    low, high = (None, None) if difference is None else (difference - 0.01, difference + 0.01)
    score = Score(0.5, None, (0.5,))
    return Difference(group, name, score, score, Score(difference, None, (), low=low, high=high), **fields)  # type: ignore[arg-type]


def test_every_difference_fits_80_columns_with_its_interval(compare_kind) -> None:
    comparison = compare_sides(compare_kind("benchmark", runs=2, accuracies=(0.3, 0.7)))
    text = draw(comparison)
    assert max(len(line) for line in text.splitlines()) <= 80
    for one in comparison.pairs[0].differences:
        (line,) = [
            line
            for line in text.splitlines()
            if line.split()[:1] == [one.name] and show_interval(one.difference) in line
        ]
        assert line.rstrip().endswith("*")
        assert f"{100 * one.difference.mean:+.1f}" in line
    assert "baseline A: plain" in text
    assert "± " in text


def test_a_group_is_sorted_from_gain_to_loss_and_scores_keep_their_order(compare_kind) -> None:
    pair = compare_sides(compare_kind("evaluate")).pairs[0]
    rows = [make("mIoU", -0.2, "scores"), make("clean", 0.3, "scores")]
    rows += [make("b", -0.1), make("none", None), make("a", 0.2), make("c", 0.0)]
    groups = group_differences(replace(pair, differences=tuple(rows)))
    assert [one.name for one in groups["scores"]] == ["mIoU", "clean"]
    assert [one.name for one in groups["classes"]] == ["a", "c", "b", "none"]


def test_marks_tell_what_survives_from_what_only_excludes_zero() -> None:
    assert mark(make("a", 0.5, survives=True)) == "*"
    assert mark(make("a", 0.5)) == "+"
    assert mark(make("a", 0.005)) == ""
    assert mark(make("a", None)) == ""
    assert show_interval(make("a", -0.1).difference) == "[-11.0, -9.0]"


def test_brackets_in_names_are_text(compare_kind) -> None:
    one, other = compare_kind("evaluate")
    text = draw(compare_sides([one, replace(other, name="tent [bold]x[/bold]")]))
    assert "B: tent [bold]x[/bold]" in text
