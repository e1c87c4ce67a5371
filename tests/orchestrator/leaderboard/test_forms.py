"""The forms of one board agree with each other and with the numbers it was made of."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest
from rich.console import Console

from orchestrator.leaderboard.board import Board
from orchestrator.leaderboard.forms import (
    MINIATURE_NOTICE,
    print_board,
    show_score,
    to_csv,
    to_json,
)
from orchestrator.leaderboard.markdown import to_markdown
from orchestrator.leaderboard.row import Row, Score
from orchestrator.leaderboard.table import Table


def build_row(rank: int | None, method: str, mean: float | None, std: float | None = None, **fields) -> Row:
    scores = {"mIoU": Score(mean, std, (mean,)), "drift": Score(None, None, (None,))}
    made = {
        "rank": rank, "method": method, "adaptation": None, "axes": {}, "seeds": 3, "runs": 3, "architecture": "Toy",
        "parameters": 7, "scores": scores, "reason": None, "keys": ("k",), "trained_in": method,
    }  # fmt: skip
    return Row(**(made | fields))


@pytest.fixture
def board() -> Board:
    rows = (
        build_row(1, "daformer", 0.683456789, 0.0123),
        build_row(2, "source_only", 0.456, adaptation="tent", axes={"lr": "0.1", "crop": "a, b"}),
        build_row(None, "broken", None, scores={}, seeds=0, runs=2, reason="2 of 2 runs have no result"),
    )
    table = Table("Clean: cityscapes val", {"kind": "evaluate"}, ("mIoU", "drift"), (), rows)
    return Board("byhand", "mini", "A question", True, (table,))


def test_markdown_shows_percent_ranks_gaps_and_reasons(board: Board) -> None:
    lines = to_markdown(board).splitlines()
    assert lines[0] == "# byhand (mini profile)"
    assert "| # | entry | seeds | mIoU | drift |" in lines
    assert "| 1 | daformer | 3 | 68.3 ± 1.2 | – |" in lines
    assert "| 2 | source_only + tent (lr=0.1, crop=a, b) | 3 | 45.6 | – |" in lines
    assert "| – | broken | 0/2 | – | – |" in lines
    assert "- broken: 2 of 2 runs have no result." in lines


def test_csv_and_json_agree(board: Board) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(board))))
    data = json.loads(to_json(board))
    (table,) = data["tables"]
    assert len(rows) == 3 * 2
    for line in rows:
        (row,) = [r for r in table["rows"] if r["method"] == line["method"]]
        score = row["scores"].get(line["score"], {"mean": None, "std": None})
        for name in ("mean", "std"):
            expected = score[name]
            assert (line[name] == "") == (expected is None)
            assert expected is None or float(line[name]) == pytest.approx(expected, abs=5e-7)
        assert (line["rank"] or None) == (None if row["rank"] is None else str(row["rank"]))
        assert (line["adaptation"] or None) == row["adaptation"]
        assert (int(line["seeds"]), int(line["runs"])) == (row["seeds"], row["runs"])
        assert (line["reason"] or None) == row["reason"]
        assert (line["experiment"], line["profile"], line["table"]) == (data["experiment"], "mini", table["title"])
    assert rows[0]["mean"] == "0.683457"
    assert rows[2]["axes"] == "lr=0.1;crop=a, b"


def test_markdown_and_json_agree(board: Board) -> None:
    (table,) = json.loads(to_json(board))["tables"]
    shown = [line.split(" | ") for line in to_markdown(board).splitlines() if line.startswith(("| 1", "| 2", "| –"))]
    for cells, row in zip(shown, table["rows"], strict=True):
        mean = row["scores"].get("mIoU", {"mean": None})["mean"]
        assert cells[3].split(" ± ")[0] == ("–" if mean is None else f"{100 * mean:.1f}")


def test_json_holds_null_and_no_nan(board: Board) -> None:
    text = to_json(board)
    assert "NaN" not in text
    assert json.loads(text)["tables"][0]["rows"][2]["rank"] is None
    bad = Board("b", "full", "t", False, (Table("t", {}, ("mIoU",), (), (build_row(1, "a", float("nan")),)),))
    with pytest.raises(ValueError, match="JSON compliant"):
        to_json(bad)


def test_the_miniature_is_named_loudly_and_only_where_it_is_one(board: Board) -> None:
    real = Board(board.experiment, board.profile, board.title, False, board.tables)
    for made, count in ((board, 1), (real, 0)):
        console = Console(record=True, width=200, file=io.StringIO())
        print_board(made, console)
        assert to_markdown(made).count(MINIATURE_NOTICE) == count
        assert console.export_text().count(MINIATURE_NOTICE) == count
        assert json.loads(to_json(made))["miniature"] is bool(count)


def test_the_terminal_shows_the_same_scores(board: Board) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    print_board(board, console)
    text = console.export_text()
    assert "68.3 ± 1.2" in text
    assert "source_only + tent (lr=0.1, crop=a, b)" in text
    assert "broken: 2 of 2 runs have no result" in text


def test_the_terminal_leaves_details_to_the_files(board: Board) -> None:
    row = build_row(1, "a", None, scores={"mPC": Score(0.5, None, (0.5,)), "fog/1": Score(0.123, None, (0.123,))})
    table = Table("Corruptions", {"kind": "benchmark"}, ("mPC", "fog/1"), ("fog/1",), (row,))
    made = Board("byhand", "mini", "A question", False, (table,))
    console = Console(record=True, width=200, file=io.StringIO())
    print_board(made, console)
    shown = console.export_text()
    assert "mPC" in shown
    assert "50.0" in shown
    assert "fog" not in shown
    assert "fog/1" in to_markdown(made)
    assert "12.3" in to_markdown(made)


def test_what_was_tuned_is_said_in_every_form(board: Board) -> None:
    tuned = "lr=0.1 of {0.1, 0.2}, 2 trials on val"
    (table,) = board.tables
    rows = (dataclasses.replace(table.rows[0], tuned=tuned), *table.rows[1:])
    made = dataclasses.replace(board, tables=(dataclasses.replace(table, rows=rows),))
    console = Console(record=True, width=200, file=io.StringIO())
    print_board(made, console)
    assert f"daformer: tuned: {tuned}" in console.export_text()
    assert f"- daformer: tuned: {tuned}." in to_markdown(made).splitlines()
    lines = list(csv.DictReader(io.StringIO(to_csv(made))))
    assert {line["method"]: line["tuned"] for line in lines} == {"daformer": tuned, "source_only": "", "broken": ""}
    assert json.loads(to_json(made))["tables"][0]["rows"][0]["tuned"] == tuned
    assert "tuned" not in to_markdown(board)


def test_a_terminal_that_is_too_narrow_for_all_scores_says_so() -> None:
    names = ("mean mIoU", *(f"domain{i}" for i in range(9)))
    rows = tuple(build_row(i, f"row{i}", None, scores={n: Score(0.5, None, (0.5,)) for n in names}) for i in range(9))
    made = Board("b", "full", "t", False, (Table("t", {}, names, (), rows),))
    console = Console(record=True, width=200, file=io.StringIO())
    print_board(made, console)
    shown = console.export_text()
    assert "domain4" in shown
    assert "domain5" not in shown
    assert "and 4 more scores in the files" in shown
    assert "domain8" in to_markdown(made)


@pytest.mark.parametrize("width", range(60, 131))
def test_no_score_is_cropped_at_any_width(width: int) -> None:
    """Long heads and names that fold: a last column that lost a letter would read 43 for 43.6."""
    names = ("mean mIoU", "test", "test/gaussian_noise/1", "test/contrast/3", "test/jpeg_compression/3")
    scores = {name: Score(0.436, None, (0.436,)) for name in names}
    methods = ("cgnet + eta (lr=tuned, diversity=tuned, margin=0.2)", *(f"cgnet + method{i}" for i in range(7)))
    rows = tuple(build_row(i, method, None, scores=scores) for i, method in enumerate(methods))
    console = Console(width=width, file=io.StringIO())
    print_board(Board("b", "full", "t", False, (Table("t", {}, names, (), rows),)), console)
    text = console.file.getvalue()
    shown = sum(name in text for name in names)
    assert shown >= 1
    assert text.count("43.6") == len(rows) * shown


@pytest.mark.parametrize(("width", "count"), [(120, 6), (80, 3), (60, 1)])
def test_names_have_room_in_a_terminal_of_any_width(width: int, count: int) -> None:
    names = ("mean mIoU", *(f"domain{i}" for i in range(5)))
    scores = {name: Score(0.512, 0.034, (0.5,)) for name in names}
    method = "daformer_on_everything_there_is"
    rows = tuple(build_row(i, f"{method}{i}", None, scores=scores) for i in range(9))
    made = Board("b", "full", "t", False, (Table("t", {}, names, (), rows),))
    console = Console(record=True, width=width, file=io.StringIO())
    print_board(made, console)
    shown = console.export_text()
    assert [name in shown for name in names] == [index < count for index in range(6)]
    assert method[:12] in shown
    assert shown.count("51.2 ± 3.4") == 9 * count
    assert max(map(len, shown.splitlines())) <= width
    more = {6: None, 1: "and 5 more scores"}.get(count, f"and {6 - count} more scores")
    assert more is None or more in shown


@pytest.mark.parametrize(
    ("column", "shown"), [("frames/s", "0.50 ± 0.25"), ("updates", "0 ± 0"), ("models", "0.5 ± 0.2")]
)
def test_a_number_is_no_percentage(column: str, shown: str) -> None:
    assert show_score(Score(0.5, 0.25, ()), column) == shown


@pytest.mark.parametrize(
    ("score", "shown"),
    [(None, "–"), (Score(None, None, ()), "–"), (Score(0.0, None, ()), "0.0"), (Score(0.5, 0.25, ()), "50.0 ± 25.0")],
)
def test_a_score_in_percent(score: Score | None, shown: str) -> None:
    assert show_score(score, "mIoU") == shown


@pytest.fixture
def detailed() -> Board:
    """Two rows with a gap that cannot be measured, for one reason, and a score a class."""
    reason = "no row of stage 'oracle' to compare with in this table"
    rows = tuple(
        build_row(
            rank,
            method,
            None,
            scores={
                "mIoU": Score(mean, None, (mean,)),
                "gap closed": Score(None, None, (), reason),
                "IoU/road": Score(mean / 2, None, (mean / 2,)),
            },
        )
        for rank, method, mean in ((1, "a", 0.5), (2, "b", 0.25))
    )
    table = Table("Clean", {"kind": "evaluate"}, ("mIoU", "gap closed", "IoU/road"), ("IoU/road",), rows)
    return Board("byhand", "full", "A question", False, (table,))


def test_markdown_shows_details_in_a_table_of_their_own(detailed: Board) -> None:
    lines = to_markdown(detailed).splitlines()
    summary, details = (lines.index(f"| # | entry | seeds | {name} |") for name in ("mIoU | gap closed", "IoU/road"))
    assert lines[summary + 2 : summary + 4] == ["| 1 | a | 3 | 50.0 | – |", "| 2 | b | 3 | 25.0 | – |"]
    assert lines[details + 2 : details + 4] == ["| 1 | a | 3 | 25.0 |", "| 2 | b | 3 | 12.5 |"]
    assert details > summary


def test_a_missing_gap_says_why_in_every_form_and_once_for_people(detailed: Board) -> None:
    reason = "no row of stage 'oracle' to compare with in this table"
    console = Console(record=True, width=200, file=io.StringIO())
    print_board(detailed, console)
    assert to_markdown(detailed).count(f"- gap closed: {reason}.") == 1
    assert console.export_text().count(f"gap closed: {reason}") == 1
    lines = list(csv.DictReader(io.StringIO(to_csv(detailed))))
    assert [(line["mean"], line["reason"]) for line in lines if line["score"] == "gap closed"] == [("", reason)] * 2
    assert {line["reason"] for line in lines if line["score"] == "mIoU"} == {""}
    assert json.loads(to_json(detailed))["tables"][0]["rows"][0]["scores"]["gap closed"]["reason"] == reason


@pytest.fixture
def compared() -> Board:
    """A table relative to one of its rows, with a corruption as a detail."""
    names = ("mPC", "CD", "rCD", "CD/fog")
    rows = tuple(
        build_row(rank, method, None, scores={name: Score(value, None, (value,)) for name in names})
        for rank, method, value in ((1, "a", 0.5), (2, "b", 1.0))
    )
    table = Table("Corruptions", {"kind": "benchmark"}, names, ("CD/fog",), rows, reference="b")
    return Board("byhand", "full", "A question", False, (table,))


def test_the_reference_is_named_in_every_form_and_once_for_people(compared: Board) -> None:
    note = "CD, rCD: 100 is b; CD and rCD leave out noise above severity 3"
    console = Console(record=True, width=200, file=io.StringIO())
    print_board(compared, console)
    assert console.export_text().count(note) == 1
    assert to_markdown(compared).count(f"- {note}.") == 1
    lines = list(csv.DictReader(io.StringIO(to_csv(compared))))
    assert {line["score"]: line["reference"] for line in lines} == {"mPC": "", "CD": "b", "rCD": "b", "CD/fog": "b"}
    assert json.loads(to_json(compared))["tables"][0]["reference"] == "b"


def test_a_table_without_a_reference_names_none(detailed: Board) -> None:
    assert {line["reference"] for line in csv.DictReader(io.StringIO(to_csv(detailed)))} == {""}
    assert json.loads(to_json(detailed))["tables"][0]["reference"] is None
    assert "100 is" not in to_markdown(detailed)


def test_one_reason_of_several_scores_is_said_once(compared: Board) -> None:
    reason = "no row of stage 'grid' to compare with in this table"
    missing = {name: Score(None, None, (), reason) for name in ("CD", "rCD")}
    (table,) = compared.tables
    rows = tuple(dataclasses.replace(row, scores={**row.scores, **missing}) for row in table.rows)
    made = dataclasses.replace(compared, tables=(dataclasses.replace(table, rows=rows, reference=None),))
    assert to_markdown(made).count(reason) == 1
    assert f"- CD, rCD: {reason}." in to_markdown(made).splitlines()


@pytest.mark.parametrize("begin", ["=", "+", "-", "@", "\t", "\r"])
def test_no_text_of_a_csv_is_a_formula_and_numbers_stay_numbers(begin: str, board: Board) -> None:
    text = f"{begin}cmd|' /C calc'!A0"
    row = build_row(1, text, 0.5, adaptation=text, axes={text: "1"}, tuned=text, reason=text, warnings=(text,))
    row.scores["drift"] = Score(-0.2, None, (-0.2,))
    table = dataclasses.replace(board.tables[0], title=text, rows=(row,))
    lines = list(csv.DictReader(io.StringIO(to_csv(dataclasses.replace(board, tables=(table,))), newline="")))
    told = "'" + text.replace("\r", "\n")
    for name in ("table", "method", "adaptation", "tuned", "reason", "warnings"):
        assert {line[name] for line in lines} == {told}
    assert {line["axes"] for line in lines} == {f"{told}=1"}
    assert [float(line["mean"]) for line in lines] == [0.5, -0.2]
