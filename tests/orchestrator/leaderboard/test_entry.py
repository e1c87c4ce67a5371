"""A row becomes a file and the same row again; a file from outside is refused where it cannot be true."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapt.errors import SpecError
from adapt.scores.bootstrap import RESAMPLES
from corruptions.protocol import protocol
from orchestrator.leaderboard.entry import Entry, dump_entry, make_entry, name_file, parse_entry, read_entry
from orchestrator.leaderboard.row import Detail, Picture, Provenance, Resamples, Row, Score
from tests.orchestrator.leaderboard.rows import BENCHMARK, EVALUATION, RESAMPLED, STREAM, give, make_grid, make_row

SHARES = st.floats(0, 1, allow_nan=False)
WORDS = st.text(min_size=1, max_size=9)
SOURCE = {"source": "A. Author, 2025"}
SHORT = {"kind": "benchmark", "dataset": "cityscapes", "split": "val", "protocol": "semsegbench"}
PICTURE = {"frame": "f", "condition": "clean", "key": "../../../etc", "files": {"image": "/etc/passwd"}}
CELLS = {f"{name}/{severity}": 0.4 for name, severity in protocol("semsegbench").cells}


@st.composite
def rows(draw: st.DrawFn) -> Row:
    """A row of an evaluation on two classes, with all that a row can hold; outsiders' rows hold less, holes have a reason."""
    runs = draw(st.integers(1, 3))
    seeds = draw(st.integers(1, runs))
    own = draw(st.booleans())
    values = st.lists(SHARES, min_size=runs, max_size=runs).map(tuple)
    score = st.builds(Score, SHARES, st.none() | SHARES, values) | st.just(Score(None, None, (None,) * runs, "lost"))
    main = draw(score)
    has_hole = seeds < runs or main.mean is None
    texts = st.dictionaries(WORDS, WORDS, max_size=2)
    drawn = st.lists(st.none() | SHARES, min_size=1, max_size=5).map(lambda some: tuple(some * RESAMPLES)[:RESAMPLES])
    return Row(
        rank=None,
        method=draw(WORDS.filter(str.strip)),
        adaptation=draw(st.none() | WORDS),
        axes=draw(texts),
        seeds=seeds,
        runs=runs,
        architecture=draw(st.none() | WORDS),
        parameters=draw(st.none() | st.integers(0, 10**12)),
        scores={"mIoU": main, "IoU/road": draw(score), "IoU/sky": draw(score)},
        reason=draw(WORDS if has_hole else st.none() | WORDS),
        keys=draw(st.lists(WORDS, max_size=2).map(tuple)) if own else (),
        trained_in=draw(st.text(max_size=5)) if own else "",
        tuned=draw(st.none() | WORDS),
        status="reproduced" if own else "self-reported",
        training_data=draw(st.lists(WORDS, max_size=2).map(tuple)),
        warnings=draw(st.lists(WORDS, max_size=2).map(tuple)),
        resamples=draw(st.none() | st.builds(Resamples, WORDS, drawn)) if own else None,
        detail=draw(
            st.none()
            | st.builds(
                Detail,
                st.just(("road", "sky")),
                st.dictionaries(WORDS, st.tuples(SHARES, st.none() | SHARES), max_size=2),
                st.dictionaries(WORDS, st.lists(st.none() | SHARES).map(tuple), max_size=2),
                st.just({"clean": ((1.0,) * 15, (0.5,) * 15, (0.0,) * 15)}),
            )
        ),
        provenance=draw(
            st.none()
            | st.builds(Provenance, WORDS, st.none() | WORDS, packages=texts, seconds=st.none() | st.floats(0, 1e9))
        ),
        extra_data=draw(st.none() | st.booleans()),
    )


@given(rows())
@settings(max_examples=60, deadline=None)
def test_a_row_survives_its_file(row: Row) -> None:
    text = dump_entry(make_entry(row, EVALUATION, "Clean" if row.status == "reproduced" else "", miniature=False))
    entry = parse_entry(text, "a.json")
    assert entry.to_row() == row
    assert entry.protocol == EVALUATION
    assert dump_entry(entry) == text  # nothing changes when a file is read and written again


def test_a_percentage_is_told_its_share_and_what_is_neither_only_once(tmp_path: Path) -> None:
    for value, said in (
        (100, "in percent? shares lie in [0, 1]: write 1"),
        (100.5, "neither a share nor a percentage"),
    ):
        with pytest.raises(SpecError) as caught:
            read_entry(write(tmp_path, scores={**CELLS, "clean": value}))
        assert str(caught.value).count("is impossible") == 1
        assert said in str(caught.value)


def test_an_interval_of_our_own_may_miss_its_mean() -> None:
    """Of few images many resamples lack a class, so that all may lie to one side."""
    row = make_row("a", {"mIoU": Score(0.5, None, (0.5,), low=0.6, high=0.7)})
    assert parse_entry(dump_entry(make_entry(row, EVALUATION, "", miniature=False)), "a.json").to_row() == row


def test_resamples_without_a_score_survive_as_null() -> None:
    drawn = replace(RESAMPLED, scores=(float("nan"), *RESAMPLED.scores[1:]))
    text = dump_entry(make_entry(make_row("a", {"mIoU": give(0.5)}, resamples=drawn), EVALUATION, "", miniature=False))
    assert parse_entry(text, "a.json").to_row().resamples == replace(drawn, scores=(None, *drawn.scores[1:]))


def test_settings_may_be_nested_and_are_copied_into_every_form(tmp_path: Path) -> None:
    entry = read_entry(write(tmp_path, provenance={**SOURCE, "settings": {"optimizer": {"lr": 1}}}))
    assert asdict(entry.to_row())["provenance"]["settings"] == {"optimizer": {"lr": 1}}


HOLES = [
    ({"fog/3": None}, "no score of fog/3"),
    ({"fog/3": {"mean": 0.4, "values": [0.4, None, 0.4]}}, "no score of fog/3"),
    ({"clean": None}, "no score of clean"),
    ({"mPC": {"mean": 0.4, "values": [0.4, None, 0.4]}}, "no score of mPC"),
]


@pytest.mark.parametrize(("changes", "reason"), HOLES)
def test_a_row_with_a_hole_has_a_reason_not_to_be_ranked_whatever_it_states(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    scores = {**CELLS, "clean": 0.8, "mPC": 0.95, **changes}
    assert read_entry(write(tmp_path, runs=3, seeds=3, scores=scores)).reason == reason


def test_a_row_that_lacks_runs_or_domains_has_a_reason_not_to_be_ranked(tmp_path: Path) -> None:
    clean = {"kind": "evaluate", "dataset": "cityscapes", "split": "val"}
    entry = read_entry(write(tmp_path, protocol=clean, runs=3, seeds=1, scores={"mIoU": 0.9}))
    assert entry.reason == "2 of 3 runs have no result"
    nowhere = {"mIoU": 0.9, "IoU/train": None}  # a class need not occur
    assert read_entry(write(tmp_path, protocol=clean, scores=nowhere)).reason is None
    stream = {"kind": "stream", "dataset": "acdc", "split": "val", "domains": ["fog", "night"], "rounds": 1}
    entry = read_entry(write(tmp_path, protocol=stream, scores={"mean mIoU": 0.9, "fog": 0.5}))
    assert entry.reason == "no score of night"


def test_what_only_records_can_tell_is_not_believed_of_a_row_from_outside(tmp_path: Path) -> None:
    claims = {"title": "WINNERS", "keys": ["k"], "trained_in": "oracle", "resamples": {"images": "x", "scores": []}}
    entry = read_entry(write(tmp_path, **claims))
    assert (entry.title, entry.keys, entry.trained_in, entry.resamples) == ("", (), "", None)


def test_what_a_table_makes_anew_and_pictures_stay_out() -> None:
    detail = Detail(("road",), pictures=(Picture("f", "clean", "k", {"image": "a.jpg"}),))
    scores = {
        **make_grid(0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3),
        "CD": give(0.9),
        "CD/fog": give(0.9),
        "gap closed": give(0.5),
    }
    row = replace(make_row("a", scores, detail=detail), rank=1)
    back = parse_entry(dump_entry(make_entry(row, BENCHMARK, "", miniature=False)), "a.json").to_row()
    assert back.rank is None
    assert back.detail == Detail(("road",))
    assert set(back.scores) == set(scores) - {"CD", "CD/fog", "gap closed"}


def test_columns_come_back_in_the_order_of_tables() -> None:
    scores = make_grid(0.8, 0.2, 0.1, 0.6, 0.5, 0.7, 0.3)
    back = parse_entry(dump_entry(make_entry(make_row("a", scores), BENCHMARK, "", False)), "a.json").to_row()
    assert list(back.scores)[:4] == ["mPC", "rPC", "clean", "worst"]
    assert [name for name in back.scores if "/" in name] == [f"{name}/{s}" for name, s in BENCHMARK["cells"]]


def write(tmp_path: Path, **changes: Any) -> Path:
    """Write an entry from outside, complete but for what is changed; None takes a key away."""
    data: dict[str, Any] = {
        "method": "SegFormer-B5", "provenance": SOURCE, "protocol": SHORT, "scores": {"clean": 0.8, **CELLS},
    }  # fmt: skip
    data |= changes
    file = tmp_path / "outside.json"
    file.write_text(json.dumps({name: value for name, value in data.items() if value is not None}))
    return file


def test_the_short_form_is_enough_and_aggregates_are_filled_in(tmp_path: Path) -> None:
    entry = read_entry(write(tmp_path))
    assert entry.status == "self-reported"
    assert len(entry.protocol["cells"]) == 15
    assert entry.scores["mPC"] == Score(pytest.approx(0.4), None, (pytest.approx(0.4),))
    assert entry.scores["rPC"].mean == pytest.approx(0.5)
    assert parse_entry(dump_entry(entry), "again") == entry


def test_a_hole_with_a_reason_is_taken_and_leaves_the_row_without_a_score(tmp_path: Path) -> None:
    entry = read_entry(write(tmp_path, scores={"clean": 0.8, **CELLS, "fog/3": None}))
    assert entry.scores["fog/3"].reason == "not measured"
    assert "mPC" not in entry.scores
    assert entry.reason == "no score of fog/3"


WRONG = [
    (
        {"scores": {**CELLS, "clean": 0.8, "mPC": 103}},
        "scores.mPC.mean: 103 is impossible: neither a share nor a percentage",
    ),
    (
        {"scores": {**CELLS, "clean": 82.4}},
        "scores.clean.mean: 82.4 is impossible: in percent? shares lie in [0, 1]: write 0.824",
    ),
    ({"scores": {**CELLS, "clean": -0.1}}, "scores.clean.mean: -0.1 is impossible: it lies in [0, 1]"),
    (
        {"scores": {**CELLS, "clean": 0.8, "fogg/3": 0.1}},
        "scores.fogg/3: unknown corruption 'fogg'. Did you mean 'fog'?",
    ),
    ({"scores": {**CELLS, "clean": 0.8, "fog/5": 0.1}}, "scores: 16 of 15 cells"),
    (
        {"scores": {**CELLS, "clean": 0.8, "fog/5": 0.1}},
        "scores.fog/5: this cell is not among the 15 of protocol 'semsegbench'",
    ),
    ({"scores": {"clean": 0.8, **dict(list(CELLS.items())[1:])}}, "scores: 14 of 15 cells, without gaussian_noise/3"),
    ({"scores": CELLS}, "without clean"),
    ({"scores": {**CELLS, "clean": 0.8, "CD": 0.9}}, "scores.CD: this compares the row with another one"),
    ({"scores": {**CELLS, "clean": 0.8, "mpc": 0.9}}, "scores.mpc: unknown column. Did you mean 'mPC'?"),
    ({"scores": {**CELLS, "clean": "0.8"}}, "scores"),
    ({"scores": {**CELLS, "clean": {"mean": "0.8"}}}, "clean.mean is a number, without quotes, not '0.8'"),
    ({"scores": {**CELLS, "clean": {"mean": 0.8, "sdt": 0.1}}}, "unknown key 'sdt'. Did you mean 'std'?"),
    ({"scores": {**CELLS, "clean": {"values": [0.8, 0.7]}}}, "scores.clean.values: 2 values, but the row has 1 runs"),
    ({"scores": {**CELLS, "clean": {"mean": 0.8, "low": 0.9, "high": 0.7}}}, "the interval ends before it begins"),
    ({"scores": [0.8, 0.4]}, "scores: a mapping is wanted here"),
    (
        {"protocol": {**SHORT, "protocol": "michaels"}},
        "unknown corruption protocol 'michaels'. Did you mean 'michaelis'?",
    ),
    ({"protocol": {**SHORT, "dataset": "cityscape"}}, "unknown data set 'cityscape'. Did you mean 'cityscapes'?"),
    ({"protocol": {**SHORT, "split": "vall"}}, "unknown split of cityscapes 'vall'. Did you mean 'val'?"),
    ({"protocol": {**SHORT, "kind": "bench"}}, "unknown kind of protocol 'bench'"),
    ({"protocol": {**SHORT, "cells": []}}, "unknown key 'cells'"),
    (
        {"protocol": {"kind": "benchmark", "dataset": {"type": "x"}}},
        "protocol.protocol: this key is required and missing",
    ),
    (
        {"protocol": {**BENCHMARK, "protocol": "michaelis"}},
        "'michaelis' is a known protocol of 75 cells, not of these 6",
    ),
    ({"protocol": {**BENCHMARK, "cells": [["fogs", 1]]}}, "unknown corruption 'fogs'. Did you mean 'fog'?"),
    ({"protocol": {**BENCHMARK, "cells": [["fog", 9]]}}, "fog has no severity 9"),
    ({"protocol": {**BENCHMARK, "cells": [["fog", 1]] * 2}}, "a cell stands there twice"),
    ({"protocol": "michaelis"}, "protocol: a mapping is wanted here"),
    ({"method": None}, "method: this key is required and missing"),
    ({"methods": "a"}, "unknown key 'methods'. Did you mean 'method'?"),
    ({"schema_version": 2}, "schema_version: 2, but this segshift reads 1"),
    ({"parameters": "84M"}, "parameters"),
    ({"runs": True}, "runs"),
    ({"status": "published"}, "status"),
    ({"method": "  "}, "method: a name is wanted here"),
    ({"seeds": 5, "runs": 3}, "seeds: 5 runs were scored out of 3"),
    ({"seeds": 0}, "seeds: input should be greater than or equal to 1"),
    ({"scores": {**CELLS, "clean": {"mean": 0.5, "std": 9.0}}}, "scores.clean.std: 9 is impossible"),
    (
        {"scores": {**CELLS, "clean": {"mean": 0.5, "low": 0.6, "high": 0.7}}},
        "scores.clean: the mean 0.5 lies outside its interval [0.6, 0.7]",
    ),
    ({"detail": {"pictures": [PICTURE]}}, "detail.pictures: pictures stay with the store"),
    ({"detail": {"classes": ["a"], "class_iou": {"fog": [5.0]}}}, "detail.class_iou.fog: 5 is impossible"),
    ({"detail": {"classes": ["a"], "class_iou": {"fog": [-7.0]}}}, "detail.class_iou.fog: -7 is impossible"),
    ({"detail": {"classes": ["a"], "class_iou": {"fog": [0.5, 0.5]}}}, "2 values for 1 classes"),
    ({"detail": {"rounds": {"fog": [9.0]}}}, "detail.rounds.fog: 9 is impossible"),
    ({"detail": {"reliability": {"clean": [[1, 2], [3]]}}}, "detail.reliability.clean: 3 lists of 15 numbers"),
    (
        {"detail": {"reliability": {"clean": [[1] * 15, [1] * 15, [2] * 15]}}},
        "detail.reliability.clean: a bin has less than no, or more correct pixels",
    ),
    ({"status": "reproduced", "resamples": {"images": "x", "scores": []}}, "resamples.scores: 0 scores, but 1000"),
    (
        {"status": "reproduced", "resamples": {"images": "x", "scores": [0.0, 1e6] * 500}},
        "resamples.scores: 1e+06 is impossible",
    ),
    ({"protocol": {**BENCHMARK, "cells": [[["a"], 1]]}}, "protocol.cells.0.0: input should be a valid string"),
    ({"protocol": {**BENCHMARK, "shifts": 5}}, "protocol.shifts: a mapping is wanted here"),
    ({"protocol": {**BENCHMARK, "shifts": [1, 2]}}, "protocol.shifts: a mapping is wanted here"),
    ({"protocol": {**BENCHMARK, "dataset": {}}}, "protocol.dataset.type: this key is required and missing"),
    ({"protocol": {**BENCHMARK, "dataset": {"type": ["a"]}}}, "protocol.dataset.type: input should be a valid string"),
    ({"protocol": {**BENCHMARK, "dataset": {"type": "a", "split": 5}}}, "protocol.dataset.split"),
    ({"protocol": {**BENCHMARK, "dataset": {"type": "a", "subset": 5}}}, "protocol.dataset.subset: a list is wanted"),
    ({"protocol": {**STREAM, "datasets": {"a": "b"}}}, "protocol.datasets.a: a mapping is wanted here"),
    ({"protocol": {**STREAM, "reset": "never"}}, "protocol.reset: a mapping is wanted here"),
    ({"protocol": {**STREAM, "stream": {"domains": [{"dataset": "a"}]}}}, "protocol.stream.kind: this key is required"),
    *(
        (
            {"protocol": {**STREAM, "stream": {**STREAM["stream"], "rounds": rounds}}},
            "protocol.stream.rounds: input should be",
        )
        for rounds in (-3, 0, True, 3_000_000)
    ),
]


@pytest.mark.parametrize(("changes", "said"), WRONG)
def test_a_wrong_file_is_named_with_its_key(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    file = write(tmp_path, **changes)
    with pytest.raises(SpecError) as caught:
        read_entry(file)
    assert said in str(caught.value)
    assert str(caught.value).startswith(str(file))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[0.1, 0.2]", "rows are found by name, never by their place in a list"),
        ('{"method": "a", "method": "b"}', "method: this key stands there twice"),
        ('{"scores": {"clean": NaN}}', "scores.clean: nan is no score"),
    ],
)
def test_a_file_that_is_no_entry_says_why(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(SpecError) as caught:
        read_entry(tmp_path / "a.json")
    assert said in str(caught.value)


def test_a_stream_and_an_evaluation_have_short_forms_too(tmp_path: Path) -> None:
    stream = {"kind": "stream", "dataset": "acdc", "split": "val", "domains": ["fog", "night"], "rounds": 3}
    scores = {"fog": 0.5, "night": 0.3, "round 1": 0.5, "round 2": 0.4, "round 3": 0.3}
    entry = read_entry(write(tmp_path, protocol=stream, scores=scores))
    assert (entry.scores["mean mIoU"].mean, entry.scores["drift"].mean) == pytest.approx((0.4, -0.2))
    clean = {"kind": "evaluate", "dataset": "cityscapes", "split": "val"}
    assert read_entry(write(tmp_path, protocol=clean, scores={"mIoU": 0.5})).scores["mIoU"].mean == 0.5
    with pytest.raises(SpecError, match=r"IoU/roads: 'roads' is no class of cityscapes. Did you mean 'road'"):
        read_entry(write(tmp_path, protocol=clean, scores={"mIoU": 0.5, "IoU/roads": 0.5}))
    with pytest.raises(SpecError, match=r"scores.mIoU: this score ranks the row, and is missing"):
        read_entry(write(tmp_path, protocol=clean, scores={}))


def test_files_are_named_by_what_makes_a_row_one() -> None:
    def name(method: str, given: dict[str, Any] = EVALUATION, **fields: Any) -> str:
        return name_file(make_entry(make_row(method, {}, **fields), given, "", False))

    assert name("DAFormer").startswith("daformer-")
    assert name("a/b: c") != name("a b c")  # equal slugs
    assert name("a") != name("a", STREAM)
    assert name("a") == name("a", architecture="another", status="self-reported")
    assert name("日本") != name("中国")
    assert len(name("x" * 500)) < 90
    assert name("a", axes={"lr": "1", "base": "2"}) == name("a", axes={"base": "2", "lr": "1"})


def test_the_axes_of_a_row_keep_their_order_so_that_its_name_comes_back() -> None:
    entry = make_entry(make_row("a", {"mIoU": give(0.5)}, axes={"lr": "1", "base": "2"}), EVALUATION, "", False)
    back = parse_entry(dump_entry(entry), "a.json")
    assert back.name == "a (lr=1, base=2)"
    assert name_file(back) == name_file(entry)


def test_every_field_of_an_entry_is_one_of_its_row_or_of_its_table() -> None:
    own = set(Entry.model_fields) - set(Row.__dataclass_fields__)
    assert own == {"schema_version", "title", "miniature", "protocol"}
    assert set(Row.__dataclass_fields__) - set(Entry.model_fields) == {"rank"}
