"""Which sides share a protocol, and what is said where none do."""

from __future__ import annotations

from typing import Any

import pytest

from adapt.errors import SpecError
from orchestrator.compare.side import SHOWN_KEYS, Side, list_conflicts, match_sides


def make(name: str, **protocol: Any) -> Side:
    return Side(name, "A table", protocol, (), lambda key, file: None)


def test_each_shared_protocol_is_a_match() -> None:
    first = [make("a", kind="evaluate", limit=1), make("a", kind="benchmark"), make("a", kind="stream")]
    second = [make("b", kind="stream"), make("b", limit=1, kind="evaluate")]
    assert [[side.protocol["kind"] for side in sides] for sides in match_sides([first, second])] == [
        ["evaluate", "evaluate"],
        ["stream", "stream"],
    ]


def test_protocols_that_differ_are_named_key_by_key_with_both_values() -> None:
    one = make(
        "a", kind="benchmark", seed=0, dataset={"type": "camvid", "split": "test"}, cells=[["fog", 1], ["snow", 2]]
    )
    other = make("b", kind="benchmark", dataset={"type": "camvid", "split": "val"}, cells=[["fog", 1]], amp=True)
    with pytest.raises(SpecError) as error:
        match_sides([[one], [other]])
    text = str(error.value)
    assert "'a' and 'b' were scored under different protocols" in text
    assert 'dataset.split is "test" and "val"' in text
    assert "seed is 0 and not there" in text
    assert "amp is not there and true" in text
    assert 'cells is 2 values, among them ["snow", 2] and 1 values' in text
    assert "dataset.type" not in text


def test_the_closest_tables_are_shown() -> None:
    first = [make("a", kind="stream", rounds=1), make("a", kind="evaluate", limit=5)]
    with pytest.raises(SpecError) as error:
        match_sides([first, [make("b", kind="evaluate", limit=6)]])
    assert "limit is 5 and 6" in str(error.value)
    assert "rounds" not in str(error.value)


def test_another_kind_is_said_first_and_a_long_list_is_cut() -> None:
    one = make("a", **{f"key{place}": place for place in range(20)}, kind="stream")
    with pytest.raises(SpecError) as error:
        match_sides([[one], [make("b", kind="evaluate")]])
    assert 'nothing: kind is "stream" and "evaluate"; ' in str(error.value)
    assert f"; and {21 - SHOWN_KEYS} more" in str(error.value)


def test_three_that_share_only_in_pairs_are_told_so() -> None:
    first = [make("a", kind="evaluate"), make("a", kind="stream")]
    with pytest.raises(SpecError, match="no protocol is shared by all"):
        match_sides([first, [make("b", kind="evaluate")], [make("c", kind="stream")]])


def test_long_values_that_begin_alike_still_differ() -> None:
    one, other = {"fingerprint": "f" * 80 + "1"}, {"fingerprint": "f" * 80 + "2"}
    assert [key for key, _, _ in list_conflicts(one, other)] == ["fingerprint"]
    assert list_conflicts(one, dict(one)) == []
    assert list_conflicts({"stream": [{"domain": "fog"}]}, {"stream": [{"domain": "snow"}]}) == [
        ("stream.0.domain", '"fog"', '"snow"')
    ]
