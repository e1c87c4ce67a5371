"""The protocol: what must be equal before two scores are compared, and what may differ."""

from __future__ import annotations

import json
from typing import Any

import pytest

from orchestrator.protocol import describe_protocol

STREAM = {"kind": "continual", "domains": [{"dataset": "fog"}, {"dataset": "night"}]}


def describe(task: Any) -> str:
    return json.dumps(describe_protocol(task), sort_keys=True, allow_nan=False)


@pytest.mark.parametrize("kind", ["evaluate", "benchmark", "stream"])
def test_the_network_its_seed_and_its_name_are_not_part_of_it(kind: str, make_task) -> None:
    one = make_task("a", kind, checkpoint="1" * 32, point={"seed": 0}, label="A")
    two = make_task("b", kind, checkpoint="2" * 32, point={"seed": 1}, resources={"cpus": 2})
    assert describe(one) == describe(two)


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("evaluate", {"limit": 3}),
        ("evaluate", {"fingerprint": "bytes-2"}),
        ("benchmark", {"limit": 3}),
        ("benchmark", {"seed": 1}),
        ("benchmark", {"protocol": "michaelis"}),
        ("benchmark", {"protocol": {"name": "mine", "cells": {"fog": [1]}}}),
        ("benchmark", {"backend": "reference"}),
        ("benchmark", {"shifts": ["fog"]}),
        ("benchmark", {"fingerprint": "bytes-2"}),
        ("stream", {"reset": {"policy": "on_shift"}}),
        ("stream", {"stream": {**STREAM, "rounds": 2}}),
        ("stream", {"stream": {**STREAM, "limit": 2}}),
        ("stream", {"stream": {**STREAM, "domains": STREAM["domains"][::-1]}}),
        ("stream", {"fingerprint": "bytes-2"}),
    ],
)
def test_what_changes_the_score_of_one_network_is_part_of_it(kind: str, changes: dict[str, Any], make_task) -> None:
    assert describe(make_task("a", kind)) != describe(make_task("a", kind, **changes))


@pytest.mark.parametrize(
    "changes",
    [{"shards": 3}, {"workers": 2}, {"calibration": True}, {"label_check": 5}, {"backend": "fast"}],
    ids=lambda changes: next(iter(changes)),
)
def test_how_a_benchmark_is_computed_or_what_is_measured_beside_it_is_not_part_of_it(
    changes: dict[str, Any], make_task
) -> None:
    assert describe(make_task("a", "benchmark")) == describe(make_task("a", "benchmark", **changes))


def test_a_benchmark_says_all_that_decides_its_pixels(make_task) -> None:
    own = {"name": "winter", "cells": {"snow": [1, 3], "fog": 2}, "backend": "reference"}
    described = describe_protocol(make_task("a", "benchmark", protocol=own, shifts=["fog", "night"]))
    assert (described["protocol"], described["cells"]) == ("winter", [["snow", 1], ["snow", 3], ["fog", 2]])
    assert (described["backend"], described["channel_order"]) == ("reference", "RGB")
    assert described["insertion_point"] == "before_resize"
    assert described["backend_version"].startswith("imagecorruptions-imaug ")
    assert described["shifts"]["night"]["fingerprint"] == "bytes-1"


@pytest.mark.parametrize(
    "changes",
    [
        {"on_non_finite": "stop"},
        {"temporal": {"flow": "farneback", "windows": [4]}},
        {"styles": "1" * 32, "fisher": "2" * 32, "auxiliary": "3" * 32},
        {"search": {"stream": {"kind": "single", "domains": [{"dataset": "test"}]}, "space": {"lr": [0.1]}}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_is_the_methods_own_or_measured_beside_it_is_not_part_of_it(changes: dict[str, Any], make_task) -> None:
    assert describe(make_task("a", "stream")) == describe(make_task("a", "stream", **changes))


def test_the_method_is_what_is_compared(make_task) -> None:
    one, two = (make_task("a", "stream", method={"name": name}) for name in ("source", "tent"))
    assert describe(one) == describe(two)


def test_a_corrupted_stream_names_the_version_behind_its_pixels(make_task) -> None:
    fog = {"dataset": "test", "corruption": "fog", "severity": 3}
    corrupted = make_task("a", "stream", stream={"kind": "single", "domains": [fog]})
    assert str(describe_protocol(corrupted)["backend_version"]).startswith(
        "segshift-corruptions 1 (imagecorruptions-imaug "
    )
    assert describe_protocol(make_task("a", "stream"))["backend_version"] is None
    weather = make_task("a", "stream", stream={"kind": "single", "domains": [fog | {"corruption": "weather_fog"}]})
    assert "; segshift-weather 1 (albumentations " in str(describe_protocol(weather)["backend_version"])
    assert "weather" not in str(describe_protocol(corrupted)["backend_version"])


def test_a_stage_without_scores_has_none(make_task) -> None:
    with pytest.raises(TypeError, match="scores nothing"):
        describe_protocol(make_task("a", "train"))


DRAWN = {"dataset": "test", "corruption": "fog", "severity": 3}


@pytest.mark.parametrize(
    ("stream", "matters"),
    [
        (STREAM, False),
        ({**STREAM, "kind": "recurring", "rounds": 2}, False),
        ({"kind": "single", "domains": [{"dataset": "fog"}]}, False),
        ({**STREAM, "kind": "cdc"}, True),
        ({**STREAM, "kind": "mixed"}, True),
        ({"kind": "continual", "domains": [{"dataset": "fog"}, DRAWN]}, True),
        ({"kind": "gradual", "domains": [{"dataset": "test", "corruption": "fog"}]}, True),
    ],
)
def test_the_seed_of_a_stream_matters_where_it_decides_what_is_seen(stream: Any, matters: bool, make_task) -> None:
    one, two = (make_task("a", "stream", stream={**stream, "seed": seed}) for seed in (0, 1))
    assert (describe(one) != describe(two)) == matters
