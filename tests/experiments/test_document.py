"""Documents remember the line of every key, merge as promised, and name what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from adapt.errors import SpecError
from experiments.document import Document, parse_override, read_document

Write = Callable[..., Path]

NESTED = """\
# a comment
title: text
outer:
  inner:
    deep: 1

  list:
    - one
    - {x: 1, y: 2}
    - - nested
      - again
flow: {a: 1,
  b: [2,
      3]}
"""

NESTED_LINES = {
    ("title",): 2,
    ("outer",): 3,
    ("outer", "inner"): 4,
    ("outer", "inner", "deep"): 5,
    ("outer", "list"): 7,
    ("outer", "list", 0): 8,
    ("outer", "list", 1): 9,
    ("outer", "list", 1, "x"): 9,
    ("outer", "list", 1, "y"): 9,
    ("outer", "list", 2): 10,
    ("outer", "list", 2, 0): 10,
    ("outer", "list", 2, 1): 11,
    ("flow",): 12,
    ("flow", "a"): 12,
    ("flow", "b"): 13,
    ("flow", "b", 0): 13,
    ("flow", "b", 1): 14,
}


def refusal(path: Path) -> str:
    with pytest.raises(SpecError) as caught:
        read_document(path)
    return str(caught.value)


def test_every_key_of_nested_maps_and_lists_has_its_line(write: Write) -> None:
    path = write(NESTED)
    document = read_document(path)
    assert document.origins == {(): str(path)} | {key: f"{path}:{line}" for key, line in NESTED_LINES.items()}
    assert document.data == {
        "title": "text",
        "outer": {"inner": {"deep": 1}, "list": ["one", {"x": 1, "y": 2}, ["nested", "again"]]},
        "flow": {"a": 1, "b": [2, 3]},
    }


def test_an_alias_is_a_copy_whose_keys_stand_where_they_were_written(write: Write) -> None:
    path = write("first: &anchor\n  lr: 1\nsecond: *anchor\n")
    document = read_document(path)
    assert document.data == {"first": {"lr": 1}, "second": {"lr": 1}}
    assert document.origin(("second",)) == f"{path}:3"
    assert document.origin(("second", "lr")) == f"{path}:2"
    assert document.data["first"] is not document.data["second"]


def test_merge_keys_are_filled_in_and_named_by_their_parent(write: Write) -> None:
    path = write("base: &b\n  lr: 1\n  steps: 2\nother:\n  <<: *b\n  lr: 3\n")
    document = read_document(path)
    assert document.data["other"] == {"lr": 3, "steps": 2}
    assert document.origin(("other", "lr")) == f"{path}:6"
    assert document.origin(("other", "steps")) == f"{path}:4"


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("1e-3", 0.001),
        ("6.0e-5", 0.00006),
        ("3", 3),
        ("010", 10),
        ("0x1f", 31),
        ("true", True),
        ("&anchor true", True),
        ("&anchor false", False),
        ("&anchor 1", 1),
        ("&anchor 1.5", 1.5),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("'3'", "3"),
        ("null", None),
        ("", None),
        ("~", None),
    ],
)
def test_values_are_plain_and_read_as_yaml_1_2(write: Write, written: str, value: object) -> None:
    got = read_document(write(f"key: {written}\n")).data["key"]
    assert got == value
    assert type(got) is type(value)


@pytest.mark.parametrize(
    ("text", "place", "part"),
    [
        ("a: 1\nb: 2\na: 3\n", ":3:1", 'duplicate key "a"'),
        ("a:\n  b: 1\n  b: 2\n", ":3:3", 'duplicate key "b"'),
        ("a:\n\tb: 1\n", ":2:1", r"'\t'"),
        ("a: 1\nb: [1, 2\n", ":3:1", "expected ',' or ']'"),
        ("a: 1\n b: 2\n", ":2:3", "mapping values are not allowed"),
        ("a: *nowhere\n", ":1:4", "'nowhere'"),
        ("a: 1\n---\nb: 2\n", ":2:1", "another document"),
    ],
)
def test_invalid_yaml_is_named_with_line_and_column(write: Write, text: str, place: str, part: str) -> None:
    path = write(text)
    message = refusal(path)
    assert message.startswith(f"{path}{place}: this is not valid YAML: ")
    assert part in message


@pytest.mark.parametrize("text", ["", "# only a comment\n", "- a\n- b\n", "just text\n", "3\n"])
def test_a_file_without_keys_is_refused(write: Write, text: str) -> None:
    path = write(text)
    assert refusal(path) == f"{path}: the file must hold a mapping (key: value lines) at its top level."


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.yaml").startswith(f"{tmp_path / 'none.yaml'}: cannot be read (No such file")
    assert refusal(tmp_path).startswith(f"{tmp_path}: cannot be read")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes(b"title: caf\xe9\n")
    assert refusal(path).startswith(f"{path}: this is not valid YAML")


@pytest.mark.parametrize("value", ["2024-01-02", "!tag 3", "!!binary aGk="])
def test_values_that_json_does_not_have_are_refused_with_their_line(write: Write, value: str) -> None:
    path = write(f"a: 1\nb:\n  c: {value}\n")
    assert refusal(path).startswith(f"{path}:3: values are text, numbers, true/false, lists or mappings, not ")


@pytest.mark.parametrize("key", ["1", "true", "null", "1.5", "[a, b]"])
def test_keys_that_are_no_text_are_refused_with_their_line(write: Write, key: str) -> None:
    path = write(f"a: 1\n{key}: 2\n")
    assert refusal(path).startswith(f"{path}:2: a key is text, not ")


def test_the_origin_of_a_missing_key_is_that_of_its_closest_ancestor(write: Write) -> None:
    path = write(NESTED)
    document = read_document(path)
    assert document.origin(("outer", "inner", "no", "such")) == f"{path}:4"
    assert document.origin(("outer", "list", 1, "z")) == f"{path}:9"
    assert document.origin(("outer", "list", 7)) == f"{path}:7"
    assert document.origin(("nothing",)) == str(path)
    assert Document({}).origin(("nothing",)) == "?"


def test_merging_merges_mappings_and_replaces_all_else(write: Write) -> None:
    base = read_document(write("a: {x: 1, y: {z: 2}}\nl: [1, 2, 3]\nm: {p: 1}\ns: 4\n", "base.yaml"))
    over = read_document(write("\n\na: {y: {w: 5}}\nl: [9]\nm: 7\ns: {q: 8}\nnew: 6\n", "over.yaml"))
    merged = base.merged(over)
    assert merged.data == {"a": {"x": 1, "y": {"z": 2, "w": 5}}, "l": [9], "m": 7, "s": {"q": 8}, "new": 6}
    assert base.data["a"] == {"x": 1, "y": {"z": 2}}, "merging must leave the base as it was"
    assert merged.origin(("a", "x")).endswith("base.yaml:1")
    assert merged.origin(("a", "y", "z")).endswith("base.yaml:1")
    assert merged.origin(("a", "y", "w")).endswith("over.yaml:3")
    assert merged.origin(("l", 0)).endswith("over.yaml:4")
    assert ("l", 2) not in merged.origins
    assert ("m", "p") not in merged.origins
    assert merged.origin(("s", "q")).endswith("over.yaml:6")


def test_merging_null_removes_what_was_there() -> None:
    assert Document({"resize": [1, 2], "m": {"a": 1}}).merged(Document({"resize": None, "m": None})).data == {
        "resize": None,
        "m": None,
    }


def test_a_merged_document_shares_nothing_with_its_parts() -> None:
    base, over = Document({"a": {"l": [1]}}), Document({"b": {"l": [2]}})
    merged = base.merged(over)
    merged.data["a"]["l"].append(3)
    merged.data["b"]["l"].append(3)
    assert base.data == {"a": {"l": [1]}}
    assert over.data == {"b": {"l": [2]}}


def test_without_and_section_keep_their_lines(write: Write) -> None:
    path = write("a: 1\nprofiles:\n  mini:\n    a: 2\n    b: {c: 3}\n  full: {}\n")
    document = read_document(path)
    rest = document.without("profiles")
    assert rest.data == {"a": 1}
    assert set(rest.origins) == {(), ("a",)}
    mini = document.section("profiles", "mini")
    assert mini.data == {"a": 2, "b": {"c": 3}}
    assert mini.origin(("b", "c")) == f"{path}:5"
    assert document.section("profiles", "none").data == {}
    assert document.section("a").data == {}


@pytest.mark.parametrize(
    ("text", "data"),
    [
        ("matrix.seed=[0,1]", {"matrix": {"seed": [0, 1]}}),
        ("matrix.seed=[0, 1]", {"matrix": {"seed": [0, 1]}}),
        ("a={b: 1, c: {d: [x]}}", {"a": {"b": 1, "c": {"d": ["x"]}}}),
        ("a.b.c=1e-3", {"a": {"b": {"c": 0.001}}}),
        ("a=text", {"a": "text"}),
        ("a=b=c", {"a": "b=c"}),
        ("a=${x.checkpoint}", {"a": "${x.checkpoint}"}),
        ("a=null", {"a": None}),
        ("a=", {"a": None}),
        ("a='1'", {"a": "1"}),
        (" a . b = true", {"a": {"b": True}}),
    ],
)
def test_an_override_is_read_as_yaml_under_its_dotted_key(text: str, data: object) -> None:
    assert parse_override(text).data == data


@pytest.mark.parametrize("text", ["matrix.seed", "=3", "  =3", "a..b=1", ".a=1", "a.=1", ""])
def test_an_override_without_key_or_value_is_refused(text: str) -> None:
    with pytest.raises(SpecError, match="an override reads KEY=VALUE") as caught:
        parse_override(text)
    assert str(caught.value).startswith(f"override {text!r}: ")


@pytest.mark.parametrize("value", ["[0,1", "{a: 1", "a: b: c", "{a: 1, a: 2}", "*x"])
def test_an_override_whose_value_is_no_yaml_is_refused(value: str) -> None:
    with pytest.raises(SpecError, match="the value is not valid YAML"):
        parse_override(f"key={value}")


def test_an_override_of_a_value_that_json_does_not_have_is_refused() -> None:
    with pytest.raises(SpecError, match="values are text, numbers"):
        parse_override("key=2024-01-02")


def test_an_override_is_the_origin_of_all_that_it_sets(write: Write) -> None:
    path = write("a:\n  l: [1, 2]\n  m: {x: 1}\n")
    merged = read_document(path).merged(parse_override("a.l=[8, 9]")).merged(parse_override("a.m={x: 2}"))
    assert merged.data == {"a": {"l": [8, 9], "m": {"x": 2}}}
    assert merged.origin(("a", "l", 1)) == "override 'a.l=[8, 9]'"
    assert merged.origin(("a", "m", "x")) == "override 'a.m={x: 2}'"
    assert merged.origin(("a",)) == f"{path}:1"
