"""Names of tasks for people, keys of tasks for the store."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from experiments.schema import EvaluateStage
from experiments.task import KEY_LENGTH, Task, compute_key, describe, describe_apart, name_apart


def make_task(point: dict[str, Any]) -> Task:
    return Task("k", "clean", "evaluate", point, EvaluateStage(kind="evaluate", model="net", dataset="test"))


@pytest.mark.parametrize(
    ("point", "name"),
    [
        ({}, "clean"),
        ({"seed": 0}, "clean[seed=0]"),
        ({"seed": 0, "trained": "${daformer.checkpoint}"}, "clean[seed=0, trained=daformer]"),
        ({"method": {"name": "tent", "lr": 1}}, "clean[method=tent]"),
        ({"crop": [8, 4]}, "clean[crop=[8, 4]]"),
    ],
)
def test_a_task_is_called_by_its_stage_and_point(point: dict[str, Any], name: str) -> None:
    assert make_task(point).name == name


def test_a_mapping_without_name_is_printed_in_full_and_in_order() -> None:
    assert describe({"b": 1, "a": None}) == '{"a": null, "b": 1}'


def test_a_key_is_the_sha256_of_the_canonical_text() -> None:
    text = '["train",7,{"a":[1,null],"b":{"c":0.001,"d":"\\u00e9"}}]'
    key = compute_key("train", 7, {"b": {"d": "é", "c": 1e-3}, "a": [1, None]})
    assert key == hashlib.sha256(text.encode("ascii")).hexdigest()[:32]
    assert len(key) == KEY_LENGTH == 32


def test_kind_version_and_identity_each_change_the_key() -> None:
    keys = {
        compute_key("train", 1, {"a": 1}),
        compute_key("uda", 1, {"a": 1}),
        compute_key("train", 2, {"a": 1}),
        compute_key("train", 1, {"a": 2}),
        compute_key("train", 1, {"a": "1"}),
        compute_key("train", 1, {"a": [1]}),
        compute_key("train", 1, {"b": 1}),
        compute_key("train", 1, {}),
    }
    assert len(keys) == 8


TENT = {"name": "tent", "lr": 1e-4}


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([{"name": "tent"}, {"name": "eta", "margin": 0.2}], ["tent", "eta"]),
        ([TENT, {"name": "tent", "lr": 1e-3}], ["tent(lr=0.0001)", "tent(lr=0.001)"]),
        ([TENT, {"name": "tent"}, {"name": "eta"}], ["tent(lr=0.0001)", "tent", "eta"]),
        ([{**TENT, "momentum": 0.5}, {"name": "tent", "momentum": 0.5}], ["tent(lr=0.0001)", "tent"]),
        (
            [
                {"name": "r", "base": TENT},
                {"name": "r", "base": {"name": "eta"}},
                {"name": "r", "base": {"name": "tent"}},
            ],
            ["r(base=tent(lr=0.0001))", "r(base=eta)", "r(base=tent)"],
        ),
        ([{"label": "x", "name": "a"}, {"label": "x", "name": "b"}], ["x(name=a)", "x(name=b)"]),
        ([TENT, TENT], ["tent", "tent"]),
        ([0, "${a.checkpoint}"], ["0", "a"]),
    ],
)
def test_values_that_look_alike_show_what_differs(values: list[Any], texts: list[str]) -> None:
    assert describe_apart(values) == texts


def test_tasks_of_one_name_are_told_apart_and_the_others_keep_theirs() -> None:
    points = [{"method": {"name": "tent", "lr": lr}, "seed": seed} for lr in (1e-4, 1e-3) for seed in (0, 1)]
    tasks = [make_task(point) for point in (*points, {"method": {"name": "eta", "lr": 1e-4}, "seed": 0})]
    named = name_apart(tasks)
    assert [task.name for task in named] == [
        "clean[method=tent(lr=0.0001), seed=0]",
        "clean[method=tent(lr=0.0001), seed=1]",
        "clean[method=tent(lr=0.001), seed=0]",
        "clean[method=tent(lr=0.001), seed=1]",
        "clean[method=eta, seed=0]",
    ]
    assert [(task.key, task.point) for task in named] == [(task.key, task.point) for task in tasks]
    assert named[-1] is tasks[-1]
