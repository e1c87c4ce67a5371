"""JSON that other readers let pass is refused with its place; what is written merges well."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapt.errors import SpecError
from orchestrator.leaderboard.strict_json import dump_json, parse_json

FLAT = st.none() | st.booleans() | st.integers() | st.floats(-1e300, 1e300) | st.text()
DATA = st.recursive(FLAT, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=30)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"scores": {"fog/1": 0.1, "fog/1": 0.2}}', "a.json: scores.fog/1: this key stands there twice"),
        ('{"a": 1, "b": 2, "a": 1}', "a.json: a: this key stands there twice"),
        ('{"scores": {"fog/1": {"mean": NaN}}}', "a.json: scores.fog/1.mean: nan is no score"),
        ('{"values": [0.1, -Infinity]}', "a.json: values.1: -inf is no score"),
        ('{"a": 1e999}', "a.json: a: inf is no score"),
        ('{"a": 1,\n "b" 2}', "a.json:2:6: this is not valid JSON"),
        ('{\n<<<<<<< HEAD\n"a": 1}', "the marks of a merge"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 700 + "1" + "}" * 700, "a.json: a: this JSON is nested too deeply"),
        ('{"method":' + "[" * 900 + "]" * 900 + "}", "a.json: method: this JSON is nested too deeply"),
        ('{"a": [' + "1" * 5000 + "]}", "a.json: this JSON holds a number that is too long to be read"),
        ('{"values": [1' + "0" * 400 + "]}", "a.json: values.0: a number of 401 digits is no score"),
        ('{"values": [1e308]}', "a.json: values.0: 1e+308 is no score"),
        ('{"method": "a\\ud800"}', "a.json: method: this text holds half of a character"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(text: str, said: str) -> None:
    with pytest.raises(SpecError) as caught:
        parse_json(text, "a.json")
    assert said in str(caught.value)


@given(DATA)
def test_what_is_written_reads_back_as_plain_json(data: object) -> None:
    text = dump_json(data)
    assert json.loads(text) == data
    assert parse_json(text, "a.json") == data


def test_what_is_read_is_plain_data_that_can_be_copied() -> None:
    """Objects of a type of their own cannot be made by what copies a dataclass."""
    data = parse_json('{"optimizer": {"lr": 1}}', "a.json")
    assert {type(data), type(data["optimizer"])} == {dict}


def test_keys_are_sorted_and_one_a_line_and_short_lists_stay_together() -> None:
    text = dump_json({"b": [1, 2], "a": {"y": 0.5, "x": ["long " * 20, "more " * 20]}})
    assert text.splitlines() == [
        "{", ' "a": {', '  "x": [', f'   "{"long " * 20}",', f'   "{"more " * 20}"', "  ],", '  "y": 0.5', " },",
        ' "b": [1, 2]', "}",
    ]  # fmt: skip


def test_a_number_that_is_not_finite_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        dump_json({"a": [float("nan")]})
