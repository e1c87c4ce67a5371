"""Names of tasks for people, keys of tasks for the store."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from experiments.schema import EvaluateStage
from experiments.task import KEY_LENGTH, Task, compute_key, describe


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
