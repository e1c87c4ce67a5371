"""Axes of a space, what is tried of them beforehand, and settings at a point."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
from pydantic import ValidationError

from adapt.errors import SpecError
from adapt.settings import Settings
from experiments.search_space import (
    RangeSettings,
    describe_axis,
    draw_points,
    list_paths,
    list_probes,
    place_at,
    show_value,
)


class Inner(Settings):
    lr: float = 0.1
    name: str = "inner"


class Outer(Settings):
    steps: int = 3
    inner: Inner = Inner()
    other: Inner | None = None


def test_integers_are_drawn_evenly_with_both_bounds() -> None:
    axis = RangeSettings(integers=(2, 5))
    generator = random.Random(0)
    drawn = [axis.draw(generator) for _ in range(4000)]
    assert all(isinstance(value, int) for value in drawn)
    counts = {value: drawn.count(value) for value in sorted(set(drawn))}
    assert list(counts) == [2, 3, 4, 5]
    assert all(abs(count - 1000) < 110 for count in counts.values())  # four standard deviations of a binomial: 4 * 27.4


@pytest.mark.parametrize(
    ("raw", "text"),
    [
        ({"integers": [5, 2]}, r"below its high one, got \[5, 2\]"),
        ({"integers": [1.5, 4]}, "valid integer"),
        ({"integers": [1, 4], "uniform": [1, 4]}, "only one of them"),
    ],
)
def test_bad_ranges_are_refused(raw: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        RangeSettings.model_validate(raw)


def test_every_value_and_every_bound_is_probed() -> None:
    space = {"a": (1, 2, 3), "b": RangeSettings(uniform=(0.0, 1.0)), "c": RangeSettings(integers=(4, 9))}
    probes = list_probes(space)
    assert {probe["a"] for probe in probes} == {1, 2, 3}
    assert {probe["b"] for probe in probes} == {0.0, 1.0, 0.381966}
    assert {probe["c"] for probe in probes} == {4, 9, 6}
    assert all(set(probe) == set(space) for probe in probes)
    assert len(probes) == 9


def test_draws_go_on_without_end_and_follow_the_seed() -> None:
    space = {"a": (1, 2), "b": RangeSettings(log_uniform=(1e-4, 1.0))}
    first = list(itertools.islice(draw_points(space, 1), 50))
    assert first == list(itertools.islice(draw_points(space, 1), 50))
    assert first != list(itertools.islice(draw_points(space, 2), 50))


def test_paths_reach_into_parts_that_there_are() -> None:
    assert list(list_paths(Outer())) == ["steps", "inner", "inner.lr", "other"]
    assert list(list_paths(Outer(other=Inner()), ("steps", "inner.lr"))) == ["inner", "other", "other.lr"]


def test_a_point_changes_its_paths_alone() -> None:
    settings = Outer(steps=7)
    known = list(list_paths(settings))
    assert place_at(settings, {"inner.lr": 0.5}, known, "it") == Outer(steps=7, inner=Inner(lr=0.5))
    assert settings == Outer(steps=7)
    with pytest.raises(
        SpecError, match=r"it has no setting 'inner\.lrr' to be searched\. Did you mean 'inner\.lr'\? It has: "
    ):
        place_at(settings, {"inner.lrr": 0.5}, known, "it")
    with pytest.raises(SpecError, match=r"it refuses steps=a: steps: input should be a valid integer"):
        place_at(settings, {"steps": "a"}, known, "it")


def test_axes_and_values_in_words() -> None:
    assert describe_axis(RangeSettings(integers=(1, 4))) == "[1, 4] (whole)"
    assert describe_axis(RangeSettings(uniform=(0.0, 0.5))) == "[0, 0.5]"
    assert describe_axis(({"name": "tent"}, 1e-5)) == "{tent, 1e-5}"
    assert show_value(Inner()) == "inner"
