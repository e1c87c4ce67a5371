"""The points of a matrix, and the filling in of references to its axes."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapt.errors import SpecError
from experiments.matrix import fill_in, list_points, list_used_axes
from experiments.schema import MatrixSettings


def points(raw: dict[str, Any]) -> list[dict[str, Any]]:
    return list_points(MatrixSettings.model_validate(raw))


def test_the_last_axis_varies_fastest() -> None:
    assert points({"seed": [0, 1], "method": ["a", "b", "c"]}) == [
        {"seed": 0, "method": "a"},
        {"seed": 0, "method": "b"},
        {"seed": 0, "method": "c"},
        {"seed": 1, "method": "a"},
        {"seed": 1, "method": "b"},
        {"seed": 1, "method": "c"},
    ]


def test_a_matrix_without_axes_has_one_empty_point() -> None:
    assert points({}) == [{}]


def test_exclude_drops_what_agrees_on_all_axes_of_an_entry() -> None:
    raw = {"seed": [0, 1], "method": ["a", "b"], "exclude": [{"seed": 0, "method": "b"}, {"seed": 1}]}
    assert points(raw) == [{"seed": 0, "method": "a"}]


def test_exclude_compares_mappings_by_value() -> None:
    raw = {"method": [{"name": "a", "lr": 1}, {"name": "a", "lr": 2}], "exclude": [{"method": {"name": "a", "lr": 2}}]}
    assert points(raw) == [{"method": {"name": "a", "lr": 1}}]


def test_include_adds_points_after_the_product_once() -> None:
    raw = {"seed": [0, 1], "include": [{"seed": 1}, {"seed": 7}, {"seed": 8, "extra": "x"}]}
    assert points(raw) == [{"seed": 0}, {"seed": 1}, {"seed": 7}, {"seed": 8, "extra": "x"}]


def test_include_brings_back_what_exclude_dropped() -> None:
    assert points({"seed": [0, 1], "exclude": [{"seed": 1}], "include": [{"seed": 1}]}) == [{"seed": 0}, {"seed": 1}]


def test_include_without_axes_is_all_there_is() -> None:
    assert points({"include": [{"seed": 3, "lr": 1}, {"seed": 4, "lr": 2}]}) == [
        {"seed": 3, "lr": 1},
        {"seed": 4, "lr": 2},
    ]


@pytest.mark.parametrize("raw", [{"seed": [0], "exclude": [{"sed": 0}]}, {"exclude": [{"sed": 0}]}])
def test_an_exclusion_that_can_drop_nothing_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="`exclude` names 'sed', which is no axis"):
        points(raw)


@pytest.mark.parametrize("raw", [{"seed": []}, {"seed": 3}, {"1seed": [0]}, {"a-b": [0]}])
def test_an_axis_has_a_name_and_at_least_one_value(raw: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        points(raw)


@given(st.dictionaries(st.sampled_from("abcd"), st.lists(st.integers(0, 9), min_size=1, max_size=4, unique=True)))
def test_the_number_of_points_is_the_product_of_the_axes(axes: dict[str, list[int]]) -> None:
    got = points(axes)
    assert len(got) == math.prod(len(values) for values in axes.values())
    assert len({tuple(point.items()) for point in got}) == len(got)
    assert all(point[axis] in axes[axis] for point in got for axis in axes)


@pytest.mark.parametrize("value", [3, 0.5, True, None, [1, 2], {"name": "tent", "lr": 1e-4}])
def test_a_whole_reference_keeps_the_type_of_the_value(value: object) -> None:
    got = fill_in({"x": ["${matrix.v}"]}, {"v": value}, "here")
    assert got == {"x": [value]}
    assert type(got["x"][0]) is type(value)


def test_a_reference_inside_a_longer_text_is_printed() -> None:
    assert fill_in("lr ${matrix.lr}, seed ${matrix.seed}", {"lr": 0.5, "seed": 3}, "here") == "lr 0.5, seed 3"
    assert fill_in("${matrix.seed}${matrix.seed}", {"seed": 3}, "here") == "33"
    assert fill_in(" ${matrix.seed}", {"seed": 3}, "here") == " 3"


def test_all_else_is_left_alone() -> None:
    data = {"a": 1, "b": [None, True, "$x", "matrix.seed", "${stage.checkpoint}"], "c": {"d": 0.5}}
    assert fill_in(data, {"seed": 3}, "here") == data


def test_filling_in_leaves_the_template_as_it_was() -> None:
    template = {"a": ["${matrix.seed}", {"b": "${matrix.seed}"}]}
    assert fill_in(template, {"seed": 1}, "here") == {"a": [1, {"b": 1}]}
    assert fill_in(template, {"seed": 2}, "here") == {"a": [2, {"b": 2}]}


@pytest.mark.parametrize("text", ["${matrix.sed}", "a ${matrix.sed} b"])
def test_an_unknown_axis_is_answered_by_the_closest(text: str) -> None:
    with pytest.raises(SpecError) as caught:
        fill_in({"a": [text]}, {"seed": 1, "lr": 2}, "file:3: stages.x")
    message = "file:3: stages.x: unknown axis of the matrix 'sed'. Did you mean 'seed'? Known: lr, seed."
    assert str(caught.value) == message


def test_used_axes_are_found_at_every_depth() -> None:
    data = {"a": "${matrix.one}", "b": [{"c": "x ${matrix.two} ${matrix.three}"}], "d": ("${matrix.one}", 4, None)}
    assert list_used_axes(data) == {"one", "two", "three"}
    assert list_used_axes({"a": "${stage.checkpoint}", "b": "matrix.one"}) == set()


def test_a_key_of_a_mapping_on_an_axis_is_reached_by_its_name() -> None:
    point = {"variant": {"label": "without RCS", "method": {"name": "daformer", "rare_class": None}}}
    data = {
        "label": "${matrix.variant.label}",
        "method": "${matrix.variant.method}",
        "why": "it is ${matrix.variant.method.name} ${matrix.variant.label}",
        "stage": "${daformer.checkpoint}",
    }
    assert fill_in(data, point, "here") == {
        "label": "without RCS",
        "method": {"name": "daformer", "rare_class": None},
        "why": "it is daformer without RCS",
        "stage": "${daformer.checkpoint}",
    }
    assert list_used_axes(data) == {"variant"}


def test_a_key_that_the_axis_has_not_is_refused_with_the_closest() -> None:
    point = {"variant": {"label": "a"}, "seed": 0}
    with pytest.raises(SpecError, match=r"here: unknown key of axis 'variant' 'lable'\. Did you mean 'label'\?"):
        fill_in("${matrix.variant.lable}", point, "here")
    with pytest.raises(SpecError, match=r"\$\{matrix.seed.label\} asks for the key 'label' of 0, which is no mapping"):
        fill_in("${matrix.seed.label}", point, "here")
