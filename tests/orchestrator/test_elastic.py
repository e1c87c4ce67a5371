"""What a cluster that starts machines is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.elastic import ask_for_machines


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    import ray.autoscaler.sdk

    found: list[dict[str, Any]] = []
    monkeypatch.setattr(ray.autoscaler.sdk, "request_resources", lambda **wanted: found.append(wanted))
    return found


def test_each_task_is_asked_for_and_what_only_starts_others_is_not(make_task, asked) -> None:
    gpu = make_task("a", "train", resources={"cpus": 4, "gpus": 1, "memory_gb": 8, "custom": {"rig": 1}})
    ask_for_machines([gpu, make_task("b", "train"), make_task("c", "benchmark", shards=2)])
    ask_for_machines([])
    assert asked == [{"bundles": [{"CPU": 4, "GPU": 1, "rig": 1}, {"CPU": 1}]}, {"bundles": []}]


def test_labels_go_beside_the_bundles(make_task, asked) -> None:
    ask_for_machines([make_task("a", "train", resources={"labels": {"zone": "eu"}}), make_task("b", "train")])
    assert asked == [{"bundles": [{"CPU": 1}, {"CPU": 1}], "bundle_label_selectors": [{"zone": "eu"}, {}]}]
