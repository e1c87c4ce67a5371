"""LaTeX tables: the best bold, the second underlined, by the direction of the column; every name printed as it is."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.columns import has_best, is_lower_better
from orchestrator.leaderboard.latex import escape, to_latex
from orchestrator.leaderboard.row import Row, Score
from orchestrator.leaderboard.table import Table
from tests.orchestrator.leaderboard.rows import BENCHMARK, EVALUATION, give, make_row

HOSTILE = r"50%_of $x^2$ & {a} \input{/etc/passwd} ~#1"


def build_board(*rows: Row, columns: tuple[str, ...] = ("mPC", "CD"), details: tuple[str, ...] = ()) -> Board:
    protocol = EVALUATION if columns[0] == "mIoU" else BENCHMARK
    table = Table("Corruptions (three): cityscapes val", protocol, (*columns, *details), details, rows)
    return Board("by_hand", "full", "100 % of it?", False, (table,))


def read_rows(text: str) -> list[list[str]]:
    """Return the cells of each row of the body."""
    body = text.split(r"\midrule")[1].split(r"\bottomrule")[0]
    return [[cell.strip() for cell in line.split(" & ")] for line in body.replace(r"\\", "").strip().splitlines()]


def rank(*pairs: tuple[float, float]) -> list[Row]:
    return [
        replace(make_row(f"row{n}", {"mPC": give(mpc), "CD": give(cd)}), rank=n) for n, (mpc, cd) in enumerate(pairs, 1)
    ]


def test_the_best_is_bold_and_the_second_underlined_where_less_is_better_too() -> None:
    rows = read_rows(to_latex(build_board(*rank((0.5, 0.9), (0.4, 0.8), (0.3, 1.0)))))
    assert [cells[3] for cells in rows] == [r"\textbf{50.0}", r"\underline{40.0}", "30.0"]
    assert [cells[4] for cells in rows] == [r"\underline{90.0}", r"\textbf{80.0}", "100.0"]


def test_numbers_that_print_alike_are_equally_good() -> None:
    rows = read_rows(to_latex(build_board(*rank((0.50004, 1.0), (0.50001, 1.0), (0.4, 1.0)))))
    assert [cells[3] for cells in rows] == [r"\textbf{50.0}", r"\textbf{50.0}", r"\underline{40.0}"]
    assert [cells[4] for cells in rows] == ["100.0"] * 3  # all alike: none is the best


def test_a_row_without_a_rank_is_never_marked() -> None:
    ranked, unranked = rank((0.5, 0.9), (0.9, 0.1))
    third = replace(ranked, method="third", rank=2, scores={"mPC": give(0.4), "CD": give(0.95)})
    rows = read_rows(to_latex(build_board(ranked, third, replace(unranked, rank=None))))
    assert [cells[3] for cells in rows] == [r"\textbf{50.0}", r"\underline{40.0}", "90.0"]


def test_intervals_are_tiny_and_stand_outside_the_mark() -> None:
    first, second = rank((0.5, 0.9), (0.4, 0.8))
    bounded = replace(first, scores={**first.scores, "mPC": Score(0.5, 0.01, (0.49, 0.51), None, 0.48, 0.52)})
    (cells, _) = read_rows(to_latex(build_board(bounded, second)))
    assert cells[3] == r"\textbf{50.0 $\pm$ 1.0} {\tiny [48.0, 52.0]}"


def test_the_classes_of_an_evaluation_have_a_table_of_their_own_and_cells_have_none() -> None:
    row = replace(make_row("a", {"mIoU": give(0.5), "IoU/road": give(0.9)}), rank=1)
    text = to_latex(build_board(row, columns=("mIoU",), details=("IoU/road",)))
    assert text.count(r"\begin{table}") == 2
    assert r"\# & entry & seeds & road \\" in text
    grid = replace(make_row("a", {"mPC": give(0.5), "fog/1": give(0.9)}), rank=1)
    assert "fog" not in to_latex(build_board(grid, columns=("mPC",), details=("fog/1",)))


def test_special_characters_are_escaped() -> None:
    assert escape(HOSTILE) == (
        r"50\%\_of \$x\textasciicircum{}2\$ \& \{a\} \textbackslash{}input\{/etc/passwd\} \textasciitilde{}\#1"
    )
    text = to_latex(build_board(replace(make_row(HOSTILE, {}), rank=1, reason="a_b")))
    assert not re.search(r"(?<!\\)input\{", text)
    assert r"a\_b" in text


def test_a_title_of_two_lines_stays_a_comment() -> None:
    board = replace(build_board(), title="one\n\\input{x}")
    assert all(line.startswith("%") for line in to_latex(board).split(r"\begin{table}")[0].splitlines() if line)


@pytest.mark.parametrize(
    ("column", "lower"),
    [
        ("mIoU", False), ("mPC", False), ("drift", False), ("frames/s", False), ("worst", False), ("CD", True),
        ("rCD", True), ("mCE", True), ("relative mCE", True), ("CD/fog", True), ("ECE", True), ("ECE corrupted", True),
        ("GFLOPs/frame", True), ("peak memory (GB)", True), ("forgetting", True), ("parameters", True),
    ],
)  # fmt: skip
def test_a_column_knows_its_direction(column: str, lower: bool) -> None:
    assert is_lower_better(column) is lower
    assert has_best(column)


def test_what_only_says_what_happened_has_no_best() -> None:
    assert not has_best("updates")
    rows = [replace(make_row(str(n), {"mPC": give(n / 9), "updates": give(n)}), rank=n) for n in (1, 2)]
    assert [cells[4] for cells in read_rows(to_latex(build_board(*rows, columns=("mPC", "updates"))))] == ["1", "2"]


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_it_compiles(tmp_path: Path) -> None:
    rows = [*rank((0.5, 0.9), (0.4, 0.8)), replace(make_row(HOSTILE, {}), reason="→ 1 × 2 | 3 µ")]
    text = to_latex(build_board(*rows))
    preamble = r"\documentclass{article}\usepackage{booktabs}\usepackage[T1]{fontenc}"
    (tmp_path / "a.tex").write_text(rf"{preamble}\begin{{document}}{text}\end{{document}}")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "a.tex"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout[-2000:]
